"""Keys that sign statements: Ed25519, and ECDSA on the curves of NIST."""

import hashlib
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

_HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
_CURVES = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384", "secp521r1": "ecdsa-p521"}


class BadKey(ValueError):
    """Not a key that can be used here."""


class Key(NamedTuple):
    """A public key. id: SHA-256 of its DER form in hexadecimal digits."""

    id: str
    algorithm: str
    pem: str
    public: Any

    def verifies(self, signature: bytes, message: bytes) -> bool:
        try:
            if isinstance(self.public, ed25519.Ed25519PublicKey):
                self.public.verify(signature, message)
            else:
                self.public.verify(signature, message, ec.ECDSA(_HASHES[self.public.curve.key_size]))
        except InvalidSignature:
            return False
        return True

    @property
    def hint(self) -> str:
        """How a Sigstore bundle names it: SHA-256 of its PEM form."""
        return hashlib.sha256(self.pem.encode()).hexdigest()


def public_key(pem: str) -> Key:
    """The key in a PEM of a public key; BadKey for anything else, private keys before all."""
    if "PRIVATE" in pem:
        raise BadKey("this is a private key: keep it to yourself and hand in the public one")
    try:
        return key_of(serialization.load_pem_public_key(pem.encode()))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise error if isinstance(error, BadKey) else BadKey("not a public key in PEM form") from error


def key_of(public: Any) -> Key:
    """The key of a loaded public key; BadKey for algorithms that are not used here."""
    if isinstance(public, ed25519.Ed25519PublicKey):
        algorithm = "ed25519"
    elif isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        algorithm = _CURVES[public.curve.name]
    else:
        raise BadKey("only Ed25519 keys and ECDSA keys on P-256, P-384 and P-521 are used")
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    der = public.public_bytes(serialization.Encoding.DER, info)
    pem = public.public_bytes(serialization.Encoding.PEM, info).decode()
    return Key(hashlib.sha256(der).hexdigest(), algorithm, pem, public)


def private_key(pem: bytes, password: str = "") -> Any:
    """A private key to sign with; BadKey when it is none, or of another algorithm, or the password is wrong."""
    try:
        key = serialization.load_pem_private_key(pem, password.encode() if password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(f"not a private key in PEM form, or its password is another: {error}") from error
    key_of(key.public_key())
    return key


def sign(key: Any, message: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    signature: bytes = key.sign(message, ec.ECDSA(_HASHES[key.curve.key_size]))
    return signature
