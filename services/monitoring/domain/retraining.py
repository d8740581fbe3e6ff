"""The retraining: a recorded request for a better version, until one is registered as the answer."""

from google.protobuf.message import Message

from kernel.errors import Conflict, NotAllowedNow, NotFound, UnknownFact, invalid_field
from kernel.fold import kind
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types

_ENDED = (types.RETRAINING_STATE_ANSWERED, types.RETRAINING_STATE_ABANDONED)


def request_for_alert(_retraining: types.Retraining, monitor: types.Monitor, *, alert: types.Alert) -> Message:
    """What an alert with the action RETRAIN asks for."""
    _must_exist(monitor)
    evidence = types.Evidence(
        check=alert.check,
        columns=alert.columns,
        statistic=alert.statistic,
        threshold=alert.threshold,
        window=alert.window,
    )
    return facts.RetrainingRequested(
        alert=alert.name, endpoint=alert.endpoint, version=alert.version, evidence=evidence
    )


def request_by_hand(
    _retraining: types.Retraining, monitor: types.Monitor, version: types.KnownVersion, *, version_name: str
) -> Message:
    _must_exist(monitor)
    if not version.name:
        raise NotFound("VERSION_NOT_FOUND", f"there is no {version_name}")
    return facts.RetrainingRequested(endpoint=monitor.endpoint, version=version_name)


def start(retraining: types.Retraining, *, run: str, by: str) -> Message | None:
    _must_be_open(retraining)
    if retraining.state == types.RETRAINING_STATE_STARTED:
        if retraining.started_by != by:
            raise Conflict("RETRAINING_TAKEN", f"{retraining.started_by} has started {retraining.name} already")
        if retraining.run == run:
            return None
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
            retraining.state = types.RETRAINING_STATE_REQUESTED
        case facts.RetrainingStarted():
            retraining.started_by, retraining.run = envelope.actor.id, fact.run
            retraining.state = types.RETRAINING_STATE_STARTED
        case facts.RetrainingAnswered():
            retraining.answered_by = fact.version
            retraining.state = types.RETRAINING_STATE_ANSWERED
        case facts.RetrainingAbandoned():
            retraining.abandon_reason = envelope.reason
            retraining.state = types.RETRAINING_STATE_ABANDONED
        case _:
            raise UnknownFact(fact)


RETRAINING = kind("monitoring", "projects/*/monitors/*/retrainings/#", types.Retraining, evolve)
