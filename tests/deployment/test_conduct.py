"""The controller's decisions on a platform that is played by the test: whole rollouts, and what may go wrong."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from google.protobuf.message import Message

from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from services.deployment.domain.analysis import Window
from services.deployment.domain.conduct import Scene, Seen, next_move
from services.deployment.domain.states import is_unfinished
from services.deployment.domain.targets import wanted_replicas
from testkit.scenario import START, Life
from tests.deployment.build import (
    RECREATE,
    canary,
    endpoint,
    requested,
    rollout,
    seconds,
    share,
    shifted,
    version,
    version_name,
)

ONE, TWO = version_name(1), version_name(2)
GOOD, BAD, IDLE = Window(120, 50, 0), Window(1, 50, 40), Window(120)
MOST_TURNS = 60


@dataclass
class Platform:
    """Replicas that become ready a turn after they were wanted, and a gateway that follows a turn later."""

    endpoint: Life
    rollout: Life
    running: dict[str, int] = field(default_factory=dict)
    never_ready: set[str] = field(default_factory=set)
    window: Window | None = GOOD
    retired: bool = False
    late: timedelta = timedelta(0)
    facts: list[str] = field(default_factory=list)
    splits: list[dict[str, int]] = field(default_factory=list)
    together: set[frozenset[str]] = field(default_factory=set)

    @property
    def now(self) -> datetime:
        """Just after the newest fact of the rollout, as the scenario dates them, or later."""
        return START + timedelta(hours=self.rollout.revision) + self.late

    def scene(self) -> Scene:
        seen = {
            name: Seen(ready=int(age > 0 and name not in self.never_ready), present=1, problem="slow to start")
            for name, age in self.running.items()
        }
        return Scene(self.now, seen, routed=True, window=self.window, retired=self.retired)

    def turn(self) -> Message | None:
        """One look, at most one fact, and then the platform follows the facts."""
        scene = self.scene()
        move = next_move(self.endpoint.state, self.rollout.state, scene)
        event = None
        if move and move.on_endpoint:
            event = move.verb(self.endpoint.state, self.rollout.state, version().state)
            if event is not None:
                self.endpoint.given(event)
                if isinstance(event, facts.TrafficShifted):
                    self.splits.append({one.version: one.percent for one in self.endpoint.state.traffic})
        elif move:
            event = move.verb(self.rollout.state)
            if event is not None:
                self.rollout.given(event)
        if event is not None:
            self.facts.append(type(event).__name__)
        wanted = self.wanted(scene)
        self.running = {name: self.running.get(name, -1) + 1 for name in wanted}
        self.together.add(frozenset(self.running))
        return event

    def wanted(self, scene: Scene) -> dict[str, int]:
        counts = {"present": lambda name: scene.of(name).present, "ready": lambda name: scene.of(name).ready}
        return wanted_replicas(self.endpoint.state, self.rollout.state, **counts)

    def play(self) -> "Platform":
        for _ in range(MOST_TURNS):
            self.turn()
            if not is_unfinished(self.rollout.state.state):
                return self
        raise AssertionError(f"stuck: {self.rollout.state} after {self.facts}")


def platform(strategy: types.Strategy | None = None, *, before: bool = True) -> Platform:
    on = endpoint(shifted(share(1))) if before else endpoint()
    return Platform(on, rollout(requested(strategy, before=before)), {ONE: 5} if before else {})


def test_a_canary_goes_step_by_step_and_the_old_version_goes_last() -> None:
    played = platform(canary(10, 50)).play()
    assert played.facts == [
        "RolloutStarted",
        "ReplicaObserved",
        "TrafficShifted",
        "StepStarted",
        "StepPassed",
        "TrafficShifted",
        "StepStarted",
        "StepPassed",
        "RolloutPromoted",
        "TrafficShifted",
        "RolloutSucceeded",
    ]
    assert played.splits == [{TWO: 10, ONE: 90}, {TWO: 50, ONE: 50}, {TWO: 100}]
    assert set(played.running) == {TWO}


def test_the_first_version_of_an_endpoint_takes_everything_at_once() -> None:
    played = platform(canary(10), before=False).play()
    assert played.splits == [{TWO: 100}]
    assert played.rollout.state.state == types.ROLLOUT_STATE_SUCCEEDED


def test_recreate_never_runs_both() -> None:
    played = platform(RECREATE).play()
    assert played.splits == [{}, {TWO: 100}]
    assert frozenset({ONE, TWO}) not in played.together
    assert played.rollout.state.state == types.ROLLOUT_STATE_SUCCEEDED


def test_recreate_that_does_not_become_ready_brings_the_old_one_back_alone() -> None:
    played = platform(RECREATE)
    played.never_ready = {TWO}
    for _ in range(6):
        played.turn()
    played.late = timedelta(seconds=61)
    played.play()
    assert played.splits == [{}, {ONE: 100}]
    assert frozenset({ONE, TWO}) not in played.together
    assert played.rollout.state.state == types.ROLLOUT_STATE_ROLLED_BACK
    assert played.rollout.state.trigger == types.TRIGGER_REPLICAS


def test_blue_green_keeps_the_old_version_through_the_soak() -> None:
    played = platform(types.Strategy(blue_green=types.BlueGreen(soak=seconds(60))))
    played.window = Window(30, 10, 0)
    for _ in range(8):
        played.turn()
    assert played.splits == [{TWO: 100}]
    assert set(played.running) == {ONE, TWO}
    played.window = GOOD
    assert played.play().facts[-1] == "RolloutSucceeded"
    assert set(played.running) == {TWO}


def test_a_failed_analysis_goes_back_before_the_step_is_over() -> None:
    played = platform(canary(10, max_error_rate=0.1, min_requests=20))
    played.window = BAD
    played.play()
    assert played.splits == [{TWO: 10, ONE: 90}, {ONE: 100}]
    assert played.facts[-3:] == ["RollbackStarted", "TrafficShifted", "RolledBack"]
    assert set(played.running) == {ONE}
    state = played.rollout.state
    assert (state.trigger, state.last_result.errors) == (types.TRIGGER_ANALYSIS, 40)


def test_a_version_that_never_becomes_ready_fails_without_touching_traffic() -> None:
    played = platform(canary(10))
    played.never_ready = {TWO}
    for _ in range(5):
        assert played.rollout.state.state in (types.ROLLOUT_STATE_PENDING, types.ROLLOUT_STATE_PROGRESSING)
        played.turn()
    played.late = timedelta(seconds=61)
    played.play()
    assert played.splits == []
    assert played.rollout.state.state == types.ROLLOUT_STATE_FAILED
    assert "slow to start" in played.rollout.state.cause


def test_too_few_requests_are_asked_for_again_and_then_a_person() -> None:
    played = platform(canary(10, max_error_rate=0.1, min_requests=20, max_inconclusive=2))
    played.window = IDLE
    for _ in range(20):
        played.turn()
    state = played.rollout.state
    assert state.state == types.ROLLOUT_STATE_PAUSED
    assert played.facts.count("StepInconclusive") == 2
    assert state.last_result.verdict == types.VERDICT_NO_DATA
    assert played.splits == [{TWO: 10, ONE: 90}]
    played.rollout.given(facts.RolloutResumed())
    played.window = GOOD
    assert played.play().facts[-1] == "RolloutSucceeded"


def test_a_step_may_wait_for_a_person() -> None:
    played = platform(canary(10, 50, pause=True))
    for expected in (1, 2):
        for _ in range(20):
            played.turn()
        assert played.rollout.state.state == types.ROLLOUT_STATE_PAUSED
        assert played.rollout.state.steps_passed == expected
        played.rollout.given(facts.RolloutResumed())
    assert played.play().facts[-1] == "RolloutSucceeded"


def test_a_way_back_that_does_not_work_is_loud_and_tried_until_it_does() -> None:
    played = platform(canary(10, max_error_rate=0.1, min_requests=20))
    played.window = BAD
    while "RollbackStarted" not in played.facts:
        played.turn()
    played.never_ready = {ONE}
    played.late = timedelta(seconds=121)
    while played.facts.count("RollbackFailed") < 2:
        played.turn()
    state = played.rollout.state
    assert (state.state, state.rollback_attempts) == (types.ROLLOUT_STATE_ROLLBACK_FAILED, 2)
    assert played.splits == [{TWO: 10, ONE: 90}]
    played.never_ready, played.late = set(), timedelta(0)
    assert played.play().rollout.state.state == types.ROLLOUT_STATE_ROLLED_BACK


@pytest.mark.parametrize("turns", range(3, 9))
def test_a_version_retired_on_its_way_never_stays(turns: int) -> None:
    played = platform(canary(10, 50))
    for _ in range(turns):
        played.turn()
    played.retired = True
    played.play()
    assert played.rollout.state.trigger == types.TRIGGER_RETIRED
    assert {one.version for one in played.endpoint.state.traffic} == {ONE}


def test_what_cannot_be_served_ends_at_once() -> None:
    played = platform(canary(10))
    for _ in range(2):
        played.turn()
    for artifact, trigger in ((True, types.TRIGGER_ARTIFACT), (False, types.TRIGGER_REPLICAS)):
        seen = {TWO: Seen(present=1, refused=True, artifact=artifact, problem="wrong digest")}
        move = next_move(played.endpoint.state, played.rollout.state, Scene(played.now, seen))
        assert move is not None
        expected = facts.RolloutFailed(version=TWO, cause="wrong digest", trigger=trigger)
        assert move.verb(played.rollout.state) == expected


def test_an_endpoint_that_goes_away_takes_its_rollout_along() -> None:
    played = platform(canary(10))
    played.turn()
    played.endpoint.given(facts.EndpointRemovalStarted())
    played.play()
    assert played.rollout.state.trigger == types.TRIGGER_REMOVED
    assert played.wanted(played.scene()) == {}


@pytest.mark.parametrize("forget", range(1, 12))
def test_a_gateway_that_lags_holds_every_step(forget: int) -> None:
    played = platform(canary(10, 50))
    for _ in range(forget):
        played.turn()
    lagging = Scene(played.now, played.scene().seen, routed=False, window=GOOD)
    move = next_move(played.endpoint.state, played.rollout.state, lagging)
    assert move is None or move.key.split("-")[0] in ("start", "observe", "shift", "promote")
    assert move is None or not move.key.startswith("start-step")
