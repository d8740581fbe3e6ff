"""Every checkpoint ever signed, in a file beside the log: not in it, and not in the schema that a rebuild drops.

checkpoints.jsonl  one line a checkpoint: size, root, time, note; only ever appended to
head.json          size and root the notary is about to sign, written first: two different roots are never signed
state.json         whether the notary signs, and if not, why
"""

import asyncio
import hashlib
import json
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kernel.errors import invalid_field
from services.archive.checkpoint import Head
from services.archive.files import append_line, drop_torn_line, read_json, write_atomically

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Signed:
    """One checkpoint. time: ISO 8601, by the notary's clock. sha256: of its line in the file."""

    head: Head
    note: str
    time: str
    sha256: str


class Checkpoints:
    """Reads the file, and what another process appends to it; only the index is kept in memory, 16 bytes each."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder = folder
        self.origin = origin
        self._path = folder / "checkpoints.jsonl"
        self._sizes = array("q")
        self._offsets = array("q")
        self._end = 0

    def refresh(self) -> None:
        """Takes up whole lines that are new."""
        if not self._path.exists() or self._path.stat().st_size <= self._end:
            return
        with self._path.open("rb") as file:
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._sizes.append(json.loads(line)["size"])
                self._offsets.append(self._end)
                self._end += len(line)

    def count(self) -> int:
        self.refresh()
        return len(self._sizes)

    def number(self, place: int) -> Signed:
        """The checkpoint at a place, 0 being the oldest."""
        with self._path.open("rb") as file:
            file.seek(self._offsets[place])
            raw = file.readline()
        line, digest = json.loads(raw), hashlib.sha256(raw.rstrip(b"\n")).hexdigest()
        return Signed(Head(self.origin, line["size"], bytes.fromhex(line["root"])), line["note"], line["time"], digest)

    def newest(self) -> Signed | None:
        self.refresh()
        return self.number(len(self._sizes) - 1) if self._sizes else None

    def of_size(self, size: int) -> Signed | None:
        """The one of exactly this size."""
        found = self.covering(size)
        return found if found and found.head.size == size else None

    def covering(self, revision: int) -> Signed | None:
        """The first that covers the revision; always the same one, once there is one."""
        self.refresh()
        place = bisect_left(self._sizes, revision)
        return self.number(place) if place < len(self._sizes) else None

    async def wait_covering(self, revision: int) -> Signed:
        """Waits until a checkpoint covers the revision; whoever calls bounds it."""
        while (found := self.covering(revision)) is None:
            await asyncio.sleep(_POLL_SECONDS)
        return found

    def sample(self, low: int, high: int, most: int) -> list[Signed]:
        """Checkpoints with low <= size < high, evenly chosen when there are more than `most`."""
        self.refresh()
        first, last = bisect_left(self._sizes, low), bisect_left(self._sizes, high)
        step = max(1, -(-(last - first) // most))
        return [self.number(place) for place in range(first, last, step)]

    def page(self, before: int, limit: int) -> list[tuple[int, Signed]]:
        """Newest first, from the place before `before` (0: from the end), each with its place + 1."""
        self.refresh()
        start = min(before - 1 if before else len(self._sizes), len(self._sizes))
        return [(place + 1, self.number(place)) for place in range(start - 1, max(start - 1 - limit, -1), -1)]

    def state(self) -> dict[str, Any]:
        """What the notary last said of itself: state, reason, message; empty before its first start."""
        return read_json(self.folder / "state.json") or {}


class Ledger:
    """The notary's side: the only one that writes. One process at a time, under the service's fence."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._folder = checkpoints.folder
        self._state: dict[str, Any] | None = None

    def open(self) -> None:
        """Drops what a crash left half written."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        drop_torn_line(self._folder / "checkpoints.jsonl")

    def head(self) -> Head | None:
        """The last head that was signed or was about to be: nothing may ever contradict it."""
        value = read_json(self._folder / "head.json")
        newest = self._checkpoints.newest()
        meant = Head(self._checkpoints.origin, value["size"], bytes.fromhex(value["root"])) if value else None
        if newest and (meant is None or meant.size < newest.head.size):
            return newest.head  # head.json was lost or is older; the signed line is the stronger witness.
        return meant

    def recorded(self, head: Head) -> bool:
        """Whether the signed note of this head is in the file."""
        newest = self._checkpoints.newest()
        return newest is not None and newest.head == head

    def intend(self, head: Head) -> None:
        value = {"size": head.size, "root": head.root.hex()}
        write_atomically(self._folder / "head.json", (json.dumps(value) + "\n").encode())

    def record(self, head: Head, note: str, time: datetime) -> None:
        line = {"size": head.size, "root": head.root.hex(), "time": time.isoformat(), "note": note}
        append_line(self._folder / "checkpoints.jsonl", line)

    def say(self, state: str, reason: str = "", message: str = "") -> bool:
        """Writes the notary's state down where it is new; True when it was."""
        value = {"state": state, "reason": reason, "message": message}
        if value == self._state:
            return False
        self._state = value
        write_atomically(self._folder / "state.json", (json.dumps(value) + "\n").encode())
        return True


def place_of(token: str) -> int:
    """The place a page token stands for."""
    if not token:
        return 0
    if not token.isdecimal():
        raise invalid_field("page_token", "take it unchanged from the last reply")
    return int(token)
