"""The log's port in memory. It passes the same contract suite as JetStream, so tests of decisions may rely on it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from kernel.log import Entry, Hole, SameId, WrongRevision
from kernel.pin import PINNED


class MemoryLog:
    """One list of entries, and the last revision of each subject."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._last: dict[str, int] = {}
        self._ids: dict[str, Entry] = {}
        self._grown = asyncio.Condition()

    async def append(self, subject: str, payload: bytes, *, expected: int, fact_id: str, event: str) -> int:
        known = self._ids.get(fact_id)
        if known is not None:
            if known.payload == payload and known.subject == subject:
                return known.revision
            raise SameId(known)
        if self._last.get(subject, 0) != expected:
            raise WrongRevision(subject)
        entry = self.put(subject, payload)
        self._ids[fact_id] = entry
        async with self._grown:
            self._grown.notify_all()
        return entry.revision

    def put(self, subject: str, payload: bytes) -> Entry:
        """Stores an entry without any guard, as somebody with too many rights could."""
        entry = Entry(len(self.entries) + 1, subject, payload)
        self.entries.append(entry)
        self._last[subject] = entry.revision
        return entry

    async def next(self, subject: str, after: int) -> Entry | None:
        return next((entry for entry in self.entries[after:] if entry.subject == subject), None)

    async def head(self) -> int:
        return len(self.entries)

    async def configuration(self) -> Mapping[str, Any]:
        return PINNED

    async def follow(
        self, after: int, *, linger_seconds: float = 0.0, below: str = ""
    ) -> AsyncIterator[Sequence[Entry]]:
        if after > len(self.entries):
            raise Hole(after + 1, len(self.entries))
        while True:
            if after < len(self.entries):
                batch = self.entries[after : after + 1000]
                after = batch[-1].revision
                if wanted := [entry for entry in batch if not below or entry.subject.startswith(f"{below}.")]:
                    yield wanted
            else:
                await self._grow(after)

    async def _grow(self, after: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: after < len(self.entries))
