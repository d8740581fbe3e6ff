"""Keys and signed statements that tests make."""

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from modelog.provenance.envelopes import PAYLOAD_TYPE, encoded, seal
from modelog.provenance.keys import Key, key_of, sign
from modelog.provenance.statements import MODEL_SIGNATURE, SLSA, STATEMENT

EDWARDS, OTHER = (
    ed25519.Ed25519PrivateKey.from_private_bytes(b"a" * 32),
    ed25519.Ed25519PrivateKey.from_private_bytes(b"b" * 32),
)
NIST, OTHER_NIST = (ec.derive_private_key(one**90, ec.SECP256R1()) for one in (7, 5))


def public(key: Any) -> Key:
    return key_of(key.public_key())


def pem_of(key: Any) -> bytes:
    """A private key as it lies in a file."""
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


def statement(sha256: str, **more: Any) -> bytes:
    made = {
        "_type": STATEMENT,
        "subject": [{"name": "model", "digest": {"sha256": sha256}}],
        "predicateType": SLSA,
        "predicate": {"runDetails": {"builder": {"id": "https://ci.example.test/1"}}},
    }
    return json.dumps(made | more).encode()


def signed(sha256: str, key: Any = EDWARDS, **more: Any) -> bytes:
    return seal(statement(sha256, **more), key)


def model_signature(files: dict[str, str], key: Any = NIST) -> bytes:
    """A bundle as OpenSSF model signing writes it, over files by name and SHA-256."""
    listed = [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in sorted(files.items())]
    root = hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in listed)).hexdigest()
    method = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ["model.sig"]}
    said = {"serialization": method, "resources": listed}
    payload = statement(root, predicateType=MODEL_SIGNATURE, predicate=said)
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": base64.b64encode(sign(key, encoded(payload))).decode(), "keyid": ""}],
    }
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": public(key).hint}, "tlogEntries": []},
        "dsseEnvelope": envelope,
    }
    return json.dumps(bundle).encode()
