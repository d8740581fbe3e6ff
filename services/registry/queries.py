"""What decisions need to know beyond single resources, and reads of tables that are no resources."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from kernel.errors import invalid_field
from kernel.names import sort_key
from kernel.postgres import Pool
from modelog.registry.v1 import artifacts_pb2 as rpc
from modelog.registry.v1.declare_pb2 import (
    AliasMove,
    Incident,
    ListAliasMovesRequest,
    ListAliasMovesResponse,
    ServingPlace,
)
from modelog.registry.v1.types_pb2 import Version
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.domain.hold import covering

_MOST_NAMED = 20
MOST_ROWS = 200
_PAGE_SIZE = 50
_LAST = 2**63 - 1


async def serving_endpoints(pool: Pool, version: str) -> list[str]:
    """Names of the endpoints that serve a version, at most 20."""
    sql = "select endpoint from serving where version = $1 order by endpoint limit $2"
    return [row[0] for row in await pool.fetch(sql, version, _MOST_NAMED)]


async def living_versions(pool: Pool, model: str) -> list[str]:
    """Names of a model's versions that are not retired, at most 20."""
    sql = (
        "select name from version where sort > $1 and sort < $2"
        " and not exists (select 1 from retired where retired.version = version.name) order by sort limit $3"
    )
    prefix = f"{model}/versions/"
    return [row[0] for row in await pool.fetch(sql, prefix, prefix[:-1] + "0", _MOST_NAMED)]


async def active_holds(pool: Pool, name: str) -> list[str]:
    """Names of the legal holds that cover a resource, itself or by what is above it, at most 20."""
    sql = "select distinct hold from held where resource = any($1::text[]) order by hold limit $2"
    return [row[0] for row in await pool.fetch(sql, list(covering(name)), _MOST_NAMED)]


async def revision_of(pool: Pool, version: str, generation: int) -> int:
    """Position in the log of a version's fact of this generation; 0 when there is none. History has a row a fact."""
    sql = "select revision from version_history where name = $1 order by revision limit 1 offset $2"
    rows: Sequence[Any] = await pool.fetch(sql, version, generation - 1)
    return int(rows[0][0]) if rows else 0


async def serving_places(pool: Pool, versions: Sequence[str]) -> list[ServingPlace]:
    """Where these versions serve now, at most 200 places."""
    sql = (
        "select version, endpoint, percent from serving where version = any($1::text[])"
        " order by version, endpoint limit $2"
    )
    return [
        ServingPlace(version=row[0], endpoint=row[1], percent=row[2])
        for row in await pool.fetch(sql, versions, MOST_ROWS)
    ]


async def registrations(pool: Pool, versions: Sequence[str]) -> tuple[int, int]:
    """The revisions at which the first and the last of these versions were registered."""
    sql = "select min(revision) from version_history where name = any($1::text[]) group by name"
    revisions = [int(row[0]) for row in await pool.fetch(sql, versions)]
    return min(revisions), max(revisions)


async def alias_moves(pool: Pool, request: ListAliasMovesRequest) -> ListAliasMovesResponse:
    """One page, newest first, as of the moment that is asked for."""
    size = request.page_size or _PAGE_SIZE
    before = _opened(request.page_token)
    past, moment = known(request.read, 6)
    sql = (
        "select alias, kind, from_version, to_version, revision, recorded_at, actor, reason from alias_move"
        " where model = $1 and ($2 = '' or alias = $2) and (revision, alias) < ($3, $4)"
        f"{past} order by revision desc, alias desc limit $5"
    )
    rows = await pool.fetch(sql, request.parent, request.alias, *before, size + 1, *moment)
    reply = ListAliasMovesResponse(moves=[_move(row) for row in rows[:size]])
    if len(rows) > size:
        reply.next_page_token = f"{rows[size - 1]['revision']} {rows[size - 1]['alias']}"
    return reply


