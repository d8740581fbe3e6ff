"""The log's key over time: the one that is trusted, and those that follow from it by notes that both sides signed.

A rotation is a signed note: origin, `log-key-rotation/v1`, size, root, vkey of the old key, vkey of the new one. Trust
goes along it in both directions; each key counts only for the sizes for which it was in use.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from modelog.audit.note import BadNote, Key, NotSigned, decode64

_ROTATION = "log-key-rotation/v1"


class _Rotation(NamedTuple):
    size: int
    old: str
    new: str


class Keys:
    """All keys that follow from the trusted one. Verifies notes as a Key does."""

    def __init__(self, vkey: str, rotations: Iterable[str] = ()) -> None:
        """rotations: notes, in any order; what does not hold is left out. BadNote when vkey itself is damaged."""
        trusted = vkey.strip()
        self.name = Key(trusted).name
        found = [one for note in rotations if (one := _opened(note, self.name))]
        into = {one.new: one for one in found}
        out = {one.old: one for one in found}
        vkeys, at = [trusted], trusted
        while at in into and into[at].old not in vkeys:
            at = into[at].old
            vkeys.insert(0, at)
        at = trusted
        while at in out and out[at].new not in vkeys:
            at = out[at].new
            vkeys.append(at)
        self._keys = [
            (Key(one), into[one].size + 1 if one in into else 0, out[one].size if one in out else 0) for one in vkeys
        ]

    def text(self, note: str) -> str:
        """What the note says, once a signature of the key that was in use for it holds; BadNote otherwise."""
        for key, first, last in self._keys:
            try:
                text = key.text(note)
            except NotSigned:
                continue
            size = text.split("\n")[1]
            if size.isdecimal() and not (first <= int(size) and (not last or int(size) <= last)):
                raise BadNote(f"signed for size {size} by a key that was in use from {first} to {last or 'now'}")
            return text
        raise NotSigned(f"not signed by {self.name} with a key that follows from the trusted one")


def _opened(note: str, origin: str) -> _Rotation | None:
    """A rotation that both keys signed."""
    lines = note.split("\n")
    if len(lines) < 6 or lines[:2] != [origin, _ROTATION] or not lines[2].isdecimal():
        return None
    try:
        texts = {Key(lines[4]).text(note), Key(lines[5]).text(note)}
    except BadNote:
        return None
    return _Rotation(int(lines[2]), lines[4], lines[5]) if len(texts) == 1 else None


class WitnessKey:
    """The public key of a witness, for cosignatures (C2SP tlog-cosignature, Ed25519)."""

    def __init__(self, vkey: str) -> None:
        self.name, _, rest = vkey.strip().partition("+")
        digits, _, encoded = rest.partition("+")
        raw = decode64(encoded)
        self._identity = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        if len(raw) != 33 or raw[0] != 4 or self._identity.hex() != digits:
            raise BadNote("not an Ed25519 verifier key of a witness, or damaged on its way")
        self._public = Ed25519PublicKey.from_public_bytes(raw[1:])

    def time(self, note: str) -> int:
        """When the witness vouched for the checkpoint, seconds since 1970; BadNote when it did not."""
        text, _, tail = note.rpartition("\n\n")
        for line in tail.splitlines():
            fields = line.split(" ")
            if len(fields) != 3 or fields[:2] != ["—", self.name]:
                continue
            blob = base64.b64decode(fields[2])
            if len(blob) == 76 and blob[:4] == self._identity:
                seconds = int.from_bytes(blob[4:12])
                try:
                    self._public.verify(blob[12:], f"cosignature/v1\ntime {seconds}\n{text}\n".encode())
                except InvalidSignature:
                    raise BadNote(f"the cosignature of {self.name} does not belong to this checkpoint") from None
                return seconds
        raise BadNote(f"not cosigned by {self.name}")
