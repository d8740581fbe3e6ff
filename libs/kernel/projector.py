"""Folds the log into this service's tables, batch by batch; rows and position move in one transaction.

A batch is applied exactly once because the position moves only from where this projector left it. A fact that cannot
be read freezes its resource and nothing else. A hole in the log stops the projector for good.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import asyncpg
from google.protobuf.message import Message

from kernel import tables
from kernel.fields import Searchable
from kernel.fold import UNREADABLE, Kind
from kernel.folding import Batch, Folded, Folding, History, Item
from kernel.index import Index
from kernel.known import KnownIds
from kernel.log import Entry, Log, tail
from kernel.position import CHANNEL, Position
from kernel.postgres import Pool, quoted
from kernel.states import States

Project = Callable[[Any, Sequence[Folded]], Awaitable[None]]
Raw = Callable[[Any, Sequence[Entry]], Awaitable[None]]

_MANY = 300  # From here on COPY beats arrays.
# A batch costs nearly as much as a single fact, so after one the projector rests while more arrive: the longer, the
# busier the process is, but not so long that whoever wrote waits for the rest.
_REST = 3.0
_LONGEST_REST_SECONDS = 0.006


class Fenced(Exception):
    """Another projector has moved the position: this one must stop."""


class Projector:
    """Runs `run()` under the service's fence. project and raw take part in the transaction of every batch."""

    def __init__(
        self,
        *,
        service: str,
        schema: str,
        kinds: Sequence[Kind],
        log: Log,
        pool: Pool,
        position: Position,
        states: States | None = None,
        known: KnownIds | None = None,
        project: Project | None = None,
        projected: Collection[type[Message]] | None = None,
        raw: Raw | None = None,
        searchables: Sequence[Searchable] = (),
    ) -> None:
        self._service = service
        self._schema = quoted(schema)
        self._kinds = {kind.table: kind for kind in kinds}
        self._log = log
        self._pool = pool
        self._position = position
        self._states = states
        self._known = known
        self._project = project
        self._raw = raw
        self._index = Index(searchables)
        self._projected = () if project is None else projected
        self._folding = Folding(service, kinds, projected=self._projected)
        self._at = 0

    async def run(self) -> None:
        """Folds for ever, from where the tables are. Raises Hole, Fenced or what Postgres raises."""
        await self.open()
        loop = asyncio.get_running_loop()
        async for entries in self._log.follow(self._at):
            began = loop.time()
            await self.fold(entries)
            if len(entries) < _MANY:
                await asyncio.sleep(min(_REST * (loop.time() - began), _LONGEST_REST_SECONDS))

    async def open(self) -> None:
        """Takes up the position and the quarantine, and folds quarantined resources again: this build may read them."""
        self._folding.clear()
        self._at = await self._pool.fetchval("select revision from position")
        rows = await self._pool.fetch("select name, kind, subject, revision from quarantine order by revision")
        self._folding.frozen = {row["name"] for row in rows}
        for row in rows:
            if row["kind"] in self._kinds:
                await self._fold_again(self._kinds[row["kind"]], row["name"], row["subject"], row["revision"])
        self._position.local = True
        if self._states is not None:
            self._states.maintained()
        if self._known is not None:
            await self._known.load(self._pool)
        self._position.advance(self._at)

    async def fold(self, entries: Sequence[Entry]) -> None:
        """Folds and writes one batch."""
        items = self._folding.read(entries)
        try:
            await self._write(entries, await self._folded(items, trust_first=True))
        except asyncpg.NotNullViolationError:
            # A resource that began twice: fold on what is stored, where the second beginning shows as poison.
            self._folding.clear()
            self._folding.frozen = await self._stored_quarantine()
            await self._write(entries, await self._folded(items, trust_first=False))
        except (asyncpg.DataError, *UNREADABLE) as error:
            await self._isolate(entries, error)
            return
        if self._known is not None and self._known.full:
            await self._known.load(self._pool)

    async def _folded(self, items: Sequence[Item], *, trust_first: bool) -> Batch:
        for kind, names in self._folding.missing(items, trust_first=trust_first).items():
            await self._hold(kind, names)
        return self._folding.fold(items)

    async def _hold(self, kind: Kind, names: set[str]) -> None:
        rows = await self._pool.fetch(tables.select_many(kind), list(names))
        self._folding.hold(kind, names, {row[0]: row[1] for row in rows})

    async def _stored_quarantine(self) -> set[str]:
        return {row[0] for row in await self._pool.fetch("select name from quarantine")}

    async def _isolate(self, entries: Sequence[Entry], error: Exception) -> None:
        """A projection choked on some fact of the batch: fold one by one until it is the only one, and freeze that."""
        self._folding.clear()
        self._folding.frozen = await self._stored_quarantine()
        if len(entries) > 1:
            for entry in entries:
                await self.fold([entry])
            return
        routed = self._folding.route(entries[0].subject)
        if routed is None:
            raise error
        kind, name = routed
        await self._hold(kind, {name})
        batch = Batch()
        self._folding.poison(entries[0], kind, name, error, batch)
        await self._write(entries, batch)

    async def _write(self, entries: Sequence[Entry], batch: Batch) -> None:
        new = entries[-1].revision
        if self._known is not None:  # Before the rows: who sees a state must not take its requests for new ones.
            for request in batch.requests:
                self._known.add(request[0])
        moving = [*(_columns(batch.requests) or [[]] * 5), self._at, new, CHANNEL, f"{self._schema} {new}"]
        few = len(batch.history) == 1 and all(len(rows) < _MANY for rows in batch.history.values())
        if few and not (batch.quarantined or batch.folded or self._raw):
            moved = await self._write_at_once(self._pool, batch, moving)
        else:
            moved = await self._write_in_steps(entries, batch, moving, few=few)
        if not moved:
            raise Fenced(f"{self._schema} is no longer at {self._at}")
        self._at = new
        self._told(batch)

    async def _write_at_once(self, place: Any, batch: Batch, moving: Sequence[Any]) -> Sequence[Any]:
        """The position and the rows of one kind in one round trip to a pool, or a connection in a transaction."""
        ((kind, rows),) = batch.history.items()
        arguments = (*moving, *_newest(batch, kind), *_columns(rows))
        statement = tables.write_at_once(kind)
        if self._index.touched_by(batch.newest):
            return list(await place.fetch(*self._index.at_once(statement, arguments, batch.newest)))
        return list(await place.fetch(statement, *arguments))

    async def _write_in_steps(
        self, entries: Sequence[Entry], batch: Batch, moving: Sequence[Any], *, few: bool
    ) -> Sequence[Any]:
        async with self._pool.acquire() as connection, connection.transaction():
            if few:
                moved = await self._write_at_once(connection, batch, moving)
            else:
                moved = await connection.fetch(tables.MOVE_POSITION, *moving)
            if not moved:
                raise Fenced(f"{self._schema} is no longer at {self._at}")
            if not few:
                for kind, rows in batch.history.items():
                    await _write_rows(connection, kind, _newest(batch, kind), rows)
                await self._index.write(connection, batch.newest)
            for row in batch.quarantined:
                await connection.execute(tables.INSERT_QUARANTINE, *row)
            if self._project is not None and batch.folded:
                await self._project(connection, batch.folded)
            if self._raw is not None:
                await self._raw(connection, entries)
            return list(moved)

    def _told(self, batch: Batch) -> None:
        quarantined = {row[0] for row in batch.quarantined}
        if self._states is not None:
            for kind, rows in batch.newest.items():
                for name, row in rows.items():
                    self._states.folded(kind, name, row.body, row.revision, quarantined=name in quarantined)
        self._position.advance(self._at)

    async def _fold_again(self, kind: Kind, name: str, subject: str, since: int) -> None:
        """Folds one quarantined resource from its first fact; leaves it frozen when it still cannot be read."""
        entries = [entry for entry in await tail(self._log, subject, 0) if entry.revision <= self._at]
        folding = Folding(self._service, (kind,), projected=self._projected)
        folding.hold(kind, {name}, {})
        batch = folding.fold(folding.read(entries))
        if batch.quarantined:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(tables.delete_history(kind), name)
            batch.begun.clear()
            await _write_rows(connection, kind, _newest(batch, kind), batch.history[kind])
            await self._index.write(connection, batch.newest)
            if batch.requests:
                await connection.execute(tables.INSERT_REQUESTS, *_columns(batch.requests))
            if self._project is not None:
                await self._project(connection, [one for one in batch.folded if one.revision >= since])
            await connection.execute("delete from quarantine where name = $1", name)
        self._folding.frozen.discard(name)


async def _write_rows(connection: Any, kind: Kind, newest: Sequence[Sequence[Any]], rows: Sequence[History]) -> None:
    if len(rows) < _MANY:
        await connection.execute(tables.write_few(kind), *newest, *_columns(rows))
        return
    await connection.execute(tables.upsert(kind), *newest)
    await connection.copy_records_to_table(kind.table + "_history", records=rows, columns=list(tables.HISTORY_COLUMNS))


def _newest(batch: Batch, kind: Kind) -> list[list[Any]]:
    rows = [(row.name, row.sort, row.revision, row.body) for row in batch.newest[kind].values()]
    return [*_columns(rows), batch.begun]


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
