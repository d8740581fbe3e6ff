"""Reads of the archive's copy of the log and of its tree."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kernel.errors import Unavailable
from kernel.names import project_of
from kernel.postgres import Pool
from modelog.archive.v1.types_pb2 import FactFilter, Record
from services.archive.filters import Where, below, matching
from services.archive.merkle import Span, span_hash
from services.archive.portions import within
from services.archive.tiles import node_from, tiles_for


class Stored(NamedTuple):
    """One message of the log as the copy keeps it."""

    revision: int
    subject: str
    payload: bytes
    event_type: str


class HistoryQuery(NamedTuple):
    """Which part of the history: a name, perhaps with everything below it, within bounds; 0 and None mean no bound."""

    name: str
    below: bool
    filter: FactFilter
    from_revision: int = 0
    to_revision: int = 0
    until: datetime | None = None
    descending: bool = False


_STORED = "select revision, subject, payload, event_type from entry where "
_TILES = (
    "select level, number, hashes from tile"
    " where (level, number) in (select * from unnest($1::smallint[], $2::bigint[]))"
)
_MENTIONING = (
    "select distinct resource from entry where subject >= $1 and subject < $2 and revision <= $3"
    " and position($4::bytea in payload) > 0 and event_type <> '' order by resource"
)
_REGISTERED = (
    "select distinct resource from entry where event_type = 'modelog.registry.v1.VersionRegistered' and exists"
    " (select from unnest($1::bytea[]) as wanted (digest) where position(digest in payload) > 0) order by resource"
)
_OF_CORRELATIONS = "correlation_id = any($1::text[]) and correlation_id <> '' order by revision limit $2"
_LAST_BEFORE = (
    "select asked.resource, asked.revision, found.revision, found.subject, found.payload, found.event_type"
    " from unnest($1::text[], $2::bigint[]) as asked (resource, revision) cross join lateral ("
    "select * from entry where entry.resource = asked.resource and entry.revision < asked.revision"
    " order by entry.revision desc limit 1) as found"
)

_RECORDS = (
    "select body from record where $1 = '' or (name collate \"C\" >= $1 || '/' and name collate \"C\" < $1 || '0')"
    ' order by name collate "C"'
)

# Revisions looked at by one query, so that a filter which matches nothing still moves on.
_WINDOW = 20_000


class Copy:
    """The copy, through a pool of the service's schema."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def size(self) -> int:
        """Number of messages copied, which is the revision of the last one."""
        return int((await self._fetch("select coalesce(max(revision), 0) from entry"))[0][0])

    async def has(self, resource: str) -> bool:
        """Whether anything ever happened to the resource."""
        return bool((await self._fetch("select exists (select from entry where resource = $1)", resource))[0][0])

    async def range(self, first: int, last: int) -> list[Stored]:
        """Every message from first to last, both included."""
        return await self._stored("revision between $1 and $2 order by revision", first, last)

    async def first_since(self, moment: datetime) -> int:
        """The first revision that was recorded at this moment or later; 0 when none was."""
        rows = await self._fetch("select min(revision) from entry where recorded_at >= $1", moment)
        return int(rows[0][0] or 0)

    async def last_until(self, moment: datetime) -> int:
        """The last revision before the first that was recorded later than this moment; 0 when all were."""
        rows = await self._fetch("select min(revision) - 1 from entry where recorded_at > $1", moment)
        return await self.size() if rows[0][0] is None else int(rows[0][0])

    async def at(self, revisions: Sequence[int]) -> list[Stored]:
        return await self._stored("revision = any($1::bigint[]) order by revision", list(revisions))

    async def window(self, after: int, upto: int, filter_: FactFilter, limit: int) -> list[Stored]:
        """Matching messages behind `after` and not behind `upto`, in order."""
        where = Where()
        where.add("revision > {} and revision <= {}", after, upto)
        matching(where, filter_)
        return await self._stored(f"{where} order by revision limit {int(limit)}", *where.parameters)

    async def stretch(self, after: int, upto: int, filter_: FactFilter, most: int) -> tuple[Sequence[Stored], int]:
        """What matches behind `after`, as much as goes into one reply, and how far was looked; `upto` at the most."""
        upto = min(upto, after + _WINDOW)
        found = await self.window(after, upto, filter_, most)
        batch = within(found)
        return batch, upto if len(batch) == len(found) < most else batch[-1].revision

    async def history(self, query: HistoryQuery, cursor: int, limit: int) -> list[Stored]:
        """One page behind `cursor` (0: from the beginning) in the query's direction."""
        where = Where()
        if query.below and query.name:
            below(where, [query.name])
        elif query.name:
            where.add("resource = {}", query.name)
        if query.from_revision:
            where.add("revision >= {}", query.from_revision)
        if query.to_revision:
            where.add("revision <= {}", query.to_revision)
        if query.until is not None:
            where.add("recorded_at <= {}", query.until)
        if cursor:
            where.add("revision < {}" if query.descending else "revision > {}", cursor)
        matching(where, query.filter)
        order = "desc" if query.descending else "asc"
        return await self._stored(f"{where} order by revision {order} limit {int(limit)}", *where.parameters)

    async def of_resources(self, resources: Sequence[str], upto: int) -> list[Stored]:
        """Every message about these resources up to a revision."""
        return await self._stored(
            "resource = any($1::text[]) and revision <= $2 order by revision", list(resources), upto
        )

    async def of_correlations(self, correlations: Sequence[str], limit: int) -> list[Stored]:
        """Everything that followed from these outside requests."""
        return await self._stored(_OF_CORRELATIONS, list(correlations), limit) if correlations else []

    async def last_before(self, pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Stored]:
        """For each (resource, revision) the resource's last message before that revision, if there is one."""
        if not pairs:
            return {}
        rows = await self._fetch(_LAST_BEFORE, [one[0] for one in pairs], [one[1] for one in pairs])
        return {(row[0], row[1]): Stored(*row[2:]) for row in rows}

    async def mentioning(self, service: str, project: str, text: str, upto: int) -> list[str]:
        """Resources of a service's project of which some fact holds the text; the text may be part of a longer one."""
        low = f"lifecycle.{service}.{project.removeprefix('projects/')}."
        rows = await self._fetch(_MENTIONING, low, low[:-1] + "/", upto, text.encode())
        return [row[0] for row in rows]

    async def registered_with(self, digests: Sequence[str]) -> list[str]:
        """Versions of any project whose registration holds one of these digests, hexadecimal, wherever it stands."""
        rows = await self._fetch(_REGISTERED, [one.encode() for one in digests])
        return [row[0] for row in rows]

    async def record_sizes(self, project: str) -> list[tuple[str, int, int, int]]:
        """By project, in order of names: how many records, what was sealed in them, what was erased of it, in bytes.

        project: only this one; all when empty.
        """
        rows = await self._fetch(_RECORDS, project)
        found: dict[str, list[int]] = {}
        for row in rows:
            record = Record.FromString(row["body"])
            sums = found.setdefault(project_of(record.name), [0, 0, 0])
            if record.manifest_sha256:
                sums[0] += 1
                sums[1] += record.size_bytes
                sums[2] += record.erased_bytes if record.HasField("erase_time") else 0
        return [(name, count, size, erased) for name, (count, size, erased) in found.items()]

    async def hashes(self, spans: Sequence[Span]) -> list[bytes]:
        """Hashes of nodes of the tree; KeyError or ValueError when the stored tree does not reach that far."""
        wanted = sorted(tiles_for(spans))
        rows = await self._fetch(_TILES, [one[0] for one in wanted], [one[1] for one in wanted]) if wanted else []
        node = node_from({(row["level"], row["number"]): row["hashes"] for row in rows})
        return [span_hash(span, node) for span in spans]

    async def root(self, size: int) -> bytes:
        return (await self.hashes([(0, size)]))[0]

    async def _stored(self, condition: str, *arguments: Any) -> list[Stored]:
        return [Stored(*row) for row in await self._fetch(_STORED + condition, *arguments)]

    async def _fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        try:
            return await self._pool.fetch(sql, *arguments)
        except OSError as error:
            raise Unavailable("VIEWS_UNREACHABLE", f"the copy cannot be read now, try again: {error}") from error