def _move(row: Any) -> AliasMove:
    names = ("alias", "kind", "from_version", "to_version", "revision", "reason")
    move = AliasMove(**{name: row[name] for name in names}, moved_by=row["actor"])
    move.move_time.FromDatetime(row["recorded_at"])
    return move


async def incidents(pool: Pool, versions: Sequence[str], read: ReadOptions) -> list[Incident]:
    """What happened to these versions, oldest first, the newest 200, as of the moment that is asked for."""
    past, moment = known(read, 3)
    columns = "version, kind, resource, summary, revision, recorded_at"
    newest = f"select {columns} from incident where version = any($1::text[]){past} order by revision desc limit $2"
    rows = await pool.fetch(f"select * from ({newest}) as newest order by revision", versions, MOST_ROWS, *moment)
    return [_incident(row) for row in rows]


def _incident(row: Any) -> Incident:
    names = ("version", "kind", "resource", "summary", "revision")
    incident = Incident(**{name: row[name] for name in names})
    incident.time.FromDatetime(row["recorded_at"])
    return incident


def known(read: ReadOptions, place: int) -> tuple[str, list[Any]]:
    """The condition that a row was known at that moment, with its argument at `place`."""
    match read.WhichOneof("as_of"):
        case "as_of_revision":
            return f" and revision <= ${place}", [read.as_of_revision]
        case "as_of_time":
            return f" and recorded_at <= ${place}", [read.as_of_time.ToDatetime(UTC)]
    return "", []


def _opened(token: str) -> tuple[int, str]:
    """Before which revision and alias the next page begins."""
    if not token:
        return _LAST, ""
    revision, _, alias = token.partition(" ")
    if not (revision.isascii() and revision.isdigit() and int(revision[:19]) <= _LAST and len(revision) < 20 and alias):
        raise invalid_field("page_token", "take it unchanged from the last reply of the same query")
    return int(revision), alias


async def provenance(pool: Pool, request: rpc.ListProvenanceRequest, version: Version) -> rpc.ListProvenanceResponse:
    """One page of the statements that a version had as it was read, each with its envelope."""
    size, after = request.page_size or _PAGE_SIZE, _number(request.page_token)
    wanted = [one for one in version.provenance if one.number > after]
    numbers = [one.number for one in wanted[:size]]
    sql = "select number, envelope from provenance where version = $1 and number = any($2::integer[])"
    envelopes = {row[0]: row[1] for row in await pool.fetch(sql, version.name, numbers)}
    return rpc.ListProvenanceResponse(
        statements=[rpc.ProvenanceStatement(provenance=one, envelope=envelopes[one.number]) for one in wanted[:size]],
        next_page_token=str(numbers[-1]) if len(wanted) > size else "",
    )


async def derived_versions(pool: Pool, request: rpc.ListDerivedVersionsRequest) -> rpc.ListDerivedVersionsResponse:
    """One page of what was derived directly from a version, as of the moment that is asked for."""
    size = request.page_size or _PAGE_SIZE
    name, derivation = _place(request.page_token)
    past, moment = known(request.read, 5)
    sql = (
        f"select version, derivation, revision from derived where origin = $1 and (sort, derivation) > ($2, $3){past}"
        " order by sort, derivation limit $4"
    )
    rows = await pool.fetch(sql, request.name, name, derivation, size + 1, *moment)
    found = [rpc.DerivedVersion(name=row[0], derivation=row[1], revision=row[2]) for row in rows[:size]]
    token = f"{found[-1].name} {found[-1].derivation}" if len(rows) > size else ""
    return rpc.ListDerivedVersionsResponse(derived=found, next_page_token=token)


def _place(token: str) -> tuple[str, int]:
    """Behind which row the page begins."""
    name, _, derivation = token.partition(" ")
    return sort_key(name), _number(derivation)


def _number(token: str) -> int:
    if token and not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise invalid_field("page_token", "take it unchanged from the last reply of the same query", "PAGE_TOKEN")
    return int(token or 0)
