"""The embedded suite's own issuer of tokens: whoever may read its key may call as anybody, on this machine.

    issuer/           0700
    issuer/key.pem    0400, the key that signs
    issuer/jwks.json  what the services verify with: its public part, and those of former keys for a while

There is no server: `token` signs with the key, in whatever process may read it.
"""

import base64
import getpass
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

ISSUER = "urn:modelog:suite"
AUDIENCE = "modelog"
SECONDS = 900.0
_UNTIL = "modelog_until"  # When a former key leaves the set, in seconds since 1970.


class Issuer:
    """Keys in `folder`, made at first use. Several processes may sign; one of them rotates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jwks = folder / "jwks.json"
        self._key = folder / "key.pem"

    def open(self) -> "Issuer":
        """Makes the first key, and lets go of former ones whose time is over."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        if self._key.exists() and self.jwks.exists():
            self._publish([])
        else:
            self.rotate()
        return self

    def rotate(self, keep_seconds: float = SECONDS) -> None:
        """Signs with a new key from now on; the former one still verifies for `keep_seconds`.

        The new key is published before anything is signed with it.
        """
        new = Ed25519PrivateKey.generate()
        self._publish([_public(new)], keep_seconds=keep_seconds)
        pem = new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(self._key, pem, mode=0o400)

    def settings(self) -> dict[str, str]:
        """What a service is told to take tokens from here."""
        return {
            "oidc_issuer": ISSUER,
            "oidc_audience": AUDIENCE,
            "oidc_keys": str(self.jwks),
            "oidc_trusts_subjects": "true",
        }

    def token(self, principal: str, seconds: float = SECONDS, on_behalf_of: Sequence[str] = (), **claims: Any) -> str:
        """A token of `principal`, who acts for `on_behalf_of`, nearest first. claims: in place of the usual ones.

        OSError when this process may not read the key.
        """
        key = _private(self._key)
        now = time.time()
        body = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + seconds, "jti": secrets.token_hex(16)}
        chain = [*on_behalf_of[:1], principal, *on_behalf_of[1:]]
        body |= {"sub": chain[0], **_act(chain[1:])} | claims
        return jwt.encode(body, key, algorithm="EdDSA", headers={"kid": _public(key)["kid"]})

    def _publish(self, new: list[dict[str, Any]], *, keep_seconds: float = 0.0) -> None:
        """The new key, and those before it whose time is not over; one that signed until now gets its time."""
        now = time.time()
        former = json.loads(self.jwks.read_text())["keys"] if self.jwks.exists() else []
        if new:
            former = [one if _UNTIL in one else {**one, _UNTIL: now + keep_seconds} for one in former]
        kept = [one for one in former if one.get(_UNTIL, now + 1) > now]
        _write(self.jwks, json.dumps({"keys": [*new, *kept]}, indent=2).encode(), mode=0o600)


def person() -> str:
    """The principal of whoever runs this process."""
    return f"users/{re.sub('[^A-Za-z0-9._-]', '-', getpass.getuser())}"


def _act(actors: Sequence[str]) -> dict[str, Any]:
    """The nested `act` claims of RFC 8693: who acts now outermost."""
    claim: dict[str, Any] = {}
    for one in reversed(actors):
        claim = {"act": {"sub": one, **claim}}
    return claim


def _private(path: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def _public(key: Ed25519PrivateKey) -> dict[str, Any]:
    """As a JWK; its id is its thumbprint (RFC 7638)."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64(raw)}
    thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
    return {**members, "kid": _base64(thumbprint), "use": "sig", "alg": "EdDSA"}


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """All or nothing, and never readable for others."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(file, content)
        os.fsync(file)
    finally:
        os.close(file)
    new.replace(path)
