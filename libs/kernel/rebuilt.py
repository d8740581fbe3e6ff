"""Rebuild equality: the views of a service, folded once more from the log beside the ones it has, and both compared.

The second views are temporary tables of one connection: they hide those of the same name from whatever runs on it, so
the projector writes them as it writes the real ones, and they are gone when the connection is. At the end both are read
in one snapshot at the same revision, so nothing differs because facts kept coming meanwhile.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from kernel.log import Entry, Log
from kernel.position import Position
from kernel.postgres import quoted
from kernel.projector import Projector
from kernel.rooms import Blueprint

MOST_FINDINGS = 1000
_BATCH = 250
_COMPARING_SECONDS = 3600.0
# What a table calls the resource that a row is about, and the fact that made it; the first of them counts.
_NAMES = ("name", "resource", "endpoint", "monitor", "version", "model")
_REVISIONS = ("revision", "from_revision", "requested_revision")
# The book of migrations is no view, and the position is the one at which both are compared.
_NO_VIEWS = ("migration", "position")

_TABLES = (
    "select relname from pg_class where relnamespace = $1::regnamespace and relkind = 'r'"
    ' and relname <> all($2::text[]) order by relname collate "C"'
)
_COLUMNS = (
    "select attname, atttypid = 'text'::regtype as words, attnum = any(coalesce(indkey::int2[], '{}')) as key"
    " from pg_attribute left join pg_index on indrelid = attrelid and indisprimary"
    " where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum"
)
_POSITION = "select revision, (select sha256 from {schema}.migration where file = 'fold') from {schema}.position"
# $1: how many rows at most. Rows are compared as they are stored: what equals another value may still be no copy of it.
_DIFFERENCES = """
select {key} as key, {name} as name, {revision} as revision,
  case when live.ctid is null then 'MISSING' when made.ctid is null then 'INSERTED' else 'CHANGED' end as reason,
  array_remove(array[{changed}], null) as columns, count(*) over () as count
