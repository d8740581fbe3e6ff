"""Checkpoints as signed notes (C2SP signed-note and tlog-checkpoint), Ed25519, signature type 0x01. Pure.

origin
size
base64(root)
                                <- empty line
— name base64(4 bytes of key hash + 64 bytes of signature)
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class BadNote(ValueError):
    """Not a note, or not one signed by the key."""


class NotSigned(BadNote):
    """Not by this key, whatever else it may be."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a checkpoint says: origin, number of leaves, 32 bytes of root."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The text that is signed, its last newline included."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name it signs under."""

    name: str
    public: bytes

    @property
    def key_hash(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        """`name+hash+base64`, as people hand it around."""
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def text(self, note: str) -> str:
        """The text of a note that this key signed; BadNote otherwise. Signatures of other keys are ignored."""
        body, signatures = _parts(note)
        for name, blob in signatures:
            if name == self.name and blob[:4] == self.key_hash:
                try:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(blob[4:], body.encode())
                except InvalidSignature:
                    raise BadNote("the signature does not belong to this text") from None
                return body
        raise NotSigned(f"no signature of {self.name}")

    def open(self, note: str) -> Head:
        """The head in a checkpoint that this key signed; BadNote otherwise."""
        return _head(self.text(note))


def parse_vkey(vkey: str) -> Verifier:
    """A verifier from its text form; BadNote when the text is damaged or of another kind of key."""
    parts = vkey.strip().split("+", 2)
    if len(parts) != 3:
        raise BadNote("a verifier key is name+hash+base64")
    raw = _unbase64(parts[2])
    if len(raw) != 33 or raw[:1] != _ED25519:
        raise BadNote("not an Ed25519 verifier key")
    verifier = Verifier(parts[0], raw[1:])
    if verifier.key_hash.hex() != parts[1]:
        raise BadNote("the key's hash does not match: it was damaged on its way")
    return verifier


def verifier_of(name: str, key: Ed25519PrivateKey) -> Verifier:
    if not name or any(character.isspace() or character == "+" for character in name):
        raise ValueError(f"not a key name: {name!r}")
    return Verifier(name, key.public_key().public_bytes_raw())


def sign(head: Head, key: Ed25519PrivateKey) -> str:
    """The checkpoint, signed under its origin's name. Ed25519 is deterministic: the same head gives the same bytes."""
    return sign_text(head.body(), head.origin, key)


def sign_text(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """A signed note; `text` ends in a newline."""
    blob = verifier_of(name, key).key_hash + key.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(blob).decode()}\n"


def _parts(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    body, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise BadNote("not a signed note")
    signatures = []
    for line in tail.removesuffix("\n").split("\n"):
        fields = line.split(" ")
        if len(fields) != 3 or fields[0] != "—" or not fields[1]:
            raise BadNote(f"not a signature line: {line!r}")
        blob = _unbase64(fields[2])
        if len(blob) < 5:
            raise BadNote(f"too short a signature: {line!r}")
        signatures.append((fields[1], blob))
    return body + "\n", signatures


def _head(body: str) -> Head:
    lines = body.split("\n")
    if len(lines) < 4 or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise BadNote("not a checkpoint: origin, size and root are wanted")
    root = _unbase64(lines[2])
    if len(root) != 32:
        raise BadNote("the root is not 32 bytes")
    return Head(lines[0], int(lines[1]), root)


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote(f"not base64: {text!r}") from None
