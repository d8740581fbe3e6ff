"""The retraining: a recorded request for a better version, until one is registered as the answer.

Requests that nobody has started are a queue: a worker claims one, and has it until the lease is over or it starts.
"""

from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import Conflict, NotAllowedNow, NotFound, UnknownFact, invalid_field
from kernel.fold import kind
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import retraining_events_pb2 as later
from modelog.monitoring.v1 import types_pb2 as types

LEASE_SECONDS = 600
_ENDED = (types.RETRAINING_STATE_ANSWERED, types.RETRAINING_STATE_ABANDONED)


def request_for_alert(
    _retraining: types.Retraining, monitor: types.Monitor, *, alert: types.Alert, now: datetime
) -> Message:
    """What an alert with the action RETRAIN asks for."""
    _must_exist(monitor)
    requested = facts.RetrainingRequested(
        alert=alert.name,
        endpoint=alert.endpoint,
        version=alert.version,
        evidence=evidence_of(alert),
        severity=alert.severity,
    )
    source = source_of(monitor, alert)
    _set_deadline(requested, source.retrain_within_seconds if source is not None else 0, now)
    return requested


def evidence_of(alert: types.Alert) -> types.Evidence:
    return types.Evidence(
        check=alert.check,
        columns=alert.columns,
        statistic=alert.statistic,
        threshold=alert.threshold,
        window=alert.window,
    )


def source_of(monitor: types.Monitor, alert: types.Alert) -> types.Check | types.AlertRule | None:
    """What raised an alert, as it is now; None when it is gone."""
    if alert.rule:
        return next((rule for rule in monitor.rules if rule.id == alert.rule), None)
    return next((check for check in monitor.checks if check.id == alert.check), None)


def _set_deadline(requested: facts.RetrainingRequested, within_seconds: int, now: datetime) -> None:
    if within_seconds:
        requested.deadline_time.FromDatetime(now + timedelta(seconds=within_seconds))


def request_by_hand(
    _retraining: types.Retraining,
    monitor: types.Monitor,
    version: types.KnownVersion,
    *,
    version_name: str,
    within_seconds: int,
    now: datetime,
) -> Message:
    _must_exist(monitor)
    if not version.name:
        raise NotFound("VERSION_NOT_FOUND", f"there is no {version_name}")
    requested = facts.RetrainingRequested(endpoint=monitor.endpoint, version=version_name)
    _set_deadline(requested, within_seconds, now)
    return requested


def claim(retraining: types.Retraining, *, lease_seconds: int, now: datetime) -> Message:
    """Takes what waits in the queue; Conflict when somebody else was faster."""
    _must_be_open(retraining)
    if retraining.state != types.RETRAINING_STATE_REQUESTED:
        raise Conflict("RETRAINING_TAKEN", f"{retraining.name} does not wait any more; claim again")
    return _claimed(lease_seconds, now)


def extend(retraining: types.Retraining, *, by: str, lease_seconds: int, now: datetime) -> Message:
    _must_be_open(retraining)
    if retraining.state != types.RETRAINING_STATE_CLAIMED or retraining.claimed_by != by:
        raise Conflict("RETRAINING_TAKEN", f"{retraining.name} is not claimed by you, or not any more; claim again")
    return _claimed(lease_seconds, now)


def _claimed(lease_seconds: int, now: datetime) -> Message:
    claimed = later.RetrainingClaimed()
    claimed.expire_time.FromDatetime(now + timedelta(seconds=lease_seconds or LEASE_SECONDS))
    return claimed


def release(retraining: types.Retraining, *, by: str, reason: str) -> Message:
    _must_be_open(retraining)
    if not reason:
        raise invalid_field("reason", "say why it is given back", "REASON_REQUIRED")
    if by not in (retraining.claimed_by, retraining.started_by):
        raise Conflict("RETRAINING_TAKEN", f"{retraining.name} is not yours to give back")
    return later.RetrainingReleased()


def expire(retraining: types.Retraining, *, now: datetime) -> Message | None:
    """Back to the queue when the lease is over."""
    if retraining.state != types.RETRAINING_STATE_CLAIMED or now < _moment(retraining.claim_expire_time):
        return None
    return later.RetrainingReleased(expired=True)


