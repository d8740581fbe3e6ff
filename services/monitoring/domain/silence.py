"""The silence: nobody is to be notified of some of a project's alerts for a while."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import Invalid, NotFound, UnknownFact, invalid_field
from kernel.fold import kind
from modelog.access.v1.types_pb2 import KnownProject
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import alert_events_pb2 as facts
from modelog.monitoring.v1 import alerts_pb2 as alerts
from modelog.monitoring.v1 import types_pb2 as types

_LONGEST = timedelta(days=90)


def create(
    _silence: alerts.Silence, project: KnownProject, *, request: alerts.CreateSilenceRequest, now: datetime
) -> Message:
    """From `start_time`, or now, to `end_time`; what is left empty in the request matches every alert."""
    if not project.name:
        raise NotFound("PROJECT_NOT_FOUND", f"there is no {request.parent}")
    if not request.reason:
        raise invalid_field("reason", "say why nobody is to be notified", "REASON_REQUIRED")
    start = max(now, _moment(request.start_time)) if request.HasField("start_time") else now
    end = _moment(request.end_time)
    if end <= start:
        raise Invalid("SILENCE_IN_THE_PAST", "end_time: name a moment that is still to come, after start_time")
    if end - start > _LONGEST:
        raise Invalid("SILENCE_TOO_LONG", f"end_time: at most {_LONGEST.days} days; change the rule instead")
    created = facts.SilenceCreated(
        monitor=request.monitor,
        version=request.version,
        rule=request.rule,
        check=request.check,
        most_severity=request.most_severity,
        end_time=request.end_time,
        hold_actions=request.hold_actions,
    )
    created.start_time.FromDatetime(start)
    return created


def end(silence: alerts.Silence, *, now: datetime) -> Message | None:
    if not silence.name:
        raise NotFound("SILENCE_NOT_FOUND", "there is no such silence")
    if silence.ended_by or _moment(silence.end_time) <= now:
        return None
    return facts.SilenceEnded()


def matching(
    silences: Iterable[alerts.Silence],
    monitor: str,
    version: str,
    rule: str,
    members: Sequence[types.AlertMember],
    severity: types.Severity,
    now: datetime,
) -> list[alerts.Silence]:
    """Those that hold now for an alert."""
    checks = {one.check for one in members}
    return [
        one
        for one in silences
        if not one.ended_by
        and _moment(one.start_time) <= now < _moment(one.end_time)
        and one.monitor in ("", monitor)
        and one.version in ("", version)
        and one.rule in ("", rule)
        and (not one.check or checks == {one.check})
        and (not one.most_severity or severity <= one.most_severity)
    ]


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def evolve(silence: alerts.Silence, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.SilenceCreated():
            silence.monitor, silence.version = fact.monitor, fact.version
            silence.rule, silence.check = fact.rule, fact.check
            silence.most_severity, silence.hold_actions = fact.most_severity, fact.hold_actions
            silence.start_time.CopyFrom(fact.start_time)
            silence.end_time.CopyFrom(fact.end_time)
            silence.reason, silence.created_by = envelope.reason, envelope.actor.id
        case facts.SilenceEnded():
            silence.ended_by = envelope.actor.id
        case _:
            raise UnknownFact(fact)


SILENCE = kind("monitoring", "projects/*/silences/#", alerts.Silence, evolve)
