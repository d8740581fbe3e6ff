"""What decisions need to know beyond single resources."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from kernel.postgres import Pool
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.domain.hold import covering

_MOST_NAMED = 20


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


async def derived_versions(pool: Pool, version: str, read: ReadOptions, most: int) -> list[str]:
    """Names of the versions derived from a version as of a moment, in the order of registering, at most so many."""
    sql = "select version from derived where parent = $1"
    arguments: list[Any] = [version]
    match read.WhichOneof("as_of"):
        case "as_of_revision":
            sql, arguments = f"{sql} and revision <= $2", [version, read.as_of_revision]
        case "as_of_time":
            sql, arguments = f"{sql} and recorded_at <= $2", [version, read.as_of_time.ToDatetime(UTC)]
    return [row[0] for row in await pool.fetch(f"{sql} order by revision limit {int(most)}", *arguments)]


async def revision_of(pool: Pool, version: str, generation: int) -> int:
    """Position in the log of a version's fact of this generation; 0 when there is none. History has a row a fact."""
    sql = "select revision from version_history where name = $1 order by revision limit 1 offset $2"
    rows: Sequence[Any] = await pool.fetch(sql, version, generation - 1)
    return int(rows[0][0]) if rows else 0
