"""An issuer with keys of three kinds, whose tokens can be bent in every way."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import Algorithm, get_default_algorithms

ISSUER = "https://id.example.org"
Metadata = tuple[tuple[str, str], ...]
_ALGORITHMS: Mapping[str, Algorithm] = get_default_algorithms()


def encoded(content: Any) -> str:
    """base64url of bytes, or of anything else as JSON."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def private_key(algorithm: str) -> Any:
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def public_jwk(key: Any, algorithm: str, **members: Any) -> dict[str, Any]:
    made: Any = _ALGORITHMS[algorithm]
    return {**made.to_jwk(key.public_key(), as_dict=True), "use": "sig", "alg": algorithm, **members}


class Forge:
    """Keys `EdDSA`, `ES256` and `RS256`, each under its algorithm's name as kid; their public parts in `jwks`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.jwks = folder / "jwks.json"
        self.keys = {algorithm: private_key(algorithm) for algorithm in ("EdDSA", "ES256", "RS256")}
        self.publish(self.keys)

    def publish(self, keys: Mapping[str, Any]) -> None:
        """Puts the file in place as a whole; kids are given, algorithms told from the keys."""
        new = self.jwks.with_suffix(".new")
        new.write_text(json.dumps(self.document(keys)))
        new.replace(self.jwks)

    def document(self, keys: Mapping[str, Any]) -> dict[str, Any]:
        return {"keys": [public_jwk(key, algorithm_of(key), kid=kid) for kid, key in keys.items()]}

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "identity": "roles",
            "oidc_issuer": ISSUER,
            "oidc_keys": str(self.jwks),
            "administrators": "users/ada",
            "strangers_per_second": 0.0,  # No limit: every wrong credential shall be looked at, and recorded.
        } | more

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good token of Ada; one given as None is left out."""
        now = int(time.time())
        usual = {"iss": ISSUER, "aud": "modelog", "sub": "ada", "iat": now, "exp": now + 600}
        return {name: value for name, value in (usual | changed).items() if value is not None}

    def signed(self, claims: Any, header: Mapping[str, Any], key: Any = None, algorithm: str = "EdDSA") -> str:
        """header and claims as given, with the signature of a key, however little they fit together."""
        text = f"{encoded(header)}.{encoded(claims)}"
        signature = _ALGORITHMS[algorithm].sign(text.encode(), key or self.keys[algorithm])
        return f"{text}.{encoded(signature)}"

    def token(self, algorithm: str = "EdDSA", header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A good token, but for what is changed in it."""
        head = {"alg": algorithm, "kid": algorithm, "typ": "JWT"} | dict(header or {})
        head = {name: value for name, value in head.items() if value is not None}
        return self.signed(self.claims(**claims), head, algorithm=algorithm)

    def keyed_with_the_public_key(self, algorithm: str) -> str:
        """HS256 with what everybody knows: the oldest trick against verifiers that believe the header."""
        text = f"{encoded({'alg': 'HS256', 'kid': algorithm})}.{encoded(self.claims())}"
        public = self.keys[algorithm].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return f"{text}.{encoded(hmac.new(public, text.encode(), hashlib.sha256).digest())}"


def algorithm_of(key: Any) -> str:
    match key:
        case rsa.RSAPrivateKey():
            return "RS256"
        case ec.EllipticCurvePrivateKey():
            return "ES256"
        case _:
            return "EdDSA"


def bearer(token: str, *more: tuple[str, str]) -> Metadata:
    return (("authorization", f"Bearer {token}"), *more)


def nested_act(subjects: Sequence[Any]) -> dict[str, Any]:
    """`act` in `act`, the first outermost."""
    claim: dict[str, Any] = {}
    for subject in reversed(subjects):
        claim = {"sub": subject, **({"act": claim} if claim else {})}
    return claim
