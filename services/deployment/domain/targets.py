"""What shall run and be mirrored now, by what an endpoint and its rollout have come to. Pure, as all of this folder."""

from collections.abc import Callable

from modelog.deployment.v1.types_pb2 import ENDPOINT_STATE_ACTIVE, Endpoint, Rollout
from services.deployment.domain.rolling import Batch, leeway
from services.deployment.domain.states import GOING_BACK, PAUSED, PENDING, PROGRESSING, PROMOTING, is_unfinished
from services.deployment.domain.strategy import Step, old_goes_first, only_shadows, steps_of

Count = Callable[[str], int]


def wanted_replicas(endpoint: Endpoint, rollout: Rollout, *, present: Count, ready: Count) -> dict[str, int]:
    """How many replicas of which versions shall run now; a version that is not in it shall have none.

    rollout: the endpoint's newest, empty when it has none. present, ready: how many replicas of a version there are at
    all, those on their way out included, and how many of them answer ready.
    """
    if endpoint.state != ENDPOINT_STATE_ACTIVE:
        return {}
    serving = {share.version for share in endpoint.traffic}
    wanted = dict.fromkeys(sorted(serving), endpoint.replicas)
    if not is_unfinished(rollout.state) or rollout.state == PENDING:
        return wanted
    coming, leaving = sides(rollout)
    if old_goes_first(rollout.strategy):
        if any(present(version) for version in leaving):
            coming = []
    elif (batch := batch_of(rollout)) is not None:
        return wanted | _rolling(rollout, batch, serving, present, ready)
    elif only_shadows(rollout.strategy) and rollout.steps_passed:
        coming = []
    elif rollout.state not in (PROMOTING, *GOING_BACK):
        coming = [*coming, *leaving]
    return wanted | dict.fromkeys(coming, rollout.replicas)


def _rolling(rollout: Rollout, batch: Batch, serving: set[str], present: Count, ready: Count) -> dict[str, int]:
    new, old = _before(rollout)
    if rollout.state == PROMOTING:
        return {new: rollout.replicas}
    if rollout.state in GOING_BACK:  # What serves again has its full strength first; the new goes with its traffic.
        return dict.fromkeys(old, rollout.replicas) | ({new: batch.after} if new in serving else {})
    kept = {version: batch.old(ready(new), serving=version in serving) for version in old}
    room = batch.new(sum(present(version) for version in old))
    counts = kept | {new: room}
    return {version: count for version, count in counts.items() if count > 0}


def _before(rollout: Rollout) -> tuple[str, list[str]]:
    return rollout.version, [one.version for one in rollout.previous_traffic if one.version != rollout.version]


def sides(rollout: Rollout) -> tuple[list[str], list[str]]:
    """(versions that come, versions that go), in the direction the rollout moves."""
    new, old = _before(rollout)
    if rollout.state in GOING_BACK:
        before = [share.version for share in rollout.previous_traffic]
        return before, [] if new in before else [new]
    return [new], old


def step_of(rollout: Rollout) -> Step:
    """The step that is under way, or comes next; the last one when all have passed. While a rollout is paused that is

    the one whose share it holds.
    """
    steps = steps_of(rollout.strategy, rollout.replicas)
    return steps[_index(rollout, len(steps))]


def _index(rollout: Rollout, count: int) -> int:
    """Of the step, from 0."""
    if rollout.state in (PAUSED, *GOING_BACK):
        return max(rollout.step - 1, 0)
    return min(rollout.steps_passed, count - 1)


def batch_of(rollout: Rollout) -> Batch | None:
    """The batch under way of a rolling rollout that replaces something; None for any other."""
    if not rollout.strategy.HasField("rolling") or not _before(rollout)[1]:
        return None
    steps = steps_of(rollout.strategy, rollout.replicas)
    index = _index(rollout, len(steps))
    before = steps[index - 1].replicas if index else 0
    return Batch(before, steps[index].replicas, rollout.replicas, leeway(rollout.strategy.rolling, rollout.replicas))


def needed(rollout: Rollout) -> int:
    """Replicas of the rollout's version that have to be ready before its present step gets its traffic."""
    batch = batch_of(rollout)
    return rollout.replicas if batch is None else batch.needed()


def mirrored(rollout: Rollout) -> dict[str, int]:
    """Percent of the endpoint's requests that are copied now, by version."""
    if rollout.state not in (PROGRESSING, PAUSED):
        return {}
    steps = steps_of(rollout.strategy, rollout.replicas)
    at = rollout.steps_passed
    return {rollout.version: steps[at].mirror} if at < len(steps) and steps[at].mirror else {}
