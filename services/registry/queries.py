"""What decisions need to know beyond single resources."""

from datetime import UTC
from typing import Any

from kernel.errors import invalid_field
from kernel.names import sort_key
from kernel.postgres import Pool
from modelog.registry.v1 import artifacts_pb2 as rpc
from modelog.registry.v1.types_pb2 import Version

_MOST_NAMED = 20
_PAGE_SIZE = 50


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
    size, read = request.page_size or _PAGE_SIZE, request.read
    name, derivation = _place(request.page_token)
    arguments: list[Any] = [request.name, name, derivation, size + 1]
    known = ""
    if read.as_of_revision:
        known = " and revision <= $5"
        arguments.append(read.as_of_revision)
    elif read.HasField("as_of_time"):
        known = " and recorded_at <= $5"
        arguments.append(read.as_of_time.ToDatetime(UTC))
    sql = (
        f"select version, derivation, revision from derived where origin = $1 and (sort, derivation) > ($2, $3){known}"
        " order by sort, derivation limit $4"
    )
    rows = await pool.fetch(sql, *arguments)
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
