"""The proposal to retire a version that stays below its floor: made by monitoring, decided by people."""

from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, NotFound, UnknownFact, invalid_field
from kernel.fold import kind
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import retraining_events_pb2 as facts
from modelog.monitoring.v1 import retrainings_pb2 as messages
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain.retraining import evidence_of, source_of


def is_due(alert: types.Alert, monitor: types.Monitor, now: datetime) -> bool:
    """Whether an open alert, or its rule, asks for a proposal and has been open for as long as it says."""
    source = source_of(monitor, alert)
    if alert.state in (types.ALERT_STATE_UNSPECIFIED, types.ALERT_STATE_RESOLVED) or source is None:
        return False
    if types.ACTION_PROPOSE_RETIREMENT not in source.actions:
        return False
    return now >= alert.create_time.ToDatetime(tzinfo=UTC) + timedelta(seconds=source.retire_after_seconds)


def propose(_retirement: messages.Retirement, alert: types.Alert, monitor: types.Monitor, *, now: datetime) -> Message:
    """NotAllowedNow when the alert has ended meanwhile, or is not due."""
    if not is_due(alert, monitor, now):
        raise NotAllowedNow("NOT_DUE", f"{alert.name} asks for no proposal now")
    return facts.RetirementProposed(
        version=alert.version, endpoint=alert.endpoint, alert=alert.name, evidence=evidence_of(alert)
    )


def accept(retirement: messages.Retirement) -> Message | None:
    if retirement.state == messages.RETIREMENT_STATE_ACCEPTED:
        return None
    _must_wait(retirement)
    return facts.RetirementAccepted()


def decline(retirement: messages.Retirement, *, reason: str) -> Message | None:
    if not reason:
        raise invalid_field("reason", "say why the version stays", "REASON_REQUIRED")
    if retirement.state == messages.RETIREMENT_STATE_DECLINED:
        return None
    _must_wait(retirement)
    return facts.RetirementDeclined()


def _must_wait(retirement: messages.Retirement) -> None:
    if not retirement.name:
        raise NotFound("RETIREMENT_NOT_FOUND", "there is no such proposal")
    if retirement.state != messages.RETIREMENT_STATE_PROPOSED:
        raise NotAllowedNow("RETIREMENT_DECIDED", f"{retirement.decided_by} has decided {retirement.name} already")


def evolve(retirement: messages.Retirement, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.RetirementProposed():
            retirement.version, retirement.endpoint, retirement.alert = fact.version, fact.endpoint, fact.alert
            retirement.evidence.CopyFrom(fact.evidence)
            retirement.state = messages.RETIREMENT_STATE_PROPOSED
        case facts.RetirementAccepted():
            retirement.state = messages.RETIREMENT_STATE_ACCEPTED
            retirement.decided_by, retirement.decision_reason = envelope.actor.id, envelope.reason
        case facts.RetirementDeclined():
            retirement.state = messages.RETIREMENT_STATE_DECLINED
            retirement.decided_by, retirement.decision_reason = envelope.actor.id, envelope.reason
        case _:
            raise UnknownFact(fact)


RETIREMENT = kind("monitoring", "projects/*/monitors/*/retirements/#", messages.Retirement, evolve)
