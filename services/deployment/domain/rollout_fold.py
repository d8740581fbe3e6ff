"""How the facts of a rollout become the rollout."""

from google.protobuf.message import Message

from kernel.errors import UnknownFact
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import strategies_events_pb2 as more
from modelog.deployment.v1.analysis_events_pb2 import WindowFailed
from modelog.deployment.v1.types_pb2 import Rollout
from modelog.log.v1.fact_pb2 import Fact
from services.deployment.domain.approval import WAITING, fold_asked, fold_waiting
from services.deployment.domain.states import (
    FAILED,
    PAUSED,
    PENDING,
    PROGRESSING,
    PROMOTING,
    ROLLBACK_FAILED,
    ROLLED_BACK,
    ROLLING_BACK,
    SUCCEEDED,
)

_STEPS = (
    WindowFailed,
    facts.StepStarted,
    facts.StepPassed,
    facts.StepInconclusive,
    facts.RolloutPaused,
    facts.RolloutResumed,
)
_ENDS = (facts.RolloutSucceeded, more.RolloutShadowed, facts.RolloutFailed)
_BACK = (facts.RollbackStarted, facts.RolledBack, facts.RollbackFailed)


def evolve_rollout(rollout: Rollout, event: Message, envelope: Fact) -> None:
    match event:
        case facts.RolloutRequested():
            _fold_request(rollout, event, envelope)
        case facts.RolloutStarted():
            rollout.state, rollout.cause = PROGRESSING, ""
            rollout.unready_time.CopyFrom(envelope.recorded_at)
            rollout.progress_time.CopyFrom(envelope.recorded_at)
        case facts.ReplicaObserved():
            _fold_replicas(rollout, event, envelope)
        case facts.RolloutPromoted():
            rollout.state = PROMOTING
            rollout.progress_time.CopyFrom(envelope.recorded_at)
        case _ if isinstance(event, _ENDS):
            _fold_end(rollout, event)
        case more.ShadowCompared():
            rollout.comparison.CopyFrom(event.comparison)
        case _ if isinstance(event, _STEPS):
            _fold_step(rollout, event, envelope)
        case _ if isinstance(event, _BACK):
            _fold_back(rollout, event, envelope)
        case _ if isinstance(event, WAITING):
            fold_waiting(rollout, event, envelope)
        case _:
            raise UnknownFact(event)


def _fold_request(rollout: Rollout, event: facts.RolloutRequested, envelope: Fact) -> None:
    rollout.version, rollout.environment = event.version, event.environment
    rollout.strategy.CopyFrom(event.strategy)
    rollout.previous_version = event.previous_version
    rollout.previous_traffic.extend(event.previous_traffic)
    rollout.restores = event.restores
    rollout.artifact_sha256, rollout.replicas = event.artifact_sha256, event.replicas
    rollout.requested_by = envelope.actor.id
    rollout.requested_on_behalf_of.extend(one.id for one in envelope.on_behalf_of)
    rollout.approved_by.extend(event.approved_by)
    rollout.state = PENDING
    fold_asked(rollout, event, envelope)


def _fold_end(rollout: Rollout, event: Message) -> None:
    match event:
        case facts.RolloutFailed():
            rollout.state, rollout.cause, rollout.trigger = FAILED, event.cause, event.trigger
        case facts.RolloutSucceeded() | more.RolloutShadowed():
            rollout.state = SUCCEEDED


def _fold_replicas(rollout: Rollout, event: facts.ReplicaObserved, envelope: Fact) -> None:
    rollout.ready_replicas = event.ready_replicas
    if event.ready_replicas > rollout.most_ready:
        rollout.most_ready = event.ready_replicas
        rollout.progress_time.CopyFrom(envelope.recorded_at)
    if event.ready_replicas >= event.wanted_replicas:
        rollout.ClearField("unready_time")
    elif not rollout.HasField("unready_time"):
        rollout.unready_time.CopyFrom(envelope.recorded_at)


def _fold_step(rollout: Rollout, event: Message, envelope: Fact) -> None:
    rollout.undecided = isinstance(event, facts.StepInconclusive) and event.paused
    _fold_times(rollout, event, envelope)
    match event:
        case facts.StepStarted():
            rollout.step, rollout.moved_traffic = event.step, rollout.moved_traffic or event.percent > 0
            rollout.inconclusive_windows, rollout.failed_windows, rollout.window = 0, 0, 0
            _open_window(rollout, envelope)
        case WindowFailed():
            rollout.last_result.CopyFrom(event.result)
            rollout.failed_windows += 1
            rollout.inconclusive_windows = 0
            _open_window(rollout, envelope)
        case facts.StepPassed():
            rollout.steps_passed = event.step
            rollout.last_result.CopyFrom(event.result)
            rollout.inconclusive_windows = 0
            if event.paused:
                rollout.state, rollout.cause = PAUSED, f"step {event.step} has passed and waits for a person"
        case facts.StepInconclusive():
            rollout.last_result.CopyFrom(event.result)
            rollout.inconclusive_windows += 1
            _open_window(rollout, envelope)
            if event.paused:
                rollout.state, rollout.cause = PAUSED, f"step {event.step} cannot be judged: {event.result.finding}"
        case facts.RolloutPaused():
            rollout.state, rollout.cause = PAUSED, event.cause
        case facts.RolloutResumed():
            rollout.state, rollout.cause = PROGRESSING, ""
            rollout.inconclusive_windows = 0
            _open_window(rollout, envelope)


def _open_window(rollout: Rollout, envelope: Fact) -> None:
    """Another window of the step, or its first one."""
    rollout.window += 1
    rollout.window_start_time.CopyFrom(envelope.recorded_at)


def _fold_times(rollout: Rollout, event: Message, envelope: Fact) -> None:
    """Since when it stands, and since when replicas are waited for; each batch and each resumption has its own time."""
    if not isinstance(event, (facts.StepInconclusive, facts.RolloutPaused)):
        rollout.progress_time.CopyFrom(envelope.recorded_at)
    match event:
        case facts.StepStarted():
            rollout.ClearField("unready_time")
        case facts.StepPassed() if rollout.strategy.HasField("rolling"):
            rollout.unready_time.CopyFrom(envelope.recorded_at)
        case facts.RolloutResumed() if rollout.HasField("unready_time"):
            rollout.unready_time.CopyFrom(envelope.recorded_at)


def _fold_back(rollout: Rollout, event: Message, envelope: Fact) -> None:
    match event:
        case facts.RollbackStarted():
            rollout.state, rollout.cause, rollout.trigger = ROLLING_BACK, event.cause, event.trigger
            rollout.rollback_requested_by = envelope.actor.id
            del rollout.rollback_on_behalf_of[:]
            rollout.rollback_on_behalf_of.extend(one.id for one in envelope.on_behalf_of)
            rollout.window_start_time.CopyFrom(envelope.recorded_at)
            if event.HasField("result"):
                rollout.last_result.CopyFrom(event.result)
        case facts.RolledBack():
            rollout.state = ROLLED_BACK
        case facts.RollbackFailed():
            rollout.state, rollout.rollback_attempts = ROLLBACK_FAILED, event.attempt
            rollout.window_start_time.CopyFrom(envelope.recorded_at)
