"""Cosignatures of checkpoints (C2SP tlog-cosignature), Ed25519, signature type 0x04. Pure.

What is signed:

    cosignature/v1
    time <seconds since 1970>
    the text of the checkpoint

    — name base64(4 bytes of key hash + 8 bytes of time + 64 bytes of signature)
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.archive.checkpoint import BadNote

_COSIGNATURE = b"\x04"


@dataclass(frozen=True, slots=True)
class Cosigner:
    """The public key of a witness and its name."""

    name: str
    public: bytes

    @property
    def key_hash(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _COSIGNATURE + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(_COSIGNATURE + self.public).decode()}"

    def time(self, line: str, text: str) -> int:
        """When the checkpoint `text` was vouched for, seconds since 1970; BadNote when the line does not say so."""
        fields = line.strip().split(" ")
        if len(fields) != 3 or fields[:2] != ["—", self.name]:
            raise BadNote(f"no cosignature of {self.name}: {line!r}")
        try:
            blob = base64.b64decode(fields[2], validate=True)
        except (binascii.Error, ValueError):
            raise BadNote(f"not base64: {fields[2]!r}") from None
        if len(blob) != 76 or blob[:4] != self.key_hash:
            raise BadNote(f"not made with this key of {self.name}")
        seconds = int.from_bytes(blob[4:12])
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(blob[12:], _signed(seconds, text))
        except InvalidSignature:
            raise BadNote("the cosignature does not belong to this checkpoint") from None
        return seconds


def cosigner_of(name: str, key: Ed25519PrivateKey) -> Cosigner:
    return Cosigner(name, key.public_key().public_bytes_raw())


def cosign(text: str, seconds: int, name: str, key: Ed25519PrivateKey) -> str:
    """The line that goes below a checkpoint; `text` is what the checkpoint signs, its last newline included."""
    blob = cosigner_of(name, key).key_hash + seconds.to_bytes(8) + key.sign(_signed(seconds, text))
    return f"— {name} {base64.b64encode(blob).decode()}\n"


def _signed(seconds: int, text: str) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def cosigner_in(vkey: str) -> Cosigner:
    """From its text form; ValueError when that is damaged."""
    name, digits, encoded = vkey.split("+", 2)
    cosigner = Cosigner(name, base64.b64decode(encoded, validate=True)[1:])
    if cosigner.key_hash.hex() != digits:
        raise ValueError("the key's hash does not match: it was damaged on its way")
    return cosigner
