"""How the facts of a rollout become the rollout."""

from google.protobuf.message import Message

from kernel.errors import UnknownFact
from modelog.deployment.v1 import events_pb2 as facts
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

_STEPS = (facts.StepStarted, facts.StepPassed, facts.StepInconclusive, facts.RolloutPaused, facts.RolloutResumed)
_BACK = (facts.RollbackStarted, facts.RolledBack, facts.RollbackFailed)


def evolve_rollout(rollout: Rollout, event: Message, envelope: Fact) -> None:
    match event:
        case facts.RolloutRequested():
            _fold_request(rollout, event, envelope)
        case facts.RolloutStarted():
            rollout.state, rollout.cause = PROGRESSING, ""
            rollout.unready_time.CopyFrom(envelope.recorded_at)
        case facts.ReplicaObserved():
            _fold_replicas(rollout, event, envelope)
        case facts.RolloutPromoted():
            rollout.state = PROMOTING
        case facts.RolloutSucceeded():
            rollout.state = SUCCEEDED
        case facts.RolloutFailed():
            rollout.state, rollout.cause, rollout.trigger = FAILED, event.cause, event.trigger
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
    rollout.approved_by.extend(event.approved_by)
    rollout.state = PENDING
    fold_asked(rollout, event, envelope)


def _fold_replicas(rollout: Rollout, event: facts.ReplicaObserved, envelope: Fact) -> None:
    rollout.ready_replicas = event.ready_replicas
    if event.ready_replicas >= event.wanted_replicas:
        rollout.ClearField("unready_time")
    elif not rollout.HasField("unready_time"):
        rollout.unready_time.CopyFrom(envelope.recorded_at)


def _fold_step(rollout: Rollout, event: Message, envelope: Fact) -> None:
    match event:
        case facts.StepStarted():
            rollout.step, rollout.moved_traffic = event.step, True
            rollout.inconclusive_windows = 0
            rollout.window_start_time.CopyFrom(envelope.recorded_at)
        case facts.StepPassed():
            rollout.steps_passed = event.step
            rollout.last_result.CopyFrom(event.result)
            rollout.inconclusive_windows = 0
            if event.paused:
                rollout.state, rollout.cause = PAUSED, f"step {event.step} has passed and waits for a person"
        case facts.StepInconclusive():
            rollout.last_result.CopyFrom(event.result)
            rollout.inconclusive_windows += 1
            rollout.window_start_time.CopyFrom(envelope.recorded_at)
            if event.paused:
                rollout.state, rollout.cause = PAUSED, f"step {event.step} cannot be judged: {event.result.finding}"
        case facts.RolloutPaused():
            rollout.state, rollout.cause = PAUSED, event.cause
        case facts.RolloutResumed():
            rollout.state, rollout.cause = PROGRESSING, ""
            rollout.inconclusive_windows = 0
            rollout.window_start_time.CopyFrom(envelope.recorded_at)


def _fold_back(rollout: Rollout, event: Message, envelope: Fact) -> None:
    match event:
        case facts.RollbackStarted():
            rollout.state, rollout.cause, rollout.trigger = ROLLING_BACK, event.cause, event.trigger
            rollout.rollback_requested_by = envelope.actor.id
            rollout.window_start_time.CopyFrom(envelope.recorded_at)
            if event.HasField("result"):
                rollout.last_result.CopyFrom(event.result)
        case facts.RolledBack():
            rollout.state = ROLLED_BACK
        case facts.RollbackFailed():
            rollout.state, rollout.rollback_attempts = ROLLBACK_FAILED, event.attempt
            rollout.window_start_time.CopyFrom(envelope.recorded_at)
