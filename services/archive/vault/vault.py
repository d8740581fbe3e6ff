"""The copy on the disk: segments of 16,384 facts, appended to, synced, closed and never written again.

    000000000001.seg   the records of revisions 1 to 16,384 (see segment.py); read-only once it is full
    closed.jsonl       one line a full segment: first revision, bytes, SHA-256 of the file, root of its subtree
    state.json         whether the copy goes on, and if not, why

A segment is exactly one node of the tree at level 14, so the root of the whole copy takes the lines of closed.jsonl and
what is in the open segment.
"""

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kernel.log import Entry
from services.archive.files import append_line, drop_torn_line, read_json, read_lines, sync_folder, write_json
from services.archive.merkle import leaf_hash, node_hash, span_hash
from services.archive.vault.levels import Levels
from services.archive.vault.segment import Damage, frame, records

LEVEL = 14
FACTS = 1 << LEVEL
_CLOSED = "closed.jsonl"


class CopyTrouble(Exception):
    """The copy cannot go on; a person must look. reason is UPPER_SNAKE and stable."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Vault:
    """One process appends, under the service's fence, after `open()`; any process may read."""

    def __init__(self, folder: Path, level: int = LEVEL) -> None:
        """level: 2**level facts go into a segment; another one only in tests."""
        self.folder = folder
        self._level = level
        self.facts = 1 << level
        self._roots: list[bytes] = []
        self._levels = Levels()
        self._bytes = 0
        self._lock = threading.Lock()  # Appending waits for the disk in a thread of its own.

    @property
    def size(self) -> int:
        """Facts kept, which is the revision of the last one."""
        return len(self._roots) * self.facts + len(self._levels)

    def open(self, promised: int = 0) -> None:
        """Takes up what is there. What a crash left of an append is cut off, unless that would take a fact that
        somebody was told is kept: `promised` is the highest such revision. Raises CopyTrouble."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        drop_torn_line(self.folder / _CLOSED)
        closed = read_lines(self.folder / _CLOSED)
        self._roots = [bytes.fromhex(line["root"]) for line in closed]
        for number, line in enumerate(closed):
            path = self.path(number)
            if not path.exists() or path.stat().st_size != line["bytes"]:
                raise CopyTrouble("COPY_DAMAGED", f"{path.name} is not as long as when it was closed")
        self._take_up(promised)
        if self.size < promised and self.any():
            raise CopyTrouble("COPY_CUT", f"the copy ends at {self.size} although it was kept up to {promised}")

    def any(self) -> bool:
        """Whether there is a copy at all."""
        return self.path(0).exists()

    def _take_up(self, promised: int) -> None:
        """The open segment: its tree, and where its last record ends."""
        number = len(self._roots)
        self._levels, self._bytes = Levels(), 0
        path = self.path(number)
        if not path.exists():
            return
        data, wanted = path.read_bytes(), number * self.facts + 1
        for offset, one in records(data):
            if isinstance(one, Damage) and offset + one.length == len(data) and wanted > promised:
                os.truncate(path, offset)  # An append that a crash cut short: nobody was told of it.
                break
            if isinstance(one, Damage) or one.revision != wanted:
                raise CopyTrouble("COPY_DAMAGED", f"{path.name} holds no record of revision {wanted} at byte {offset}")
            self._levels.push(leaf_hash(one.payload))
            self._bytes = offset + len(frame(one))
            wanted += 1
        if len(self._levels) >= self.facts:
            self._close()

    def append(self, entries: Sequence[Entry]) -> None:
        """Keeps what follows; it is on the disk when this returns. CopyTrouble when it does not follow."""
        at = 0
        while at < len(entries):
            with self._lock:
                at += self._append_some(entries[at:])

    def _append_some(self, entries: Sequence[Entry]) -> int:
        """As many as go into the open segment."""
        part = entries[: self.facts - len(self._levels)]
        self._append(part)
        if len(self._levels) == self.facts:
            self._close()
        return len(part)

    def _append(self, entries: Sequence[Entry]) -> None:
        for revision, entry in enumerate(entries, self.size + 1):
            if entry.revision != revision:
                raise CopyTrouble("OUT_OF_ORDER", f"revision {entry.revision} cannot follow {revision - 1}")
        path = self.path(len(self._roots))
        new = not path.exists()
        data = b"".join(map(frame, entries))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(descriptor).st_size != self._bytes:
                raise CopyTrouble("COPY_DAMAGED", f"somebody else has written into {path.name}")
            written = os.write(descriptor, data)
            while written < len(data):
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self.folder)
        self._bytes += len(data)
        for entry in entries:
            self._levels.push(leaf_hash(entry.payload))

    def _close(self) -> None:
        path = self.path(len(self._roots))
        root = self._levels.node(self._level, 0)
        path.chmod(0o400)
        line = {
            "first": len(self._roots) * self.facts + 1,
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "root": root.hex(),
        }
        append_line(self.folder / _CLOSED, line)
        self._roots.append(root)
        self._levels, self._bytes = Levels(), 0

    def root(self, size: int) -> bytes:
        """Root over the first `size` facts. KeyError when the copy is shorter, or damaged where it is read."""
        with self._lock:
            if size > self.size:
                raise KeyError(f"the copy ends at {self.size}")
            return self._root(size)

    def _root(self, size: int) -> bytes:
        trees = {len(self._roots): self._levels}

        def node(level: int, index: int) -> bytes:
            if level > self._level:
                return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))
            number = index >> (self._level - level)
            if level == self._level and number < len(self._roots):
                return self._roots[number]
            if number not in trees:
                trees[number] = self._read_levels(number)
            return trees[number].node(level, index - (number << (self._level - level)))

        return span_hash((0, size), node)

    def _read_levels(self, number: int) -> Levels:
        """The tree over a closed segment, from its file."""
        levels = Levels()
        for offset, one in records(self.path(number).read_bytes()):
            if isinstance(one, Damage):
                raise KeyError(f"{self.path(number).name} is damaged at byte {offset}")
            levels.push(leaf_hash(one.payload))
        return levels

    def path(self, number: int) -> Path:
        return self.folder / f"{number * self.facts + 1:012d}.seg"

    def segments(self) -> list[tuple[int, Path]]:
        """First revision and file of every segment, in order; read from the folder, whoever appends."""
        found = [(int(path.stem), path) for path in self.folder.glob("*.seg") if path.stem.isdecimal()]
        return sorted(found)

    def end(self) -> int:
        """Revision of the last fact in the files, whoever appends; 0 when there is none that can be read."""
        segments = self.segments()
        found = (
            (one.revision for _, one in records(segments[-1][1].read_bytes()) if isinstance(one, Entry))
            if segments
            else ()
        )
        return max(found, default=segments[-1][0] - 1 if segments else 0)

    def closed(self) -> list[dict[str, Any]]:
        """The lines of closed.jsonl."""
        return read_lines(self.folder / _CLOSED)

    def read(self, first: int, last: int) -> Iterator[Entry]:
        """What is kept of these revisions, both included, in the order it lies there, whoever appends."""
        for start, path in self.segments():
            if start <= last and start + self.facts > first:
                for _, one in records(path.read_bytes()):
                    if isinstance(one, Entry) and first <= one.revision <= last:
                        yield one

    def state(self) -> dict[str, Any]:
        """What whoever keeps the copy last said: state, reason, message; empty before the first start."""
        return read_json(self.folder / "state.json") or {}

    def say(self, state: str, reason: str = "", message: str = "") -> bool:
        """Writes the state down where it is new; True when it was."""
        value = {"state": state, "reason": reason, "message": message}
        if value == self.state():
            return False
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(self.folder / "state.json", value)
        return True
