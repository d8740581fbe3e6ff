"""Rollouts as the controller moves them on: each verb records one step that reality allows."""

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import strategies_events_pb2 as more
from modelog.deployment.v1.analysis_events_pb2 import WindowFailed
from modelog.deployment.v1.strategies_pb2 import ShadowComparison
from modelog.deployment.v1.types_pb2 import (
    TRIGGER_ANALYSIS,
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_NO_DATA,
    VERDICT_PASSED,
    AnalysisResult,
    Endpoint,
    Rollout,
    Trigger,
)
from services.deployment.domain.rollout import present
from services.deployment.domain.states import (
    GOING_BACK,
    GOING_IN,
    PENDING,
    PROGRESSING,
    PROMOTING,
    is_unfinished,
    words,
)
from services.deployment.domain.strategy import analysis_of, most_inconclusive, steps_of


def start(rollout: Rollout) -> facts.RolloutStarted:
    _expect(rollout, PENDING)
    return facts.RolloutStarted(
        version=rollout.version, previous_version=rollout.previous_version, environment=rollout.environment
    )


def observe(rollout: Rollout, *, ready: int, wanted: int, problem: str) -> facts.ReplicaObserved | None:
    """The number of ready replicas changed. wanted: how many the present step needs."""
    _expect(rollout, *GOING_IN)
    if rollout.ready_replicas == ready:
        return None
    return facts.ReplicaObserved(ready_replicas=ready, wanted_replicas=wanted, problem=problem)


def start_step(rollout: Rollout, *, step: int) -> facts.StepStarted | None:
    """Traffic of the step is in place; `step` counts from 1."""
    _expect(rollout, PROGRESSING)
    if rollout.step == step:
        return None
    return facts.StepStarted(step=step, percent=steps_of(rollout.strategy, rollout.replicas)[step - 1].percent)


def end_window(rollout: Rollout, *, step: int, result: AnalysisResult) -> Message:
    """A window of the step has ended with this result: on, again, or back."""
    _expect(rollout, PROGRESSING)
    analysis = analysis_of(rollout.strategy, step)
    if result.verdict == VERDICT_PASSED:
        return facts.StepPassed(
            step=step, result=result, paused=steps_of(rollout.strategy, rollout.replicas)[step - 1].pause
        )
    if result.verdict in (VERDICT_INCONCLUSIVE, VERDICT_NO_DATA):
        windows = rollout.inconclusive_windows + 1
        paused = windows >= most_inconclusive(analysis)
        return facts.StepInconclusive(step=step, result=result, paused=paused)
    if result.verdict != VERDICT_FAILED:
        raise ValueError("a window ends with a verdict")
    if analysis is not None and rollout.failed_windows < analysis.failure_limit:
        return WindowFailed(step=step, result=result)
    return facts.RollbackStarted(cause=result.finding, trigger=TRIGGER_ANALYSIS, result=result)


def compare(rollout: Rollout, *, step: int, comparison: ShadowComparison) -> more.ShadowCompared:
    """The answers of a shadow in the present window, before it is judged."""
    _expect(rollout, PROGRESSING)
    return more.ShadowCompared(step=step, comparison=comparison)


def end_shadow(rollout: Rollout) -> more.RolloutShadowed:
    """It has only mirrored, and nothing of it is left."""
    _expect(rollout, PROGRESSING)
    return more.RolloutShadowed(
        version=rollout.version, serving_version=rollout.previous_version, environment=rollout.environment
    )


def promote(rollout: Rollout) -> facts.RolloutPromoted:
    _expect(rollout, PROGRESSING)
    if rollout.steps_passed < len(steps_of(rollout.strategy, rollout.replicas)):
        raise NotAllowedNow("STEPS_LEFT", f"{rollout.name} has steps that have not passed yet")
    return facts.RolloutPromoted()


def succeed(rollout: Rollout) -> facts.RolloutSucceeded:
    _expect(rollout, PROMOTING)
    return facts.RolloutSucceeded(
        version=rollout.version, previous_version=rollout.previous_version, environment=rollout.environment
    )


def give_up(rollout: Rollout, endpoint: Endpoint, *, cause: str, trigger: Trigger) -> Message | None:
    """It cannot go on: back when it has moved traffic, otherwise it simply ends."""
    present(rollout)
    if rollout.state not in GOING_IN:
        return None
    if rollout.moved_traffic or endpoint.rollout == rollout.name:
        return facts.RollbackStarted(cause=cause, trigger=trigger)
    return facts.RolloutFailed(version=rollout.version, cause=cause, trigger=trigger)


def abandon(rollout: Rollout, *, cause: str, trigger: Trigger) -> facts.RolloutFailed | None:
    """Its endpoint is gone: there is nothing to move on or to go back to."""
    present(rollout)
    if not is_unfinished(rollout.state):
        return None
    return facts.RolloutFailed(version=rollout.version, cause=cause, trigger=trigger)


def finish_rollback(rollout: Rollout) -> facts.RolledBack:
    _expect(rollout, *GOING_BACK)
    return facts.RolledBack(
        version=rollout.version,
        restored_version=rollout.previous_version,
        cause=rollout.cause,
        trigger=rollout.trigger,
    )


def fail_rollback(rollout: Rollout, *, cause: str) -> facts.RollbackFailed:
    """One more attempt has taken too long; the next one begins."""
    _expect(rollout, *GOING_BACK)
    return facts.RollbackFailed(cause=cause, attempt=rollout.rollback_attempts + 1)


def _expect(rollout: Rollout, *states: int) -> None:
    present(rollout)
    if rollout.state not in states:
        raise NotAllowedNow("ROLLOUT_MOVED_ON", f"{rollout.name} is {words(rollout.state)} by now")
