"""What is asked beyond single resources: the controller's work, and what ran where between two moments."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg

from kernel.errors import Conflict, Unavailable, invalid_field
from kernel.names import child
from kernel.postgres import Pool
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1.types_pb2 import ServingInterval
from services.deployment.domain.promotion import Served

_PAGE_SIZE = 50
_MOST_ROWS = 500
_MOST_NAMED = 20


class Work(NamedTuple):
    """An endpoint that is not removed, and the name of its newest rollout, empty when it has none."""

    endpoint: str
    rollout: str


async def work(pool: Pool) -> list[Work]:
    """Everything the controller looks after."""
    sql = "select endpoint, rollout from endpoint_work where not removed order by endpoint"
    return [_work(row) for row in await _fetch(pool, sql)]


async def work_in(pool: Pool, environment: str) -> list[Work]:
    """The same of one environment."""
    sql = "select endpoint, rollout from endpoint_work where environment = $1 and not removed order by endpoint"
    return [_work(row) for row in await _fetch(pool, sql, environment)]


def _work(row: Any) -> Work:
    return Work(row["endpoint"], child(row["endpoint"], "rollouts", row["rollout"]) if row["rollout"] else "")


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


async def serving_intervals(pool: Pool, request: rpc.ListServingIntervalsRequest) -> rpc.ListServingIntervalsResponse:
    """One page, oldest first. An interval that ended only after `as_of` is shown as open, as it was then."""
    size = min(request.page_size or _PAGE_SIZE, _MOST_ROWS)
    after = _opened(request.page_token)
    sql, arguments = _intervals(request)
    first = len(arguments) + 1
    page = f" and (from_revision, endpoint, version) > (${first}, ${first + 1}, ${first + 2})"
    order = f" order by from_revision, endpoint, version limit ${first + 3}"
    rows = await _fetch(pool, sql + page + order, *arguments, *after, size + 1)
    reply = rpc.ListServingIntervalsResponse(serving_intervals=[_interval(row) for row in rows[:size]])
    if len(rows) > size:
        last = rows[size - 1]
        reply.next_page_token = f"{last['from_revision']} {last['endpoint']} {last['version']}"
    return reply


def _intervals(request: rpc.ListServingIntervalsRequest) -> tuple[str, list[Any]]:
    """The query without its page, and its arguments."""
    arguments: list[Any] = [request.parent]
    known, ended = "true", "to_revision is not null"
    if request.read.as_of_revision:
        arguments.append(request.read.as_of_revision)
        known, ended = "from_revision <= $2", "to_revision <= $2"
    elif request.read.HasField("as_of_time"):
        arguments.append(_aware(request.read.as_of_time))
        known, ended = "from_time <= $2", "to_time <= $2"
    conditions = ["project = $1", known]
    for name in ("endpoint", "version", "environment"):
        if value := getattr(request, name):
            arguments.append(value)
            conditions.append(f"{name} = ${len(arguments)}")
    if request.HasField("from_time"):
        arguments.append(_aware(request.from_time))
        conditions.append(f"not coalesce({ended} and to_time <= ${len(arguments)}, false)")
    if request.HasField("to_time"):
        arguments.append(_aware(request.to_time))
        conditions.append(f"from_time < ${len(arguments)}")
    columns = "endpoint, version, environment, percent, from_time, from_revision, rollout, requested_by, approved_by"
    ends = f"case when {ended} then to_time end as to_time, case when {ended} then to_revision end as to_revision"
    return f"select {columns}, {ends} from serving_interval where {' and '.join(conditions)}", arguments


def _interval(row: Any) -> ServingInterval:
    names = ("endpoint", "version", "environment", "percent", "from_revision", "rollout", "requested_by", "approved_by")
    interval = ServingInterval(**{name: row[name] for name in names})
    interval.from_time.FromDatetime(row["from_time"])
    if row["to_time"] is not None:
        interval.to_time.FromDatetime(row["to_time"])
        interval.to_revision = row["to_revision"]
    return interval


def _opened(token: str) -> tuple[int, str, str]:
    """Where the next page begins: (revision, endpoint, version) of the last row of the page before."""
    if not token:
        return 0, "", ""
    revision, _, rest = token.partition(" ")
    endpoint, _, version = rest.partition(" ")
    if not (revision.isdigit() and len(revision) < len(str(2**63)) and endpoint and version):
        raise invalid_field("page_token", "take it unchanged from the last reply of the same query")
    return int(revision), endpoint, version


def _aware(timestamp: Any) -> datetime:
    moment: datetime = timestamp.ToDatetime(tzinfo=UTC)
    return moment


async def _fetch(pool: Pool, sql: str, *arguments: Any) -> Sequence[Any]:
    try:
        return await pool.fetch(sql, *arguments)
    except OSError as error:
        raise Unavailable("VIEWS_UNREACHABLE", f"the views cannot be read now, try again: {error}") from error
