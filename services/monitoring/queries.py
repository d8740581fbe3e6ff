"""SQL over the views beyond single resources."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from kernel.errors import NotFound, Unavailable, invalid_field
from kernel.postgres import Pool
from modelog.monitoring.v1 import alerts_pb2 as alerts
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import pictures_pb2 as pictures
from modelog.monitoring.v1 import types_pb2 as types

_PAGE_SIZE = 50
_MOST_EPISODES = 500
_MOST_CHANGES = 500

AsOf = tuple[int, datetime]  # The newest revision and the latest time that may be seen.
_LATEST = datetime.max.replace(tzinfo=UTC)


async def _fetch(pool: Pool, sql: str, *arguments: Any) -> Sequence[asyncpg.Record]:
    try:
        return await pool.fetch(sql, *arguments)
    except OSError as error:
        raise Unavailable("VIEWS_UNREACHABLE", f"the views cannot be read now, try again: {error}") from error


async def monitors_of_endpoints(pool: Pool, endpoints: Sequence[str]) -> list[types.Monitor]:
    rows = await _fetch(
        pool,
        "select body from watched join monitor on monitor.name = watched.monitor"
        " where endpoint = any($1::text[]) order by monitor.name",
        endpoints,
    )
    return [types.Monitor.FromString(row["body"]) for row in rows]


async def has_versions(pool: Pool, model: str) -> bool:
    """Whether a version of the model is known."""
    prefix = f"{model}/versions/"
    rows = await _fetch(
        pool, "select from known_version where name >= $1 and name < $2 limit 1", prefix, prefix + "\uffff"
    )
    return bool(rows)


async def monitors(pool: Pool) -> list[str]:
    """Names of all monitors."""
    return [row[0] for row in await _fetch(pool, "select monitor from watched order by monitor")]


async def open_retraining(pool: Pool, monitor: str) -> str:
    """The monitor's retraining that is neither answered nor given up; empty when there is none."""
    rows = await _fetch(pool, "select retraining from open_retraining where monitor = $1 limit 1", monitor)
    return rows[0][0] if rows else ""


async def silences(pool: Pool, project: str, now: datetime) -> list[alerts.Silence]:
    """Those of a project that are neither over nor ended."""
    rows = await _fetch(
        pool,
        "select body from standing_silence join silence on silence.name = standing_silence.silence"
        " where project = $1 and end_time > $2 order by silence.name",
        project,
        now,
    )
    return [alerts.Silence.FromString(row["body"]) for row in rows]


async def overdue_alerts(pool: Pool, now: datetime, most: int) -> list[tuple[str, int]]:
    """Names of alerts that nobody has acknowledged in time, with the revision of the fact that opened them."""
    rows = await _fetch(
        pool,
        "select resource, revision from escalation where due_time <= $1 order by due_time, resource limit $2",
        now,
        most,
    )
    return [(row["resource"], row["revision"]) for row in rows]


async def quiet_alerts(pool: Pool) -> list[types.Alert]:
    """Alerts that nobody was told of and nobody has taken."""
    rows = await _fetch(
        pool, "select body from quiet_alert join alert on alert.name = quiet_alert.resource order by alert.name"
    )
    return [types.Alert.FromString(row["body"]) for row in rows]


async def evaluated_window(pool: Pool, monitor: str, number: int, as_of: AsOf) -> tuple[int, facts.WindowEvaluated]:
    """Revision and fact of a window; NotFound."""
    rows = await _fetch(
        pool,
        "select revision, body from evaluated where monitor = $1 and number = $2"
        " and revision <= $3 and recorded_at <= $4",
        monitor,
        number,
        *as_of,
    )
    if not rows:
        raise NotFound("WINDOW_NOT_FOUND", f"{monitor} has evaluated no window {number}")
    return rows[0]["revision"], facts.WindowEvaluated.FromString(rows[0]["body"])


async def windows_between(
    pool: Pool, monitor: str, version: str, period: tuple[datetime, datetime]
) -> list[facts.WindowEvaluated]:
    """The newest thousand windows of a version that ended after the first moment and not after the second, newest
    first."""
    rows = await _fetch(
        pool,
        "select body from evaluated where monitor = $1 and number in (select number from metric_point"
        " where monitor = $1 and version = $2 and end_time > $3 and end_time <= $4) order by number desc limit 1000",
        monitor,
        version,
        *period,
    )
    return [facts.WindowEvaluated.FromString(row["body"]) for row in rows]


async def metric_points(pool: Pool, request: rpc.ListWindowsRequest, as_of: AsOf) -> rpc.ListWindowsResponse:
    """One page, newest window first."""
    size = request.page_size or _PAGE_SIZE
    query = _query(request)
    number, place = _opened(request.page_token, query) if request.page_token else (1 << 62, 0)
    rows = await _fetch(
        pool,
        "select number, place, body from metric_point"
        " where monitor = $1 and (number < $2 or number = $2 and place > $3) and revision <= $4 and recorded_at <= $5"
        " and ($6 = '' or version = $6) and ($7 = '' or check_id = $7) and ($8 = '' or column_name = $8)"
        " and end_time >= $9 and end_time < $10 order by number desc, place limit $11",
        request.parent,
        number,
        place,
        *as_of,
        request.version,
        request.check,
        request.column,
        *_between(request),
        size + 1,
    )
    points = [types.MetricPoint.FromString(row["body"]) for row in rows[:size]]
    last = rows[size - 1] if len(rows) > size else None
    token = _sealed(last["number"], last["place"], query) if last is not None else ""
    return rpc.ListWindowsResponse(points=points, next_page_token=token)


