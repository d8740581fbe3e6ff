"""What the witness has vouched for, and its key, in files of its own.

witness.key          its Ed25519 key, mode 0400, made at the first start
witness.json         its public key (vkey), and the log key that it began with
head.json            size and root it is about to vouch for, written first: two different roots are never cosigned
cosignatures.jsonl   one line a checkpoint: size, root, time, cosignature; only ever appended to
state.json           whether it vouches, and if not, why
"""

import asyncio
import base64
import binascii
import json
from bisect import bisect_left
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from services.archive.checkpoint import BadNote, Head
from services.archive.files import (
    append_line,
    drop_torn_line,
    read_json,
    sync_folder,
    write_json,
    write_synced,
)
from services.archive.keys import KeyTrouble
from services.archive.witness.cosignature import Cosigner, cosigner_of

_POLL_SECONDS = 0.05


class Vouched(NamedTuple):
    """One cosignature. seconds: since 1970, by the witness's clock."""

    head: Head
    seconds: int
    line: str


class Statements:
    """Reads what was vouched for, and what another process appends; only an index is kept in memory."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder = folder
        self.origin = origin
        self.path = folder / "cosignatures.jsonl"
        self._sizes: list[int] = []
        self._offsets: list[int] = []
        self._end = 0

    def refresh(self) -> None:
        """Takes up whole lines that are new."""
        if not self.path.exists() or self.path.stat().st_size <= self._end:
            return
        with self.path.open("rb") as file:
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._sizes.append(json.loads(line)["size"])
                self._offsets.append(self._end)
                self._end += len(line)

    def _at(self, place: int) -> Vouched:
        with self.path.open("rb") as file:
            file.seek(self._offsets[place])
            line = json.loads(file.readline())
        return Vouched(Head(self.origin, line["size"], bytes.fromhex(line["root"])), line["time"], line["cosignature"])

    def newest(self) -> Vouched | None:
        self.refresh()
        return self._at(-1) if self._sizes else None

    def of_size(self, size: int) -> Vouched | None:
        self.refresh()
        place = bisect_left(self._sizes, size)
        return self._at(place) if place < len(self._sizes) and self._sizes[place] == size else None

    async def wait_size(self, size: int) -> Vouched:
        """Waits until the checkpoint of this size is vouched for; whoever calls bounds it."""
        while (found := self.of_size(size)) is None:
            await asyncio.sleep(_POLL_SECONDS)
        return found

    def head(self) -> Head | None:
        """The last head that was vouched for or was about to be: nothing may ever contradict it."""
        value, newest = read_json(self.folder / "head.json"), self.newest()
        meant = Head(self.origin, value["size"], bytes.fromhex(value["root"])) if value else None
        if newest and (meant is None or meant.size < newest.head.size):
            return newest.head
        return meant

    def promised(self) -> int:
        """Size of the last head that was vouched for: the copy was seen to hold so many facts."""
        head = self.head()
        return head.size if head else 0

    def public(self) -> dict[str, Any]:
        """vkey of the witness and the log's vkey it began with; empty before its first start."""
        return read_json(self.folder / "witness.json") or {}

    def state(self) -> dict[str, Any]:
        """What the witness last said of itself: state, reason, message; empty before its first start."""
        return read_json(self.folder / "state.json") or {}

    # -- the witness's side: the only one that writes, under the service's fence

    def open(self, name: str, log_vkey: str) -> Ed25519PrivateKey:
        """The witness's key, made at the first start; drops what a crash left half written."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        drop_torn_line(self.path)
        key = open_witness_key(self.folder / "witness.key", made_before=(self.folder / "witness.json").exists())
        if not self.public():
            write_json(self.folder / "witness.json", {"vkey": cosigner_of(name, key).vkey, "log_vkey": log_vkey})
        if self.public()["vkey"] != cosigner_of(name, key).vkey:
            raise KeyTrouble("the witness's key is not the one it began with: put the old one back from the backup")
        return key

    def intend(self, head: Head) -> None:
        write_json(self.folder / "head.json", {"size": head.size, "root": head.root.hex()})

    def record(self, vouched: Vouched, checkpoint_sha256: str, key: Ed25519PrivateKey) -> None:
        """checkpoint_sha256: of the line that was looked at. Each line names the one before it, and is signed."""
        newest = self.newest()
        line: dict[str, Any] = {
            "size": vouched.head.size,
            "root": vouched.head.root.hex(),
            "time": vouched.seconds,
            "cosignature": vouched.line,
            "checkpoint_sha256": checkpoint_sha256,
            "before": newest.head.size if newest else 0,
        }
        line["seal"] = base64.b64encode(key.sign(_sealed_text(line))).decode()
        append_line(self.path, line)

    def say(self, state: str, reason: str = "", message: str = "") -> bool:
        """Writes the state down where it is new; True when it was."""
        value = {"state": state, "reason": reason, "message": message}
        if value == self.state():
            return False
        write_json(self.folder / "state.json", value)
        return True


def open_witness_key(path: Path, *, made_before: bool) -> Ed25519PrivateKey:
    if not path.exists():
        if made_before:
            raise KeyTrouble(f"{path} is gone although checkpoints were cosigned with it: put it back from the backup")
        key = Ed25519PrivateKey.generate()
        write_synced(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o400)
        sync_folder(path.parent)
    if path.stat().st_mode & 0o077:
        raise KeyTrouble(f"{path} can be read by others: chmod 0400, and think about who may have read it")
    loaded = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise KeyTrouble(f"{path} is not an Ed25519 key")
    return loaded


def _sealed_text(line: dict[str, Any]) -> bytes:
    told = {name: value for name, value in line.items() if name != "seal"}
    return b"modelog-witness-line/v1\n" + json.dumps(told, sort_keys=True).encode()


def sealed_by(cosigner: Cosigner, line: dict[str, Any]) -> None:
    """BadNote unless the whole line is as the witness wrote it."""
    try:
        blob = base64.b64decode(line["seal"], validate=True)
        Ed25519PublicKey.from_public_bytes(cosigner.public).verify(blob, _sealed_text(line))
    except (InvalidSignature, binascii.Error, KeyError, TypeError) as error:
        raise BadNote("the line is not as the witness wrote it") from error
