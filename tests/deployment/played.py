"""A platform that is played: replicas that start and stop in their time, and whatever a test lets go wrong with them.

Every turn checks what holds whatever happens: traffic is only ever given to versions with a ready replica, and a
rolling rollout stays within its leeway.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from google.protobuf.message import Message

from kernel.cause import Cause, fact_of
from kernel.errors import Refusal
from kernel.fold import apply
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.strategies_pb2 import ShadowComparison
from modelog.type.v1.principal_pb2 import Principal
from services.deployment.domain.analysis import Window
from services.deployment.domain.conduct import Scene, Seen, next_move
from services.deployment.domain.states import is_unfinished
from services.deployment.domain.targets import mirrored, wanted_replicas
from testkit.scenario import START, Life
from tests.deployment.build import endpoint, requested, rollout, share, shifted, version, version_name

ONE, TWO = version_name(1), version_name(2)
GOOD, BAD, IDLE = Window(120, 50, 0), Window(1, 50, 40), Window(120)
TURN = timedelta(seconds=1)


@dataclass
class Copy:
    """One replica. age: turns since it was started; a stopping one is there for one turn more."""

    age: int = 0
    stopping: bool = False


@dataclass
class Played:
    """An endpoint of version 1 on which version 2 is rolled out, one second a turn."""

    endpoint: Life
    rollout: Life
    copies: dict[str, list[Copy]]
    now: datetime = START + timedelta(days=1)
    # How many replicas of a version can be ready at most; all of them where it is not named.
    at_most: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    window: Callable[[], Window | None] = lambda: GOOD
    comparison: ShadowComparison | None = None
    routed: bool = True
    retired: bool = False
    facts: list[str] = field(default_factory=list)
    splits: list[dict[str, int]] = field(default_factory=list)
    counts: list[tuple[int, int]] = field(default_factory=list)
    mirrors: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = {one.version: one.percent for one in self.endpoint.state.traffic}

    @property
    def state(self) -> types.Rollout:
        found: types.Rollout = self.rollout.state
        return found

    @property
    def traffic(self) -> dict[str, int]:
        return {one.version: one.percent for one in self.endpoint.state.traffic}

    @property
    def running(self) -> set[str]:
        return {version for version, copies in self.copies.items() if copies}

    def seen(self, version: str) -> Seen:
        copies = self.copies.get(version, [])
        ready = sum(one.age > 0 and not one.stopping for one in copies)
        restarts = self.restarts if version == TWO else 0
        return Seen(min(ready, self.at_most.get(version, ready)), len(copies), "slow to start", restarts=restarts)

    def scene(self) -> Scene:
        seen = {version: self.seen(version) for version in self.running}
        comparison = self.comparison
        if comparison is not None:
            comparison.window_start_time.CopyFrom(self.state.window_start_time)
        return Scene(self.now, seen, self.routed, self.window(), self.retired, comparison)

    def record(self, on: Life, event: Message) -> None:
        """Folds the event as of now."""
        on.revision += 1
        cause = Cause(Principal(id=on.actor), f"played-{on.revision}", self.now)
        apply(on.kind, on.state, fact_of(on.kind, on.name, on.state, event, cause, ()), on.revision)
        self.facts.append(type(event).__name__)

    def turn(self) -> None:
        """One look, at most one fact, and then the platform follows the facts."""
        self.now += TURN
        scene = self.scene()
        if is_unfinished(self.state.state) and (move := next_move(self.endpoint.state, self.state, scene)):
            self._make(move, scene)
        self.mirrors.append(mirrored(self.state))
        self._follow(self.wanted(scene))

    def _make(self, move: object, scene: Scene) -> None:
        try:
            if not move.on_endpoint:  # type: ignore[attr-defined]
                if (event := move.verb(self.state)) is not None:  # type: ignore[attr-defined]
                    self.record(self.rollout, event)
                return
            event = move.verb(self.endpoint.state, self.state, version().state)  # type: ignore[attr-defined]
        except Refusal:
            return
        if isinstance(event, facts.TrafficShifted):
            assert all(scene.of(one.version).ready > 0 for one in event.traffic), "traffic for what is not ready"
            self.splits.append({one.version: one.percent for one in event.traffic})
        if event is not None:
            self.record(self.endpoint, event)

    def wanted(self, scene: Scene) -> dict[str, int]:
        return wanted_replicas(
            self.endpoint.state,
            self.state,
            present=lambda name: scene.of(name).present,
            ready=lambda name: scene.of(name).ready,
        )

    def _follow(self, wanted: dict[str, int]) -> None:
        for name in {*self.copies, *wanted}:
            staying = [one for one in self.copies.get(name, []) if not one.stopping]
            for one in staying:
                one.age += 1
                one.stopping = False
            count = wanted.get(name, 0)
            for one in staying[count:]:
                one.stopping = True
            self.copies[name] = staying + [Copy() for _ in range(count - len(staying))]
        self.counts.append((len(self.copies.get(ONE, [])), len(self.copies.get(TWO, []))))

    def play(self, turns: int = 200) -> "Played":
        """Until the rollout ends."""
        for _ in range(turns):
            if not is_unfinished(self.state.state):
                return self
            self.turn()
        raise AssertionError(f"stuck: {self.state} after {self.facts}")

    def until(self, fact: str, turns: int = 200) -> "Played":
        for _ in range(turns):
            if fact in self.facts:
                return self
            self.turn()
        raise AssertionError(f"no {fact}: {self.facts}")

    def wait(self, seconds: float) -> "Played":
        """Time passes; nothing else does."""
        self.now += timedelta(seconds=seconds)
        return self


def play_of(strategy: types.Strategy, *, replicas: int = 1, before: bool = True) -> Played:
    on = endpoint(*([shifted(share(1))] if before else []), replicas=replicas)
    asked = rollout(requested(strategy, before=before, replicas=replicas))
    old = [Copy(5) for _ in range(replicas)] if before else []
    return Played(on, asked, {ONE: old})