from {schema}.{table} live full join pg_temp.{table} made using ({using})
where live.ctid is null or made.ctid is null or {differ}
order by 3, 1 limit $1
"""
_COUNTS = "select (select count(*) from {schema}.{table}), (select count(*) from pg_temp.{table})"


class Changing(Exception):
    """The views are those of another build, or are being folded anew: another time."""


class LogEnds(Exception):
    """The log has no more, though the views have seen more."""

    def __init__(self, at: int, seen: int) -> None:
        super().__init__(f"the log ends at {at}, the views have seen {seen}: restore it from the archive's copy")


class Difference(NamedTuple):
    """A row that is not what the log makes it; see ViewFinding."""

    table: str
    reason: str
    name: str
    revision: int
    message: str


class Differences(NamedTuple):
    """What was compared up to a revision. differing: rows that do, of which MOST_FINDINGS are told at most."""

    revision: int
    tables: int
    rows: int
    differing: int
    found: list[Difference]


class _One:
    """One connection where a pool is asked for; each statement may fail without ending what it is part of."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        yield self._connection

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        async with self._connection.transaction():
            return await self._connection.fetch(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        return await self._connection.fetchval(statement, *arguments)


class Rebuilt:
    """The second views. `open`, then `fold_on` until `behind` is small, then `compare`; `close` in any case."""

    def __init__(
        self, blueprint: Blueprint, schema: str, fold: str, log: Log, connection: Any, *, silence_seconds: float
    ) -> None:
        """fold: digest of this build's fold. silence_seconds: after which a log that should have more is at its end."""
        self._schema = schema
        self._fold = fold
        self._log = log
        self._connection = connection
        self._silence_seconds = silence_seconds
        self._untold = (*_NO_VIEWS, *blueprint.raw_tables)
        self._following: AsyncGenerator[Sequence[Entry], None] | None = None
        self._ahead: list[Entry] = []
        self._tables: list[str] = []
        self.at = 0
        pool: Any = _One(connection)
        self._projector = Projector(
            service=blueprint.name,
            schema=f"{schema}_rebuilt",
            kinds=blueprint.kinds,
            log=log,
            pool=pool,
            position=Position(),
            project=blueprint.project,
            projected=blueprint.projected,
            searchables=blueprint.searchables,
        )

    async def open(self) -> None:
        """Makes the tables, empty."""
        schema = quoted(self._schema)
        self._tables = [row[0] for row in await self._connection.fetch(_TABLES, schema, self._untold)]
        async with self._connection.transaction():
            for table in [*self._tables, "position"]:
                await self._connection.execute(
                    f"create temporary table {quoted(table)} (like {schema}.{quoted(table)} including all)"
                )
            await self._connection.execute("insert into position (revision) values (0)")
        await self._projector.open()

    async def close(self) -> None:
        if self._following is not None:
            await self._following.aclose()

    async def behind(self) -> int:
        """How many facts the views have that are not folded here."""
        return await self._seen() - self.at

    async def fold_on(self) -> None:
        """Folds the next batch, but nothing that the views have not seen."""
        await self._fold_upto(min(self.at + _BATCH, await self._seen()))

    async def compare(self) -> Differences:
        """Folds what is missing and compares, in one snapshot: what the views get meanwhile is not seen."""
        async with self._connection.transaction(isolation="repeatable_read"):
            seen = await self._seen()
            while self.at < seen:
                await self._fold_upto(min(self.at + _BATCH, seen))
            for setting in ("enable_seqscan = on", "plan_cache_mode = auto"):
                await self._connection.execute(f"set local {setting}")
            rows = count = 0
            found: list[Difference] = []
            for table in self._tables:
                held, differ, told = await self._compare(table)
                rows, count, found = rows + held, count + differ, found + told
        return Differences(seen, len(self._tables), rows, count, found[:MOST_FINDINGS])

    async def _seen(self) -> int:
        row = await self._connection.fetchrow(_POSITION.format(schema=quoted(self._schema)))
        if row is None or row[1] != self._fold or row[0] < self.at:
            raise Changing(f"the views in {self._schema} are being folded anew, or by another build")
        return int(row[0])

    async def _fold_upto(self, revision: int) -> None:
        while self.at < revision:
            if not self._ahead:
                self._ahead = list(await self._more(revision))
            entries, self._ahead = self._ahead[: revision - self.at], self._ahead[revision - self.at :]
            await self._projector.fold(entries)
            self.at = entries[-1].revision

    async def _more(self, revision: int) -> Sequence[Entry]:
        if self._following is None:
            following: Any = self._log.follow(self.at)
            self._following = following
        try:
            async with asyncio.timeout(self._silence_seconds):
                return await anext(self._following)
        except TimeoutError:
            raise LogEnds(self.at, revision) from None

    async def _compare(self, table: str) -> tuple[int, int, list[Difference]]:
        """Rows of the views, rows that differ, and what is told of these."""
        place = {"schema": quoted(self._schema), "table": quoted(table)}
        await self._connection.execute(f"analyze pg_temp.{quoted(table)}")
        columns = await self._connection.fetch(_COLUMNS, f"{place['schema']}.{place['table']}")
        statement = _statement(columns, place)
        rows = await self._connection.fetch(statement, MOST_FINDINGS, timeout=_COMPARING_SECONDS)
        live, made = await self._connection.fetchrow(_COUNTS.format(**place), timeout=_COMPARING_SECONDS) or (0, 0)
        found = [_difference(table, row) for row in rows]
        count = rows[0]["count"] if rows else 0
        if not rows and live != made:
            count, text = 1, f"the table has {live} rows where the log makes {made}: some stand there twice"
            found = [Difference(table, "INSERTED", "", 0, text)]
        return live, count, found


def _statement(columns: Sequence[Any], place: dict[str, str]) -> str:
    names = [row["attname"] for row in columns]
    key = [row["attname"] for row in columns if row["key"]] or names
    named = next((one for one in _NAMES if one in names), "")
    named = named or next((row["attname"] for row in columns if row["key"] and row["words"]), "")
    dated = next((one for one in _REVISIONS if one in names), "")
    rest = [one for one in names if one not in key]

    def either(column: str) -> str:
        """As the log makes it, or as it is there where the log makes none."""
        return quoted(column) if column in key else f"coalesce(made.{quoted(column)}, live.{quoted(column)})"

    differs = {
        one: f"row(live.{quoted(one)})::pg_catalog.record *<> row(made.{quoted(one)})::pg_catalog.record"
        for one in rest
    }
    return _DIFFERENCES.format(
        **place,
        key="concat_ws(', ', " + ", ".join(f"'{one} ' || {quoted(one)}::text" for one in key) + ")",
        name=either(named) if named else "''",
        revision=either(dated) if dated else "0",
        changed=", ".join(f"case when {test} then '{one}' end" for one, test in differs.items()) or "null::text",
        using=", ".join(map(quoted, key)),
        differ=" or ".join(differs.values()) or "false",
    )


def _difference(table: str, row: Any) -> Difference:
    said = {
        "MISSING": "the log makes this row",
        "INSERTED": "no fact made this row",
        "CHANGED": f"not what the facts make it: {', '.join(row['columns'])}",
    }[row["reason"]]
    return Difference(table, row["reason"], row["name"] or "", row["revision"] or 0, f"{said} ({row['key']})")
