"""What waits for somebody, what happened to what they watch, and how far they have read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kernel.fold import Kind
from kernel.names import sort_key
from kernel.postgres import Pool, quoted
from modelog.registry.v1.collaboration_pb2 import Thread
from modelog.registry.v1.types_pb2 import Version
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.queries import known

MOST_THREADS = 200
MOST_VERSIONS = 500
_FOR_EVER = 2**62


class Happened(NamedTuple):
    """One fact: its position in the log, and its resource."""

    revision: int
    name: str


class Window(NamedTuple):
    """Which facts: older than `before`, and known at the moment of the read."""

    before: int = _FOR_EVER
    until: datetime | None = None


async def waiting_versions(pool: Pool, project: str) -> list[Version]:
    """Versions of a project that somebody may have to do something about, at most 500, newest first."""
    sql = (
        "select body from version where name in"
        " (select version from waiting where project = $1 order by revision desc limit $2)"
    )
    return [Version.FromString(row[0]) for row in await pool.fetch(sql, project, MOST_VERSIONS)]


async def parts(pool: Pool, project: str, principals: Sequence[str], read: ReadOptions) -> dict[str, set[str]]:
    """What the principals (and teams) take part in, and as what: resource to `owner`, `maker`, ...

    As of a past moment without what they own: owners come and go, and the table knows those of now.
    """
    past, moment = known(read, 3)
    mine = "principal = any($1::text[]) and project = $2"
    sql = f"select resource, why from part where {mine}{past}" + (" and why <> 'owner'" if past else "")
    found: dict[str, set[str]] = {}
    for row in await pool.fetch(sql, list(principals), project, *moment):
        found.setdefault(row[0], set()).add(row[1])
    return found


async def threads_of(pool: Pool, project: str, principals: Sequence[str]) -> list[Thread]:
    """Threads that they take part in, or that are about models they own; at most 200, newest first."""
    sql = (
        "select thread.body from thread_place join thread on thread.name = thread_place.thread"
        " where thread_place.project = $1 and exists (select 1 from part where part.principal = any($2::text[])"
        " and (part.resource = thread_place.thread or (part.resource = thread_place.model and part.why = 'owner')))"
        " order by thread_place.revision desc limit $3"
    )
    return [Thread.FromString(row[0]) for row in await pool.fetch(sql, project, list(principals), MOST_THREADS)]


async def markers(kept: Pool, principal: str, threads: Sequence[str]) -> Mapping[str, int]:
    """Number of the last comment that somebody has read, by thread."""
    sql = "select thread, comment from read_marker where principal = $1 and thread = any($2::text[])"
    return {row[0]: row[1] for row in await kept.fetch(sql, principal, list(threads))}


async def mark(kept: Pool, principal: str, thread: str, comment: int) -> int:
    """Remembers how far somebody has read, never less than before; how far that is."""
    sql = (
        "insert into read_marker as known (principal, thread, comment) values ($1, $2, $3)"
        " on conflict (principal, thread) do update set comment = greatest(known.comment, excluded.comment)"
        " returning comment"
    )
    return int(await kept.fetchval(sql, principal, thread, comment))


async def happened(
    pool: Pool, kinds: Sequence[Kind], exact: Sequence[str], below: Sequence[str], window: Window, most: int
) -> list[Happened]:
    """The newest facts of the resources `exact` and of everything below `below`, newest first, each once."""
    found: set[Happened] = set()
    for kind in kinds:
        history = quoted(f"{kind.table}_history")
        known = "revision < $1 and ($2::timestamptz is null or recorded_at <= $2)"
        newest = "order by revision desc limit $4"
        of_these = f"select revision, name from {history} where name = any($3::text[]) and {known} {newest}"
        of_those_below = (
            f"select revision, name from {history} join unnest($3::text[]) as parent"
            f" on sort > parent || '/' and sort < parent || '0' where {known} {newest}"
        )
        for sql, names in ((of_these, list(exact)), (of_those_below, [sort_key(one) for one in below])):
            if names:
                rows: Sequence[Any] = await pool.fetch(sql, window.before, window.until, names, most)
                found |= {Happened(row[0], row[1]) for row in rows}
    return sorted(found, reverse=True)[:most]
