"""Why a rollout cannot go on by itself any more."""

from datetime import UTC
from typing import TYPE_CHECKING

from modelog.deployment.v1.types_pb2 import (
    TRIGGER_ARTIFACT,
    TRIGGER_CRASH_LOOP,
    TRIGGER_DEADLINE,
    TRIGGER_REPLICAS,
    TRIGGER_RETIRED,
    Rollout,
    Trigger,
)
from services.deployment.domain.states import PAUSED
from services.deployment.domain.strategy import most_restarts, progress_seconds, ready_seconds, steps_of
from services.deployment.domain.targets import needed

if TYPE_CHECKING:
    from services.deployment.domain.conduct import Scene


def trouble(rollout: Rollout, scene: "Scene") -> tuple[str, Trigger] | None:
    """(cause in words, kind of cause), or None while it may go on.

    A pause holds the share, not what protects callers: only who holds a rollout that has moved no traffic yet may take
    any time over replicas, and only who holds it by hand, or has asked for a gate, over progress.
    """
    new = scene.of(rollout.version)
    if scene.retired:
        return f"{rollout.version} was retired", TRIGGER_RETIRED
    if new.refused:
        return new.problem, TRIGGER_ARTIFACT if new.artifact else TRIGGER_REPLICAS
    if new.restarts >= most_restarts(rollout.strategy):
        why = new.problem or "for no known reason"
        return f"a replica has ended by itself {new.restarts} times in a row: {why}", TRIGGER_CRASH_LOOP
    if late := _unready(rollout, scene):
        return late, TRIGGER_REPLICAS
    if late := _stalled(rollout, scene):
        return late, TRIGGER_DEADLINE
    return None


def _unready(rollout: Rollout, scene: "Scene") -> str:
    """In words, when the replicas that the step needs have not been ready for too long."""
    if not rollout.HasField("unready_time") or (rollout.state == PAUSED and not rollout.moved_traffic):
        return ""
    new, wanted, limit = scene.of(rollout.version), needed(rollout), ready_seconds(rollout.strategy)
    if new.ready >= wanted or (scene.now - rollout.unready_time.ToDatetime(tzinfo=UTC)).total_seconds() <= limit:
        return ""
    return f"{new.ready} of {wanted} replicas were ready after {limit:g} s: {new.problem or 'no answer'}"


def _stalled(rollout: Rollout, scene: "Scene") -> str:
    """In words, when nothing has moved on for too long. What a step asks for itself is no standing still."""
    limit = progress_seconds(rollout.strategy)
    if limit is None or not rollout.HasField("progress_time") or (rollout.state == PAUSED and not rollout.undecided):
        return ""
    steps = steps_of(rollout.strategy, rollout.replicas)
    watched = rollout.step == rollout.steps_passed + 1 and rollout.step <= len(steps)
    step_seconds = steps[rollout.step - 1].seconds if watched else 0.0
    stood = (scene.now - rollout.progress_time.ToDatetime(tzinfo=UTC)).total_seconds()
    if stood <= limit + step_seconds:
        return ""
    what = f"step {rollout.step} has not passed" if watched else "nothing has moved on"
    why = rollout.last_result.finding or scene.of(rollout.version).problem or "no reason is known"
    return f"{what} for {stood:.0f} s, more than {limit + step_seconds:g} s: {why}"
