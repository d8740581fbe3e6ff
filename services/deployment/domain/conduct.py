"""What an endpoint and its rollout need next, given what is seen. Pure: the controller only carries it out.

Nothing is remembered between two looks but the facts, so a controller that dies at any point is continued by the next.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from google.protobuf.message import Message

from modelog.deployment.v1.strategies_pb2 import ShadowComparison
from modelog.deployment.v1.types_pb2 import (
    ENDPOINT_STATE_ACTIVE,
    TRIGGER_REMOVED,
    Endpoint,
    Rollout,
    TrafficShare,
)
from services.deployment.domain import endpoint as endpoints
from services.deployment.domain import progress
from services.deployment.domain.analysis import Window, fails_already, judge
from services.deployment.domain.shadow import disagrees_already, judge_answers
from services.deployment.domain.states import (
    GOING_BACK,
    PAUSED,
    PENDING,
    PROGRESSING,
    PROMOTING,
    ROLLBACK_FAILED,
)
from services.deployment.domain.strategy import (
    Step,
    analysis_of,
    old_goes_first,
    only_shadows,
    ready_seconds,
    split,
    steps_of,
)
from services.deployment.domain.targets import batch_of, needed, sides
from services.deployment.domain.trouble import trouble

_MOST_DOUBLINGS = 6


@dataclass(frozen=True)
class Seen:
    """A version's replicas on one endpoint: how many answer ready, how many there are at all, and what is wrong.

    refused: the artifact (`artifact`) or the model cannot be served, and starting again is of no use. restarts: how
    often one of them has ended by itself since it was last steady, of all of them the most.
    """

    ready: int = 0
    present: int = 0
    problem: str = ""
    refused: bool = False
    artifact: bool = False
    restarts: int = 0


@dataclass(frozen=True)
class Scene:
    """One endpoint as it is.

    routed: the gateway uses the split that the facts want. window: what was counted since the present one began.
    comparison: what a shadow's answers have shown since then. retired: the rollout's version may not be served.
    """

    now: datetime
    seen: Mapping[str, Seen] = field(default_factory=dict)
    routed: bool = False
    window: Window | None = None
    retired: bool = False
    comparison: ShadowComparison | None = None

    def of(self, version: str) -> Seen:
        return self.seen.get(version, Seen())


class Move(NamedTuple):
    """The next fact: a verb on the rollout, or on the endpoint (which reads the rollout and its version besides)."""

    key: str
    verb: Callable[..., Message | None]
    on_endpoint: bool = False


def next_move(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    """The next step of an unfinished rollout, or None: wait and look again."""
    if endpoint.state != ENDPOINT_STATE_ACTIVE:
        cause = f"{rollout.name.rpartition('/rollouts/')[0]} was removed"
        return Move("abandon", partial(progress.abandon, cause=cause, trigger=TRIGGER_REMOVED))
    match rollout.state:
        case state if state == PENDING:
            return Move("start", progress.start)
        case state if state == PROGRESSING:
            if _only_ends(rollout):
                return _end_shadow(rollout, scene)
            return _held(endpoint, rollout, scene) or _progress(endpoint, rollout, scene)
        case state if state == PAUSED:
            return _held(endpoint, rollout, scene)
        case state if state == PROMOTING:
            return _promote(endpoint, rollout, scene)
        case state if state in GOING_BACK:
            return _go_back(endpoint, rollout, scene)
        case _:
            return None


def _held(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    """What there is to do while it holds its share: the end of it all when it cannot go on, or its replicas noted."""
    if (found := trouble(rollout, scene)) is None:
        return _observed(rollout, scene)
    cause, trigger = found
    return Move("give-up", partial(progress.give_up, endpoint=endpoint, cause=cause, trigger=trigger))


def _observed(rollout: Rollout, scene: Scene) -> Move | None:
    new = scene.of(rollout.version)
    if new.ready == rollout.ready_replicas:
        return None
    verb = partial(progress.observe, ready=new.ready, wanted=needed(rollout), problem=new.problem)
    return Move(f"observe-{new.ready}", verb)


def _only_ends(rollout: Rollout) -> bool:
    """A shadow that nothing follows has passed: its replicas go, and that is all."""
    return only_shadows(rollout.strategy) and rollout.steps_passed > 0


def _end_shadow(rollout: Rollout, scene: Scene) -> Move | None:
    if not scene.routed or scene.of(rollout.version).present:
        return None
    return Move("end-shadow", progress.end_shadow)


def _progress(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    if (clearing := _clear_first(endpoint, rollout)) is not None:
        return clearing
    if scene.of(rollout.version).ready < needed(rollout):
        return None
    steps = steps_of(rollout.strategy, rollout.replicas)
    if rollout.steps_passed >= len(steps):
        return Move("promote", progress.promote)
    number, step = rollout.steps_passed + 1, steps[rollout.steps_passed]
    shares = split(rollout.version, step.percent, rollout.previous_traffic)
    if not _placed(endpoint, shares):
        return _shift(rollout, scene, shares)
    if not scene.routed:
        return None
    if rollout.step != number:
        return Move(f"start-step-{number}", partial(progress.start_step, step=number))
    return _end_window(rollout, scene, number, step)


def _end_window(rollout: Rollout, scene: Scene, number: int, step: Step) -> Move | None:
    """The end of the step's present window, once it is long enough or a limit is broken already."""
    analysis, window = analysis_of(rollout.strategy, number), scene.window
    if window is None:
        return None
    early = fails_already(analysis, window)
    if not step.mirror:
        if window.seconds < step.seconds and not early:
            return None
        result = judge(analysis, window)
        return Move(f"end-window-{number}", partial(progress.end_window, step=number, result=result))
    shadow, comparison = rollout.strategy.shadow, scene.comparison
    if comparison is None:
        return None
    if window.seconds < step.seconds and not early and not disagrees_already(shadow, comparison):
        return None
    recorded = rollout.comparison
    if recorded.window_start_time != rollout.window_start_time:  # What is judged is a fact before it is judged.
        return Move(f"compare-{number}", partial(progress.compare, step=number, comparison=comparison))
    result = judge_answers(shadow, recorded, judge(analysis, window))
    return Move(f"end-window-{number}", partial(progress.end_window, step=number, result=result))


