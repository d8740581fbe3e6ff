"""The alert: one episode in which one check fails for one version. Its monitor numbers it, so a cause has one alert."""

from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import Invalid, NotAllowedNow, NotFound, UnknownFact
from kernel.fold import kind
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types

_MOST_COLUMNS = 10


def failed_columns(result: types.CheckResult) -> list[types.ColumnResult]:
    """The columns that failed, worst first, as far as an alert shows them."""
    return [one for one in result.columns if one.outcome == types.OUTCOME_FAILED][:_MOST_COLUMNS]


def raise_(
    alert: types.Alert, *, monitor: str, evaluated: facts.WindowEvaluated, result: types.CheckResult
) -> Message | None:
    if alert.name:
        return None  # Raised already: the window's fact was delivered again.
    return facts.AlertRaised(
        monitor=monitor,
        endpoint=evaluated.endpoint,
        version=evaluated.window.version,
        check=result.check.id,
        method=result.check.method,
        severity=result.check.severity,
        statistic=result.statistic,
        threshold=result.check.threshold,
        columns=failed_columns(result),
        window=evaluated.window,
        actions=result.check.actions,
    )


def acknowledge(alert: types.Alert, *, note: str) -> Message | None:
    _must_be_open(alert)
    if alert.state == types.ALERT_STATE_ACKNOWLEDGED and alert.note == note:
        return None
    return facts.AlertAcknowledged(note=note)


def silence(alert: types.Alert, *, until: Timestamp, now: datetime) -> Message | None:
    _must_be_open(alert)
    if until.ToDatetime(tzinfo=UTC) <= now:
        raise Invalid("SILENCE_IN_THE_PAST", "until: name a moment that is still to come")
    return None if alert.silenced_until == until else facts.AlertSilenced(until=until)


def resolve(alert: types.Alert, *, resolution: types.Resolution, window: int = 0) -> Message | None:
    if not alert.name:
        raise NotFound("ALERT_NOT_FOUND", "there is no such alert")
    if alert.state == types.ALERT_STATE_RESOLVED:
        return None
    return facts.AlertResolved(resolution=resolution, window=window)


def _must_be_open(alert: types.Alert) -> None:
    if not alert.name:
        raise NotFound("ALERT_NOT_FOUND", "there is no such alert")
    if alert.state == types.ALERT_STATE_RESOLVED:
        raise NotAllowedNow("ALERT_RESOLVED", f"{alert.name} is over; a new failure opens another alert")


def evolve(alert: types.Alert, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.AlertRaised():
            alert.endpoint, alert.version = fact.endpoint, fact.version
            alert.check, alert.method, alert.severity = fact.check, fact.method, fact.severity
            alert.statistic, alert.threshold = fact.statistic, fact.threshold
            alert.columns.extend(fact.columns)
            alert.window.CopyFrom(fact.window)
            alert.actions.extend(fact.actions)
            alert.state = types.ALERT_STATE_FIRING
        case facts.AlertAcknowledged():
            alert.state, alert.note = types.ALERT_STATE_ACKNOWLEDGED, fact.note
            alert.acknowledged_by = envelope.actor.id
        case facts.AlertSilenced():
            alert.silenced_until.CopyFrom(fact.until)
            alert.silence_reason = envelope.reason
        case facts.AlertResolved():
            alert.state, alert.resolution = types.ALERT_STATE_RESOLVED, fact.resolution
            alert.resolve_time.CopyFrom(envelope.recorded_at)
            if fact.resolution == types.RESOLUTION_BY_HAND:
                alert.resolved_by = envelope.actor.id
        case _:
            raise UnknownFact(fact)


ALERT = kind("monitoring", "projects/*/monitors/*/alerts/#", types.Alert, evolve)
