"""What is asked beyond single resources: the controller's work, and which endpoints there are and serve."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from kernel.errors import Conflict, Unavailable
from kernel.names import child
from kernel.postgres import Pool
from services.deployment.domain.promotion import Served

_MOST_NAMED = 20


class Work(NamedTuple):
    """An endpoint that is not removed, and the name of its newest rollout, empty when it has none.

    revisions: of the endpoint, its environment, that rollout and the versions it serves (their sum): the same as long
    as nothing was recorded of any of them.
    """

    endpoint: str
    rollout: str
    revisions: tuple[int, int, int, int] = (0, 0, 0, 0)


async def work(pool: Pool) -> list[Work]:
    """Everything the controller looks after."""
    return [_work(row) for row in await _fetch(pool, _WORK)]


async def work_in(pool: Pool, environment: str) -> list[Work]:
    """The same of one environment, without what changes."""
    sql = "select endpoint, rollout from endpoint_work where environment = $1 and not removed order by endpoint"
    return [_work(row) for row in await _fetch(pool, sql, environment)]


def _work(row: Any) -> Work:
    endpoint, rollout, *revisions = row
    return Work(endpoint, child(endpoint, "rollouts", rollout) if rollout else "", tuple(revisions))


_WORK = """
select work.endpoint, work.rollout, coalesce(endpoint.revision, 0), coalesce(environment.revision, 0),
  coalesce(rollout.revision, 0), coalesce(versions.revision, 0)::bigint
from endpoint_work as work
left join endpoint on endpoint.name = work.endpoint
left join environment on environment.name = work.environment
left join rollout on work.rollout > 0 and rollout.name = work.endpoint || '/rollouts/' || work.rollout
left join (
  select serving.endpoint, sum(known_version.revision) as revision
  from serving join known_version on known_version.name = serving.version group by serving.endpoint
) as versions on versions.endpoint = work.endpoint
where not work.removed order by work.endpoint
"""


async def newest_rollout(pool: Pool, endpoint: str) -> int:
    """Number of the endpoint's newest rollout as far as the view knows; 0 when it has none."""
    rows = await _fetch(pool, "select rollout from endpoint_work where endpoint = $1", endpoint)
    return rows[0]["rollout"] if rows else 0


async def endpoints_in(pool: Pool, environment: str) -> list[str]:
    """Names of the endpoints that live in an environment, at most 20."""
    sql = "select endpoint from endpoint_work where environment = $1 and not removed order by endpoint limit $2"
    return [row["endpoint"] for row in await _fetch(pool, sql, environment, _MOST_NAMED)]


async def endpoints_serving(pool: Pool, version: str) -> list[str]:
    """Names of the endpoints that serve a version."""
    sql = "select endpoint from serving where version = $1 order by endpoint"
    return [row["endpoint"] for row in await _fetch(pool, sql, version)]


async def served(pool: Pool, environment: str, version: str, now: datetime) -> Served:
    """How a version has done in an environment: whether a rollout of it succeeded, and for how long it has served on

    the endpoint where it did so longest, whatever its share, up to `now`.
    """
    sql = """
        select exists (select from proved where environment = $1 and version = $2) as succeeded, (
            select max(seconds) from (
                select sum(extract(epoch from coalesce(to_time, $3) - from_time)) as seconds
                from serving_interval where environment = $1 and version = $2 and percent > 0 group by endpoint
            ) as endpoints
        ) as seconds"""
    (row,) = await _fetch(pool, sql, environment, version, now)
    return Served(row["succeeded"], max(float(row["seconds"] or 0), 0.0))


@asynccontextmanager
async def only_one(pool: Pool, what: str) -> AsyncIterator[None]:
    """Of all processes on these views one at a time is inside for the same `what`; Conflict after 10 s of waiting.

    The lock ends with its transaction, so whoever dies inside holds up nobody.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local lock_timeout = '10s'")
        try:
            sql = "select pg_advisory_xact_lock(hashtextextended(current_schema() || $1, 0))"
            await connection.execute(sql, what)
        except asyncpg.LockNotAvailableError as error:
            raise Conflict("RESOURCE_CONTENDED", f"too many decisions on {what} at once; try again") from error
        yield


async def _fetch(pool: Pool, sql: str, *arguments: Any) -> Sequence[Any]:
    try:
        return await pool.fetch(sql, *arguments)
    except OSError as error:
        raise Unavailable("VIEWS_UNREACHABLE", f"the views cannot be read now, try again: {error}") from error