def _query(request: rpc.ListWindowsRequest) -> str:
    """Short for what is asked, so that a token of one query is not taken for another's."""
    asked = rpc.ListWindowsRequest()
    asked.CopyFrom(request)
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).hexdigest()[:12]


def _sealed(number: int, place: int, query: str) -> str:
    return base64.urlsafe_b64encode(f"{query}.{number}.{place}".encode()).decode()


def _opened(token: str, query: str) -> tuple[int, int]:
    try:
        asked, number, place = base64.urlsafe_b64decode(token).decode("ascii").split(".")
        if asked != query:
            raise ValueError("the token belongs to another query")
        return int(number), int(place)
    except (binascii.Error, ValueError) as error:
        raise invalid_field(
            "page_token", f"take it unchanged from the last reply of the same query: {error}"
        ) from error


def _between(request: rpc.ListWindowsRequest | pictures.GetSeriesRequest) -> tuple[datetime, datetime]:
    until = request.end_time.ToDatetime(tzinfo=UTC) if request.HasField("end_time") else _LATEST
    return request.start_time.ToDatetime(tzinfo=UTC), until


async def newest_points(
    pool: Pool, request: pictures.GetSeriesRequest, as_of: AsOf, most: int
) -> Sequence[types.MetricPoint]:
    """At most so many points, of the newest windows first."""
    rows = await _fetch(
        pool,
        "select body from metric_point where monitor = $1 and end_time >= $2 and end_time < $3"
        " and revision <= $4 and recorded_at <= $5 and segment = $6 and ($7 = '' or version = $7)"
        " and (cardinality($8::text[]) = 0 or check_id = any($8::text[]))"
        " and (cardinality($9::text[]) = 0 or column_name = '' or column_name = any($9::text[]))"
        " order by end_time desc, number desc, place limit $10",
        request.name,
        *_between(request),
        *as_of,
        request.segment,
        request.version,
        list(request.checks),
        list(request.columns),
        most,
    )
    return [types.MetricPoint.FromString(row["body"]) for row in rows]


async def episodes(pool: Pool, request: pictures.GetSeriesRequest, as_of: AsOf) -> list[pictures.AlertEpisode]:
    """The newest that were open at some time of what is asked for, oldest first."""
    rows = await _fetch(
        pool,
        "select *, coalesce(closed_revision <= $4 and closed_recorded_at <= $5, false) as closed from episode"
        " where monitor = $1 and opened_at < $3 and (closed_at is null or closed_at >= $2)"
        " and revision <= $4 and recorded_at <= $5 and segment = $6 and ($7 = '' or version = $7)"
        " and (cardinality($8::text[]) = 0 or check_id = any($8::text[]))"
        " order by alert desc, opened_window desc limit $9",
        request.name,
        *_between(request),
        *as_of,
        request.segment,
        request.version,
        list(request.checks),
        _MOST_EPISODES,
    )
    return [_episode(row) for row in reversed(rows)]


def _episode(row: asyncpg.Record) -> pictures.AlertEpisode:
    told = pictures.AlertEpisode(
        number=row["alert"],
        check=row["check_id"],
        version=row["version"],
        segment=row["segment"],
        open_window=row["opened_window"],
        open_time=row["opened_at"],
    )
    if row["closed"]:
        told.close_window = row["closed_window"]
        told.close_time.FromDatetime(row["closed_at"])
    return told


async def alert_window(pool: Pool, monitor: str, alert: int, as_of: AsOf) -> int:
    """Number of the window that raised an alert; NotFound."""
    rows = await _fetch(
        pool,
        "select opened_window from episode where monitor = $1 and alert = $2 and revision <= $3 and recorded_at <= $4"
        " order by opened_window limit 1",
        monitor,
        alert,
        *as_of,
    )
    if not rows:
        raise NotFound("ALERT_NOT_FOUND", f"{monitor} has raised no alert {alert}")
    return int(rows[0]["opened_window"])


async def traffic(
    pool: Pool, endpoint: str, request: pictures.GetSeriesRequest, as_of: AsOf
) -> list[pictures.TrafficChange]:
    """The newest splits that held at some time of what is asked for, oldest first."""
    start, end = _between(request)
    rows = await _fetch(
        pool,
        "select body from traffic where endpoint = $1 and recorded_at < $3 and revision <= $4 and recorded_at <= $5"
        " and revision >= coalesce((select max(revision) from traffic where endpoint = $1 and recorded_at <= $2), 0)"
        " order by revision desc limit $6",
        endpoint,
        start,
        end,
        *as_of,
        _MOST_CHANGES,
    )
    return [pictures.TrafficChange.FromString(row["body"]) for row in reversed(rows)]
