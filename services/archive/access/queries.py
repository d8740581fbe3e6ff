"""SQL over what is kept of ACCESS (schema <schema>_kept). See kept_migrations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kernel.postgres import Pool
from services.archive.access.reading import Row
from services.archive.filters import Where

_COLUMNS = "recorded_at, service, method, principals, places, verdict, reason, readable, missing, payload"
_INSERT = (
    f"insert into access_record (number, id, {_COLUMNS})"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (id) do nothing"
)
_FORGET = (
    "delete from access_record where number in"
    " (select number from access_record where recorded_at < $1 order by recorded_at limit $2)"
)


class Search(NamedTuple):
    """What is looked for; empty and None mean anything. place: a name that something named lies at or below."""

    place: str = ""
    principal: str = ""
    method: str = ""
    service: str = ""
    verdict: int = 0
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None


class Progress(NamedTuple):
    """stream: when it was made, as its server says; empty before the first."""

    stream: str
    position: int


class Kept(NamedTuple):
    """One row as it was found."""

    number: int
    service: str
    readable: bool
    missing: int
    payload: bytes


class Moved(Exception):
    """Another process has taken over records meanwhile: this one must not."""


async def progress(pool: Pool) -> Progress:
    """Up to where which stream has been taken over."""
    (row,) = await pool.fetch("select stream, position from access_progress")
    return Progress(*row)


async def keep(pool: Pool, rows: Sequence[Row], *, after: int, upto: int) -> None:
    """The rows and the position, or neither. Moved unless the position was `after`."""
    async with pool.acquire() as connection, connection.transaction():
        base = await _locked(connection, after)
        await connection.executemany(_INSERT, [(base + row.position, *row[1:]) for row in rows])
        await connection.execute("update access_progress set position = $1", upto)


async def begin_anew(pool: Pool, stream: str, *, after: int) -> None:
    """Another stream, which counts from one again; what is kept stays in front of what comes."""
    async with pool.acquire() as connection, connection.transaction():
        await _locked(connection, after)
        await connection.execute("update access_progress set stream = $1, base = base + position, position = 0", stream)


async def _locked(connection: Any, after: int) -> int:
    row = await connection.fetchrow("select base, position from access_progress for update")
    if row["position"] != after:
        raise Moved(f"records are kept up to {row['position']}, not up to {after}")
    base: int = row["base"]
    return base


async def forget(pool: Pool, before: datetime, most: int) -> int:
    """Drops at most so many rows recorded before a time; how many it were."""
    done: str = await pool.execute(_FORGET, before, most)
    return int(done.rpartition(" ")[2])


async def search(pool: Pool, wanted: Search, *, cursor: int, ascending: bool, limit: int) -> list[Kept]:
    """One page behind `cursor` (0: from the beginning) in the wanted direction."""
    where = _where(wanted)
    if cursor:
        where.add("number > {}" if ascending else "number < {}", cursor)
    order = "asc" if ascending else "desc"
    sql = (
        "select number, service, readable, missing, payload from access_record"
        f" where {where} order by number {order} limit {int(limit)}"
    )
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        # How rare a value is decides between its index and going through the newest: only the value itself tells.
        await connection.execute("set local plan_cache_mode = force_custom_plan")
        return [Kept(*row) for row in await connection.fetch(sql, *where.parameters)]


def _where(wanted: Search) -> Where:
    where = Where()
    if wanted.place:
        where.add("places @> array[{}::text]", wanted.place)
    if wanted.principal:
        where.add("principals @> array[{}::text]", wanted.principal)
    if wanted.method:
        where.add("(method = {} or split_part(method, '/', 2) = {})", wanted.method, wanted.method)
    if wanted.service:
        where.add("service = {}", wanted.service)
    if wanted.verdict:
        where.add("verdict = {}", wanted.verdict)
    if wanted.reason:
        where.add("reason = {}", wanted.reason)
    if wanted.since is not None:
        where.add("recorded_at >= {}", wanted.since)
    if wanted.until is not None:
        where.add("recorded_at < {}", wanted.until)
    return where
