"""What an endpoint and its rollout need next, given what is seen. Pure: the controller only carries it out.

Nothing is remembered between two looks but the facts, so a controller that dies at any point is continued by the next.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from google.protobuf.message import Message

from modelog.deployment.v1.types_pb2 import (
    ENDPOINT_STATE_ACTIVE,
    TRIGGER_ARTIFACT,
    TRIGGER_REMOVED,
    TRIGGER_REPLICAS,
    TRIGGER_RETIRED,
    Endpoint,
    Rollout,
    TrafficShare,
)
from services.deployment.domain import endpoint as endpoints
from services.deployment.domain import progress
from services.deployment.domain.analysis import Window, fails_already, judge
from services.deployment.domain.states import GOING_BACK, PAUSED, PENDING, PROGRESSING, PROMOTING, is_unfinished
from services.deployment.domain.strategy import analysis_of, old_goes_first, ready_seconds, split, steps_of


@dataclass(frozen=True)
class Seen:
    """A version's replicas on one endpoint: how many answer ready, how many there are at all, and what is wrong.

    refused: the artifact (`artifact`) or the model cannot be served, and starting again is of no use.
    """

    ready: int = 0
    present: int = 0
    problem: str = ""
    refused: bool = False
    artifact: bool = False


@dataclass(frozen=True)
class Scene:
    """One endpoint as it is.

    routed: the gateway uses the split that the facts want. window: what was counted since the present one began.
    retired: the rollout's version may not be served any more.
    """

    now: datetime
    seen: Mapping[str, Seen] = field(default_factory=dict)
    routed: bool = False
    window: Window | None = None
    retired: bool = False

    def of(self, version: str) -> Seen:
        return self.seen.get(version, Seen())


class Move(NamedTuple):
    """The next fact: a verb on the rollout, or on the endpoint (which reads the rollout and its version besides)."""

    key: str
    verb: Callable[..., Message | None]
    on_endpoint: bool = False


def wanted_versions(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> list[str]:
    """Versions whose replicas shall run now. `rollout`: the endpoint's newest, empty when it has none."""
    if endpoint.state != ENDPOINT_STATE_ACTIVE:
        return []
    wanted = {share.version for share in endpoint.traffic}
    if is_unfinished(rollout.state) and rollout.state != PENDING:
        entering, leaving = _sides(rollout)
        if old_goes_first(rollout.strategy):
            if not any(scene.of(version).present for version in leaving):
                wanted.update(entering)
        elif rollout.state == PROMOTING:
            wanted.update(entering)
        else:
            wanted.update(entering, () if rollout.state in GOING_BACK else leaving)
    return sorted(wanted)


def _sides(rollout: Rollout) -> tuple[list[str], list[str]]:
    """(versions that come, versions that go), in the direction the rollout moves."""
    new = [rollout.version]
    old = [share.version for share in rollout.previous_traffic if share.version != rollout.version]
    if rollout.state in GOING_BACK:
        return [share.version for share in rollout.previous_traffic], [] if _stays(rollout) else new
    return new, old


def _stays(rollout: Rollout) -> bool:
    """Whether the rollout's version served before it as well."""
    return rollout.version in {share.version for share in rollout.previous_traffic}


def next_move(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    """The next step of an unfinished rollout, or None: wait and look again."""
    if endpoint.state != ENDPOINT_STATE_ACTIVE:
        cause = f"{rollout.name.rpartition('/rollouts/')[0]} was removed"
        return Move("abandon", partial(progress.abandon, cause=cause, trigger=TRIGGER_REMOVED))
    match rollout.state:
        case state if state == PENDING:
            return Move("start", progress.start)
        case state if state == PROGRESSING:
            return _replicas(endpoint, rollout, scene) or _progress(endpoint, rollout, scene)
        case state if state == PAUSED:
            return _observed(rollout, scene)
        case state if state == PROMOTING:
            return _promote(endpoint, rollout, scene)
        case state if state in GOING_BACK:
            return _go_back(endpoint, rollout, scene)
        case _:
            return None


def _replicas(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    """What the replicas of the new version ask for: a record of their number, or the end of it all."""
    new = scene.of(rollout.version)
    if scene.retired:
        cause = f"{rollout.version} was retired"
        return Move("give-up", partial(progress.give_up, endpoint=endpoint, cause=cause, trigger=TRIGGER_RETIRED))
    if new.refused:
        trigger = TRIGGER_ARTIFACT if new.artifact else TRIGGER_REPLICAS
        return Move("give-up", partial(progress.give_up, endpoint=endpoint, cause=new.problem, trigger=trigger))
    if (observed := _observed(rollout, scene)) is not None:
        return observed
    since = rollout.unready_time.ToDatetime(tzinfo=UTC)
    limit = ready_seconds(rollout.strategy)
    if (
        rollout.HasField("unready_time")
        and new.ready < rollout.replicas
        and (scene.now - since).total_seconds() > limit
    ):
        cause = f"{new.ready} of {rollout.replicas} replicas were ready after {limit:g} s: {new.problem or 'no answer'}"
        return Move("give-up", partial(progress.give_up, endpoint=endpoint, cause=cause, trigger=TRIGGER_REPLICAS))
    return None


def _observed(rollout: Rollout, scene: Scene) -> Move | None:
    new = scene.of(rollout.version)
    if new.ready == rollout.ready_replicas:
        return None
    return Move(f"observe-{new.ready}", partial(progress.observe, ready=new.ready, problem=new.problem))


def _progress(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    if (clearing := _clear_first(endpoint, rollout)) is not None:
        return clearing
    if scene.of(rollout.version).ready < rollout.replicas:
        return None
    steps = steps_of(rollout.strategy)
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
    analysis, window = analysis_of(rollout.strategy), scene.window
    if window is None or (window.seconds < step.seconds and not fails_already(analysis, window)):
        return None
    return Move(f"end-window-{number}", partial(progress.end_window, step=number, result=judge(analysis, window)))


def _promote(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    shares = [(rollout.version, 100)]
    if not _placed(endpoint, shares):
        return _shift(rollout, scene, shares)
    if not scene.routed or _others_left(scene, {rollout.version}):
        return None
    return Move("succeed", progress.succeed)


def _go_back(endpoint: Endpoint, rollout: Rollout, scene: Scene) -> Move | None:
    if (clearing := _clear_first(endpoint, rollout)) is not None:
        return clearing
    target = [(share.version, share.percent) for share in rollout.previous_traffic]
    missing = [version for version, _ in target if not scene.of(version).ready]
    if missing:
        since = rollout.window_start_time.ToDatetime(tzinfo=UTC)
        if (scene.now - since).total_seconds() <= ready_seconds(rollout.strategy):
            return None
        problems = "; ".join(f"{version}: {scene.of(version).problem or 'not ready'}" for version in missing)
        return Move("fail-rollback", partial(progress.fail_rollback, cause=problems))
    if not _placed(endpoint, target):
        return _shift(rollout, scene, target)
    if not scene.routed or _others_left(scene, {version for version, _ in target}):
        return None
    return Move("finish-rollback", progress.finish_rollback)


def _clear_first(endpoint: Endpoint, rollout: Rollout) -> Move | None:
    """Where old and new do not fit beside each other, the leaving version loses its traffic before anything starts."""
    _, leaving = _sides(rollout)
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