def _promote(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    shares = [(rollout.version, 100)]
    if not _placed(endpoint, shares):
        if (move := _held(endpoint, rollout, scene)) is not None:
            return move
        return _shift(rollout, scene, shares) if scene.of(rollout.version).ready >= needed(rollout) else None
    if not scene.routed or _others_left(scene, {rollout.version}):
        return None
    return Move("succeed", progress.succeed)


def _go_back(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    if (clearing := _clear_first(endpoint, rollout)) is not None:
        return clearing
    target = [(share.version, share.percent) for share in rollout.previous_traffic]
    waited = (scene.now - rollout.window_start_time.ToDatetime(tzinfo=UTC)).total_seconds()
    if missing := [version for version, _ in target if not scene.of(version).ready]:
        return _fail_back(endpoint, rollout, scene, missing, waited)
    few = any(scene.of(version).ready < _least_back(rollout) for version, _ in target)
    if few and scene.of(rollout.version).ready and waited <= ready_seconds(rollout.strategy):
        return None  # The few would not bear it all, and the new ones still answer.
    if not _placed(endpoint, target):
        return _shift(rollout, scene, target)
    if not scene.routed or _others_left(scene, {version for version, _ in target}):
        return None
    return Move("finish-rollback", progress.finish_rollback)


def _fail_back(
    endpoint: Endpoint, rollout: Rollout, scene: Scene, missing: Sequence[str], waited: float
) -> Move | None:
    """What was there before is not ready: said loudly, then ever more seldom, while it is tried all the time."""
    flagged = {flag.version for flag in endpoint.flags}
    if rollout.state == ROLLBACK_FAILED and rollout.version not in flagged:
        return Move("flag-stuck", endpoints.flag_stuck, on_endpoint=True)
    if waited <= ready_seconds(rollout.strategy) * 2.0 ** min(rollout.rollback_attempts, _MOST_DOUBLINGS):
        return None
    problems = "; ".join(f"{version}: {scene.of(version).problem or 'not ready'}" for version in missing)
    return Move("fail-rollback", partial(progress.fail_rollback, cause=problems))


def _least_back(rollout: Rollout) -> int:
    """Replicas of what was there before that are enough for all the traffic: others than rolling keep all of them."""
    batch = batch_of(rollout)
    return 1 if batch is None else rollout.replicas - batch.leeway.unavailable


def _clear_first(endpoint: Endpoint, rollout: Rollout) -> Move | None:
    """Where old and new do not fit beside each other, the leaving version loses its traffic before anything starts."""
    _, leaving = sides(rollout)
    if not old_goes_first(rollout.strategy) or not {share.version for share in endpoint.traffic} & set(leaving):
        return None
    return Move("clear", partial(endpoints.shift, traffic=[]), on_endpoint=True)


def _placed(endpoint: Endpoint, shares: Sequence[tuple[str, int]]) -> bool:
    return {share.version: share.percent for share in endpoint.traffic} == dict(shares)


def _shift(rollout: Rollout, scene: Scene, shares: Sequence[tuple[str, int]]) -> Move | None:
    """Traffic moves only to ready replicas; until then nothing happens."""
    if not all(scene.of(version).ready for version, _ in shares):
        return None
    before = {share.version: share for share in rollout.previous_traffic if share.version != rollout.version}
    traffic = [
        TrafficShare(
            version=version,
            percent=percent,
            ready_replicas=scene.of(version).ready,
            approved_by=before[version].approved_by if version in before else rollout.approved_by,
        )
        for version, percent in shares
    ]
    key = "shift-" + "-".join(str(percent) for _, percent in shares)
    return Move(key, partial(endpoints.shift, traffic=traffic), on_endpoint=True)


def _others_left(scene: Scene, versions: set[str]) -> bool:
    return any(seen.present for version, seen in scene.seen.items() if version not in versions)
