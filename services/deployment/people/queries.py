"""What ran where between two moments, and what had to be repaired."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kernel.errors import Unavailable, invalid_field
from kernel.page_tokens import opened, sealed
from kernel.postgres import Pool
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import people_pb2 as people
from modelog.deployment.v1.types_pb2 import Endpoint, Rollout, ServingInterval
from modelog.type.v1.read_pb2 import ReadOptions
from services.deployment.people.causes import cause_of

_PAGE_SIZE = 50
_MOST_ROWS = 500
_ROW = (
    *("endpoint", "version", "environment", "percent", "from_time", "from_revision", "rollout", "requested_by"),
    "approved_by",
)


async def serving_intervals(pool: Pool, request: rpc.ListServingIntervalsRequest) -> rpc.ListServingIntervalsResponse:
    """One page, oldest first unless asked otherwise. What ended only after `as_of` is shown as open, as it was then."""
    size = min(request.page_size or _PAGE_SIZE, _MOST_ROWS)
    query = _query_of(request)
    conditions, arguments, ended = _conditions(request)
    if request.page_token:
        arguments.extend(_place(request.page_token, query))
        last = len(arguments)
        beyond = "<" if request.descending else ">"
        conditions.append(f"(from_revision, endpoint, version) {beyond} (${last - 2}, ${last - 1}, ${last})")
    arguments.append(size + 1)
    rows = await _fetch(pool, _sql(request, conditions, ended, len(arguments)), *arguments)
    reply = rpc.ListServingIntervalsResponse(serving_intervals=[_interval(row, request) for row in rows[:size]])
    if len(rows) > size:
        row = rows[size - 1]
        reply.next_page_token = sealed(f"{row['from_revision']} {row['endpoint']} {row['version']}", query)
    return reply


def _conditions(request: rpc.ListServingIntervalsRequest) -> tuple[list[str], list[Any], str]:
    """What rows have to meet, the arguments of that, and when an interval counts as ended."""
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
    if request.model:
        arguments.append(f"{request.model}/versions/")
        conditions.append(f"starts_with(version, ${len(arguments)})")
    if not request.include_gaps:
        conditions.append("version <> ''")
    if request.HasField("from_time"):
        arguments.append(_aware(request.from_time))
        conditions.append(f"not coalesce({ended} and to_time <= ${len(arguments)}, false)")
    if request.HasField("to_time"):
        arguments.append(_aware(request.to_time))
        conditions.append(f"from_time < ${len(arguments)}")
    return conditions, arguments, ended


def _sql(request: rpc.ListServingIntervalsRequest, conditions: Sequence[str], ended: str, limit: int) -> str:
    """With the rollout and the endpoint as they were when the share was given."""
    direction = "desc" if request.descending else "asc"
    order = ", ".join(f"{column} {direction}" for column in ("from_revision", "endpoint", "version"))
    ends = f"case when {ended} then to_time end as to_time, case when {ended} then to_revision end as to_revision"
    return (
        f"select {', '.join(_ROW)}, {ends}, ("
        "  select body from rollout_history where name = rollout and revision <= from_revision"
        "  order by revision desc limit 1) as rollout_body, ("
        "  select body from endpoint_history where name = endpoint and revision = from_revision) as endpoint_body"
        f" from serving_interval where {' and '.join(conditions)} order by {order} limit ${limit}"
    )


def _interval(row: Any, request: rpc.ListServingIntervalsRequest) -> ServingInterval:
    interval = ServingInterval(**{name: row[name] for name in _ROW if name != "from_time"})
    interval.from_time.FromDatetime(row["from_time"])
    if row["to_time"] is not None:
        interval.to_time.FromDatetime(row["to_time"])
        interval.to_revision = row["to_revision"]
    if row["rollout_body"] is not None and interval.rollout:
        rollout = Rollout.FromString(row["rollout_body"])
        interval.cause, behalf = cause_of(interval, rollout)
        interval.on_behalf_of.extend(behalf)
    if row["endpoint_body"] is not None:
        shares = {share.version: share for share in Endpoint.FromString(row["endpoint_body"]).traffic}
        if interval.version in shares:
            interval.ready_replicas = shares[interval.version].ready_replicas
    if request.clip:
        _clip(interval, request)
    return interval


def _clip(interval: ServingInterval, request: rpc.ListServingIntervalsRequest) -> None:
    if request.HasField("from_time") and _micros(interval.from_time) < _micros(request.from_time):
        interval.from_time.CopyFrom(request.from_time)
    if request.HasField("to_time"):
        late = not interval.HasField("to_time") or _micros(request.to_time) < _micros(interval.to_time)
        if late:
            interval.to_time.CopyFrom(request.to_time)


def _micros(timestamp: Any) -> int:
    return int(timestamp.ToMicroseconds())


def _query_of(request: Any) -> str:
    """What a page token belongs to: everything of the request but where its page begins and how long it is."""
    asked = type(request)()
    asked.CopyFrom(request)
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    asked.read.ClearField("at_least")
    return str(asked.SerializeToString(deterministic=True))


def _place(token: str, query: str) -> tuple[int, str, str]:
    """Where the page before ended: (revision, endpoint, version)."""
    revision, _, rest = opened(token, query).partition(" ")
    endpoint, _, version = rest.partition(" ")
    return int(revision), endpoint, version


async def repairs(pool: Pool, request: people.ListRepairsRequest) -> people.ListRepairsResponse:
    """One page, newest first."""
    size = min(request.page_size or _PAGE_SIZE, _MOST_ROWS)
    query = _query_of(request)
    column, arguments = _below(request.parent)
    conditions = [f"{column} = $1"]
    _as_of(request.read, conditions, arguments)
    for name, comparison in (("from_time", ">="), ("to_time", "<")):
        if request.HasField(name):
            arguments.append(_aware(getattr(request, name)))
            conditions.append(f"record_time {comparison} ${len(arguments)}")
    if request.page_token:
        revision, _, number = opened(request.page_token, query).partition(" ")
        arguments.extend((int(revision), int(number)))
        conditions.append(f"(revision, number) < (${len(arguments) - 1}, ${len(arguments)})")
    arguments.append(size + 1)
    sql = (
        "select endpoint, revision, number, record_time, body from repair"
        f" where {' and '.join(conditions)} order by revision desc, number desc limit ${len(arguments)}"
    )
    rows = await _fetch(pool, sql, *arguments)
    reply = people.ListRepairsResponse(repairs=[_repair(row) for row in rows[:size]])
    if len(rows) > size:
        reply.next_page_token = sealed(f"{rows[size - 1]['revision']} {rows[size - 1]['number']}", query)
    return reply


def _below(parent: str) -> tuple[str, list[Any]]:
    if parent.endswith("/endpoints/-"):
        return "project", [parent.removesuffix("/endpoints/-")]
    return "endpoint", [parent]


def _as_of(read: ReadOptions, conditions: list[str], arguments: list[Any]) -> None:
    if read.as_of_revision:
        arguments.append(read.as_of_revision)
        conditions.append(f"revision <= ${len(arguments)}")
    elif read.HasField("as_of_time"):
        arguments.append(_aware(read.as_of_time))
        conditions.append(f"record_time <= ${len(arguments)}")


def _repair(row: Any) -> people.RecordedRepair:
    found = people.RecordedRepair(
        endpoint=row["endpoint"], revision=row["revision"], repair=people.Repair.FromString(row["body"])
    )
    found.record_time.FromDatetime(row["record_time"])
    return found


async def rollout_states(pool: Pool, name: str, after_revision: int, most: int = 100) -> list[Rollout]:
    """Every state of a rollout behind a revision, oldest first."""
    sql = "select body from rollout_history where name = $1 and revision > $2 order by revision limit $3"
    return [Rollout.FromString(row["body"]) for row in await _fetch(pool, sql, name, after_revision, most)]


def _aware(timestamp: Any) -> datetime:
    try:
        moment: datetime = timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise invalid_field("from_time, to_time", f"no time of this world: {error}") from error
    return moment


async def _fetch(pool: Pool, sql: str, *arguments: Any) -> Sequence[Any]:
    try:
        return await pool.fetch(sql, *arguments)
    except OSError as error:
        raise Unavailable("VIEWS_UNREACHABLE", f"the views cannot be read now, try again: {error}") from error
