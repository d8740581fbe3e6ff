"""Views that are not resources: who looks at which endpoint, open retrainings, evaluated windows, metric series, what
pictures show beside them (episodes of alerts, and how traffic was shared), silences that hold, alerts that wait for
somebody."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kernel.folding import Folded
from kernel.names import project_of
from modelog.deployment.v1 import events_pb2 as deployment_facts
from modelog.monitoring.v1 import alert_events_pb2 as later
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import pictures_pb2 as pictures
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.queue.projecting import queue


async def project(connection: Any, folded: Sequence[Folded]) -> None:
    for one in folded:
        match one.event:
            case facts.MonitorCreated():
                await connection.execute(
                    "insert into watched (endpoint, monitor) values ($1, $2)", one.event.endpoint, one.fact.resource
                )
            case facts.WindowEvaluated():
                await _window(connection, one, one.event)
                await _episodes(connection, one, one.event)
            case facts.MonitorChanged() | facts.VersionReplaced():
                for episode in one.event.closed:
                    await _close(connection, one, one.fact.resource, episode.alert)
            case deployment_facts.TrafficShifted() | deployment_facts.EndpointRemoved():
                await _traffic(connection, one)
            case _:
                await _alert(connection, one)
                await queue(connection, one)


async def _alert(connection: Any, one: Folded) -> None:
    """Who is to be told of alerts, and when."""
    match one.event:
        case facts.AlertRaised() | later.AlertReopened():
            await _opened(connection, one)
        case facts.AlertResolved():
            await connection.execute("delete from escalation where resource = $1", one.fact.resource)
            await _hush(connection, one.fact.resource, quiet=False)
            # What ended otherwise was told by the monitor, and may be open again by now.
            if one.event.resolution == types.RESOLUTION_BY_HAND:
                monitor, _, number = one.fact.resource.rpartition("/alerts/")
                await _close(connection, one, monitor, int(number))
        case facts.AlertAcknowledged() | later.AlertEscalated():
            await connection.execute("delete from escalation where resource = $1", one.fact.resource)
            if not (isinstance(one.event, later.AlertEscalated) and one.event.silent):
                await _hush(connection, one.fact.resource, quiet=False)
        case facts.AlertSilenced():
            await _hush(connection, one.fact.resource, quiet=True)
        case later.AlertUnsilenced():
            await _hush(connection, one.fact.resource, quiet=False)
        case later.SilenceCreated():
            await connection.execute(
                "insert into standing_silence (silence, project, end_time) values ($1, $2, $3)",
                one.fact.resource,
                project_of(one.fact.resource),
                one.event.end_time.ToDatetime(tzinfo=UTC),
            )
        case later.SilenceEnded():
            await connection.execute("delete from standing_silence where silence = $1", one.fact.resource)


async def _hush(connection: Any, alert: str, *, quiet: bool) -> None:
    if quiet:
        await connection.execute("insert into quiet_alert (resource) values ($1) on conflict do nothing", alert)
    else:
        await connection.execute("delete from quiet_alert where resource = $1", alert)


async def _opened(connection: Any, one: Folded) -> None:
    assert isinstance(one.event, facts.AlertRaised | later.AlertReopened)
    await _hush(connection, one.fact.resource, quiet=one.event.silent)
    if isinstance(one.event, later.AlertReopened):
        monitor, _, number = one.fact.resource.rpartition("/alerts/")
        await _episode(connection, one, monitor, int(number), one.event.check, one.event.window)
    after = one.event.escalate_after_seconds
    if after:
        await connection.execute(
            "insert into escalation (resource, revision, due_time) values ($1, $2, $3)"
            " on conflict (resource) do update set revision = excluded.revision, due_time = excluded.due_time",
            one.fact.resource,
            one.revision,
            one.fact.recorded_at.ToDatetime(tzinfo=UTC) + timedelta(seconds=after),
        )


async def _window(connection: Any, one: Folded, fact: facts.WindowEvaluated) -> None:
    window = fact.window
    recorded_at = one.fact.recorded_at.ToDatetime(tzinfo=UTC)
    await connection.execute(
        "insert into evaluated (monitor, number, revision, recorded_at, body) values ($1, $2, $3, $4, $5)",
        one.fact.resource,
        window.number,
        one.revision,
        recorded_at,
        fact.SerializeToString(deterministic=True),
    )
    await connection.executemany(
        "insert into metric_point (monitor, number, place, revision, recorded_at, start_time, end_time, version,"
        " check_id, column_name, body, segment) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        [
            (
                one.fact.resource,
                window.number,
                place,
                one.revision,
                recorded_at,
                window.start_time.ToDatetime(tzinfo=UTC),
                window.end_time.ToDatetime(tzinfo=UTC),
                window.version,
                point.check,
                point.column,
                point.SerializeToString(deterministic=True),
                window.segment,
            )
            for place, point in enumerate(points(fact, one.revision), start=1)
        ],
    )


async def _episodes(connection: Any, one: Folded, fact: facts.WindowEvaluated) -> None:
    window = fact.window
    ended_at = window.end_time.ToDatetime(tzinfo=UTC)
    for episode in fact.closed:
        await _close(connection, one, one.fact.resource, episode.alert, window.number, ended_at)
    for episode in fact.opened:
        await _episode(connection, one, one.fact.resource, episode.alert, episode.check, window)


async def _episode(connection: Any, one: Folded, monitor: str, alert: int, check: str, window: types.Window) -> None:
    """An alert is open from the end of a window on. What opens again is told by the monitor first, unless somebody had
    ended it."""
    await connection.execute(
        "insert into episode (monitor, alert, check_id, version, segment, opened_window, opened_at, revision,"
        " recorded_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        monitor,
        alert,
        check,
        window.version,
        window.segment,
        window.number,
        window.end_time.ToDatetime(tzinfo=UTC),
        one.revision,
        one.fact.recorded_at.ToDatetime(tzinfo=UTC),
    )


async def _close(
    connection: Any, one: Folded, monitor: str, alert: int, window: int = 0, ended_at: datetime | None = None
) -> None:
    """The first end of an episode counts: somebody may have ended it before the window that passed."""
    recorded_at = one.fact.recorded_at.ToDatetime(tzinfo=UTC)
    await connection.execute(
        "update episode set closed_window = $3, closed_at = $4, closed_revision = $5, closed_recorded_at = $6"
        " where monitor = $1 and alert = $2 and closed_revision is null",
        monitor,
        alert,
        window,
        ended_at or recorded_at,
        one.revision,
        recorded_at,
    )


async def _traffic(connection: Any, one: Folded) -> None:
    change = pictures.TrafficChange(time=one.fact.recorded_at, revision=one.revision)
    if isinstance(one.event, deployment_facts.TrafficShifted):
        shares = [share for share in one.event.traffic if share.percent > 0]
        for share in sorted(shares, key=lambda share: (-share.percent, share.version)):
            change.shares.add(version=share.version, percent=share.percent)
    await connection.execute(
        "insert into traffic (endpoint, revision, recorded_at, body) values ($1, $2, $3, $4)",
        one.fact.resource,
        one.revision,
        one.fact.recorded_at.ToDatetime(tzinfo=UTC),
        change.SerializeToString(deterministic=True),
    )


def points(fact: facts.WindowEvaluated, revision: int) -> Iterator[types.MetricPoint]:
    """The values of the metric series in one window: one for each column, one for a check without columns, and both
    for the drift of the data set."""
    window = fact.window
    for result in fact.results:
        check = result.check
        point = types.MetricPoint(
            window=window.number,
            start_time=window.start_time,
            end_time=window.end_time,
            version=window.version,
            segment=window.segment,
            check=check.id,
            method=check.method,
            threshold=check.threshold,
            revision=revision,
        )
        if not result.columns or check.method == types.METHOD_DATASET_DRIFT:
            point.value, point.outcome, point.rows = result.statistic, result.outcome, result.rows
            point.error_bound = result.error_bound
            if result.HasField("p_value"):
                point.p_value = result.p_value
            if result.HasField("interval"):
                point.interval.CopyFrom(result.interval)
            yield point
            point.ClearField("interval")
        for column in result.columns:
            point.column, point.value = column.column, column.statistic
            point.outcome, point.rows = column.outcome, column.rows
            point.ClearField("p_value")
            if column.HasField("p_value"):
                point.p_value = column.p_value
            point.error_bound = column.error_bound
            yield point
