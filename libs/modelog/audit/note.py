"""Signed notes and checkpoints (C2SP), Ed25519 only."""

import base64
import hashlib
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class BadNote(ValueError):
    """A checkpoint or key that is damaged, or signed by somebody else."""


class NotSigned(BadNote):
    """Not by this key, whatever else it may be."""


class Verifies(Protocol):
    """A key, or several of which one has signed."""

    def text(self, note: str) -> str:
        """What the note says, once its signature holds; BadNote otherwise."""


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


class Key:
    """A public key in its text form `name+hash+base64`."""

    def __init__(self, vkey: str) -> None:
        name, _, rest = vkey.strip().partition("+")
        digits, _, encoded = rest.partition("+")
        raw = decode64(encoded)
        identity = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if len(raw) != 33 or raw[0] != 1:
            raise BadNote("not an Ed25519 verifier key")
        if identity.hex() != digits:
            raise BadNote("the verifier key was damaged on its way: its hash does not match")
        self.name = name
        self._identity = identity
        self._public = Ed25519PublicKey.from_public_bytes(raw[1:])

    def text(self, note: str) -> str:
        """What the note says, once its signature by this key holds; BadNote otherwise."""
        text, gap, tail = note.rpartition("\n\n")
        if not gap:
            raise BadNote("not a signed note")
        for line in tail.splitlines():
            mark, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            if mark != "—" or name != self.name:
                continue
            blob = decode64(encoded)
            if blob[:4] == self._identity:
                try:
                    self._public.verify(blob[4:], (text + "\n").encode())
                except InvalidSignature:
                    raise BadNote(f"the signature of {name} does not belong to this text") from None
                return text + "\n"
        raise NotSigned(f"not signed by {self.name}")


def open_checkpoint(note: str, key: Verifies) -> Checkpoint:
    """The checkpoint inside a note signed by the key; BadNote otherwise."""
    lines = key.text(note).split("\n")
    if len(lines) < 4 or not lines[1].isdecimal() or len(decode64(lines[2])) != 32:
        raise BadNote("the signed text is not a checkpoint")
    return Checkpoint(lines[0], int(lines[1]), decode64(lines[2]))


def decode64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadNote(f"not base64: {text!r}") from error
