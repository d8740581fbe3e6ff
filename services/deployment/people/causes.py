"""Why a share of traffic was given, told from its rollout as it was at that moment. Pure."""

from collections.abc import Sequence

from modelog.deployment.v1.types_pb2 import Rollout, ServingInterval
from services.deployment.domain.states import GOING_BACK, PROMOTING
from services.deployment.domain.strategy import steps_of

_ALL = 100


def cause_of(interval: ServingInterval, rollout: Rollout) -> tuple[str, Sequence[str]]:
    """(why in a few words, for whom the one who asked acted)."""
    if rollout.state in GOING_BACK:
        return f"went back: {rollout.cause or 'somebody asked for it'}", rollout.rollback_on_behalf_of
    behalf = rollout.requested_on_behalf_of
    if not interval.version:
        return f"made room for {rollout.version}", behalf
    if rollout.restores:
        return f"undoes {rollout.restores}", behalf
    steps = steps_of(rollout.strategy)
    if rollout.state == PROMOTING:
        return "all steps passed", behalf
    if len(steps) == 1 and steps[0].percent == _ALL:
        return rollout.strategy.WhichOneof("kind") or "", behalf
    return f"step {rollout.steps_passed + 1} of {len(steps)}", behalf