def miss(retraining: types.Retraining, *, now: datetime) -> Message | None:
    """Says once that nobody answered in time."""
    waits = retraining.name and retraining.state not in _ENDED and not retraining.deadline_missed
    if not waits or not retraining.HasField("deadline_time") or now < _moment(retraining.deadline_time):
        return None
    return later.RetrainingDeadlineMissed()


def start(retraining: types.Retraining, *, run: str, by: str) -> Message | None:
    _must_be_open(retraining)
    if retraining.state == types.RETRAINING_STATE_STARTED:
        if retraining.started_by != by:
            raise Conflict("RETRAINING_TAKEN", f"{retraining.started_by} has started {retraining.name} already")
        if retraining.run == run:
            return None
    if retraining.state == types.RETRAINING_STATE_CLAIMED and retraining.claimed_by != by:
        raise Conflict("RETRAINING_TAKEN", f"{retraining.claimed_by} has claimed {retraining.name} already")
    return facts.RetrainingStarted(run=run)


def answer(retraining: types.Retraining, *, version: str) -> Message | None:
    """A version registered as the answer closes it; the first one does, and it must be of the same model."""
    if retraining.name and retraining.answered_by == version:
        return None
    _must_be_open(retraining)
    if _model(version) != _model(retraining.version):
        raise NotAllowedNow("ANSWER_OF_ANOTHER_MODEL", f"{version} does not answer for {retraining.version}")
    return facts.RetrainingAnswered(version=version)


def abandon(retraining: types.Retraining, *, reason: str) -> Message | None:
    if not reason:
        raise invalid_field("reason", "say why it is given up", "REASON_REQUIRED")
    if retraining.state == types.RETRAINING_STATE_ABANDONED:
        return None
    _must_be_open(retraining)
    return facts.RetrainingAbandoned()


def _moment(at: Timestamp) -> datetime:
    return at.ToDatetime(tzinfo=UTC)


def _model(version: str) -> str:
    return version.rpartition("/versions/")[0]


def _must_exist(monitor: types.Monitor) -> None:
    if not monitor.name:
        raise NotFound("MONITOR_NOT_FOUND", "there is no such monitor; create it first")


def _must_be_open(retraining: types.Retraining) -> None:
    if not retraining.name:
        raise NotFound("RETRAINING_NOT_FOUND", "there is no such retraining")
    if retraining.state in _ENDED:
        raise NotAllowedNow("RETRAINING_ENDED", f"{retraining.name} is answered or given up; request another one")


def evolve(retraining: types.Retraining, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.RetrainingRequested():
            retraining.endpoint, retraining.version = fact.endpoint, fact.version
            retraining.alert = fact.alert
            if fact.HasField("evidence"):
                retraining.evidence.CopyFrom(fact.evidence)
            retraining.requested_by, retraining.reason = envelope.actor.id, envelope.reason
            retraining.state, retraining.severity = types.RETRAINING_STATE_REQUESTED, fact.severity
            if fact.HasField("deadline_time"):
                retraining.deadline_time.CopyFrom(fact.deadline_time)
        case facts.RetrainingStarted():
            retraining.ClearField("claim_expire_time")
            retraining.started_by, retraining.run = envelope.actor.id, fact.run
            retraining.state = types.RETRAINING_STATE_STARTED
        case facts.RetrainingAnswered():
            retraining.answered_by = fact.version
            retraining.state = types.RETRAINING_STATE_ANSWERED
        case facts.RetrainingAbandoned():
            retraining.abandon_reason = envelope.reason
            retraining.state = types.RETRAINING_STATE_ABANDONED
        case _:
            _evolve_in_queue(retraining, fact, envelope)


def _evolve_in_queue(retraining: types.Retraining, fact: Message, envelope: Fact) -> None:
    match fact:
        case later.RetrainingClaimed():
            retraining.claimed_by, retraining.state = envelope.actor.id, types.RETRAINING_STATE_CLAIMED
            retraining.claim_expire_time.CopyFrom(fact.expire_time)
        case later.RetrainingReleased():
            for field in ("claimed_by", "claim_expire_time", "started_by", "run"):
                retraining.ClearField(field)
            retraining.state = types.RETRAINING_STATE_REQUESTED
        case later.RetrainingDeadlineMissed():
            retraining.deadline_missed = True
        case _:
            raise UnknownFact(fact)


RETRAINING = kind("monitoring", "projects/*/monitors/*/retrainings/#", types.Retraining, evolve)
