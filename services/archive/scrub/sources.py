"""The stores that hold facts, read side by side, a block of revisions at a time."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from kernel.log import Entry, Hole, Log
from kernel.tasks import end as ended
from services.archive.reading import Row, row_of
from services.archive.scrub.findings import Report, Store
from services.archive.tiles import HASH_BYTES, TileId
from services.archive.vault.segment import Damage, records
from services.archive.vault.vault import Vault

_SILENCE_SECONDS = 1.0

Found = list[Entry | None]


class Tables(Protocol):
    """The archive's views, as far as facts and their tree stand in them."""

    async def rows(self, first: int, last: int) -> Sequence[Row]:
        """Rows of table entry, in order."""

    async def tiles(self, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
        """Those that are there."""


class LogSource:
    """The log itself, followed once from its beginning. Behind a hole it goes on with what is there."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._entries: dict[int, Entry] = {}
        self._at = 0
        self._over = False
        self._following: AsyncIterator[Sequence[Entry]] | None = None
        self._waiting: asyncio.Task[Any] | None = None

    async def read(self, first: int, last: int) -> Found:
        while self._at < last and not self._over:
            await self._more()
        return [self._entries.pop(revision, None) for revision in range(first, last + 1)]

    async def _more(self) -> None:
        if self._following is None:
            self._following = self._log.follow(self._at)
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(anext(self._following))
        done, _ = await asyncio.wait({self._waiting}, timeout=_SILENCE_SECONDS)
        if not done:
            self._over = True  # Whoever asks knows that there should be more.
            return
        task, self._waiting = self._waiting, None
        try:
            entries: Sequence[Entry] = task.result()
        except Hole as hole:
            self._following = None
            self._over = hole.found <= self._at
            self._at = max(self._at, hole.found - 1)
            return
        self._entries.update((one.revision, one) for one in entries)
        self._at = entries[-1].revision

    async def close(self) -> None:
        if self._waiting is not None:
            await ended([self._waiting])
        if self._following is not None:
            with suppress(RuntimeError):
                await self._following.aclose()  # type: ignore[attr-defined]


class Kept(NamedTuple):
    """A segment of the copy as it lies there: records by revision, and revisions whose bytes are no record any more."""

    first: int
    entries: dict[int, Entry]
    damaged: set[int]


class CopySource:
    """The copy; what is out of its place in a file is reported as it is read."""

    def __init__(self, vault: Vault, report: Report) -> None:
        self._segments = vault.segments()
        self._closed = {line["first"]: line for line in vault.closed()}
        self._facts = vault.facts
        self._report = report
        self._kept: Kept | None = None
        self._noted: set[int] = set()

    def read(self, first: int, last: int) -> Found:
        return [self._segment(revision).entries.get(revision) for revision in range(first, last + 1)]

    def damaged(self, revision: int) -> bool:
        """Whether something stands in the place of this fact that cannot be read."""
        return revision in self._segment(revision).damaged

    def _segment(self, revision: int) -> Kept:
        first = (revision - 1) // self._facts * self._facts + 1
        if self._kept is None or self._kept.first != first:
            self._kept = self._read(first)
            self._noted.add(first)
        return self._kept

    def _read(self, first: int) -> Kept:
        path = dict(self._segments).get(first)
        kept = Kept(first, {}, set())
        if path is None:
            return kept
        data, before, noise = path.read_bytes(), first - 1, []
        for _, one in records(data):
            if isinstance(one, Damage):
                noise.append((before, one))
            elif one.revision in kept.entries or not first <= one.revision < first + self._facts:
                self._say(first, "INSERTED", f"{path.name} holds a record that does not belong there", one.revision)
            else:
                if one.revision < before:
                    self._say(first, "MOVED", f"{path.name} holds this record behind {before}", one.revision)
                kept.entries[one.revision] = one
                before = max(before, one.revision)
        for behind, one in noise:
            following = min((one for one in kept.entries if one > behind), default=behind + 2)
            kept.damaged.update(range(behind + 1, following))
            if following == behind + 1:
                text = f"{path.name} holds {one.length} bytes at {one.offset} that are no record"
                self._say(first, "INSERTED", text, behind + 1)
        line = self._closed.get(first)
        if line and not kept.damaged and hashlib.sha256(data).hexdigest() != line["sha256"]:
            self._say(first, "CHANGED", f"{path.name} or its line in closed.jsonl is not what it was", first)
        return kept

    def _say(self, first: int, code: str, message: str, revision: int) -> None:
        if first not in self._noted:
            self._report.found(Store.COPY, code, message, revision)


class ViewSource:
    """Table entry; columns that do not follow from the payload beside them are reported as it is read."""

    def __init__(self, tables: Tables, report: Report) -> None:
        self._tables = tables
        self._report = report

    async def read(self, first: int, last: int) -> Found:
        found: dict[int, Entry] = {}
        for row in await self._tables.rows(first, last):
            entry = Entry(row.revision, row.subject, row.payload)
            found[row.revision] = entry
            made = row_of(entry)
            if not made.resource:
                made = made._replace(resource=row.resource)  # Taken from its neighbours on the same subject.
            for column, is_there, should_be in zip(Row._fields, row, made, strict=True):
                if is_there != should_be:
                    text = f"column {column} of table entry does not follow from the payload beside it"
                    self._report.found(Store.VIEW, "CHANGED", text, row.revision)
        return [found.get(revision) for revision in range(first, last + 1)]


def leaves_in(tile: bytes | None, count: int) -> list[bytes | None]:
    """The first `count` hashes of a tile; None where it has none."""
    held = tile or b""
    cut = [held[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(count)]
    return [one if len(one) == HASH_BYTES else None for one in cut]
