"""DSSE envelopes (github.com/secure-systems-lab/dsse, version 1), alone or inside a Sigstore bundle."""

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from modelog.provenance.keys import Key, key_of, sign

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MOST_BYTES = 65_536
_MOST_SIGNATURES = 4


class BadEnvelope(ValueError):
    """Not a signed statement as it is understood here."""


class Signature(NamedTuple):
    """keyid: a hint, believed by nobody; empty when there is none."""

    keyid: str
    value: bytes


class Envelope(NamedTuple):
    """What was signed, and by whom as far as they say."""

    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def message(self) -> bytes:
        """What the signatures are over."""
        return encoded(self.payload)

    def signed_by(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that made one of the signatures, whatever the hints say."""
        message = self.message
        return [key for key in keys if any(key.verifies(one.value, message) for one in self.signatures)]

    def names(self, key: Key) -> bool:
        """Whether a signature says that this key made it."""
        return any(one.keyid in (key.id, key.hint) for one in self.signatures if one.keyid)


def encoded(payload: bytes) -> bytes:
    """The pre-authentication encoding: what a signature is made over."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def seal(payload: bytes, key: Any) -> bytes:
    """The envelope of a payload, signed with a private key."""
    signature = sign(key, encoded(payload))
    made = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key_of(key.public_key()).id, "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(made, separators=(",", ":")).encode()


def opened(raw: bytes) -> Envelope:
    """The envelope in these bytes; BadEnvelope when there is none."""
    if len(raw) > MOST_BYTES:
        raise BadEnvelope(f"larger than {MOST_BYTES} bytes")
    outer: Any = parsed(raw)
    hint = ""
    if "dsseEnvelope" in outer:
        hint = _hint(outer)
        outer = outer["dsseEnvelope"]
    if not isinstance(outer, dict) or outer.get("payloadType") != PAYLOAD_TYPE:
        raise BadEnvelope(f"no DSSE envelope whose payloadType is {PAYLOAD_TYPE}")
    signatures = outer.get("signatures")
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= _MOST_SIGNATURES:
        raise BadEnvelope(f"it has to have 1 to {_MOST_SIGNATURES} signatures")
    return Envelope(_bytes(outer.get("payload")), tuple(_signature(one, hint) for one in signatures))


def parsed(raw: bytes) -> dict[str, Any]:
    """A JSON object; BadEnvelope for anything else."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadEnvelope("not JSON") from error
    if not isinstance(value, dict):
        raise BadEnvelope("not a JSON object")
    return value


def _hint(bundle: dict[str, Any]) -> str:
    """Which key a bundle says it was signed with."""
    material = bundle.get("verificationMaterial")
    key = material.get("publicKey") if isinstance(material, dict) else None
    hint = key.get("hint") if isinstance(key, dict) else None
    return hint if isinstance(hint, str) else ""


def _signature(one: Any, hint: str) -> Signature:
    if not isinstance(one, dict):
        raise BadEnvelope("a signature is not an object")
    keyid = one.get("keyid") or hint
    return Signature(keyid if isinstance(keyid, str) else "", _bytes(one.get("sig")))


def _bytes(text: Any) -> bytes:
    """Base64 in either alphabet, as DSSE allows."""
    if not isinstance(text, str):
        raise BadEnvelope("payload and signatures have to be base64")
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise BadEnvelope("payload and signatures have to be base64") from error
