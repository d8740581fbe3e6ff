"""Whatever fails, and whenever: a rollout ends, and with it all traffic is the new version's or exactly what it was."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kernel.errors import Refusal
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.strategies_pb2 import Amount, ShadowComparison
from services.deployment.domain import rollout as people
from services.deployment.domain.analysis import Window
from services.deployment.domain.states import PAUSED, SUCCEEDED, is_unfinished
from services.deployment.domain.strategy import only_shadows
from tests.deployment.build import canary, seconds
from tests.deployment.played import BAD, GOOD, IDLE, ONE, TWO, Copy, Played, play_of

LIMITS: dict[str, Any] = {"max_error_rate": 0.1, "min_requests": 20, "max_inconclusive": 2, "rollback_on_alert": True}
ANALYSIS = types.Analysis(**LIMITS)


def _amount(count: int) -> Amount:
    return Amount(count=count)


STRATEGIES: tuple[types.Strategy, ...] = (
    types.Strategy(recreate=types.Recreate()),
    canary(10, 50, **LIMITS),
    canary(10, 100, pause=True),
    types.Strategy(blue_green=types.BlueGreen(soak=seconds(60), analysis=ANALYSIS)),
    types.Strategy(blue_green=types.BlueGreen(gate=True)),
    types.Strategy(rolling=types.Rolling(max_surge=_amount(1), analysis=ANALYSIS)),
    types.Strategy(rolling=types.Rolling(max_surge=_amount(0), max_unavailable=_amount(1))),
    types.Strategy(rolling=types.Rolling(max_surge=_amount(2), max_unavailable=_amount(1), step=seconds(60))),
    types.Strategy(shadow=types.Shadow(percent=50, duration=seconds(60), max_disagreement=0.1)),
    types.Strategy(shadow=types.Shadow(percent=50, duration=seconds(60), then=canary(20, **LIMITS).canary)),
)
WINDOWS = (GOOD, BAD, IDLE, None, Window(1, 1, 0))


class AnyHistory(RuleBasedStateMachine):
    """Turns of the controller, and in between whatever people and machines may do."""

    played: Played

    @initialize(
        index=st.integers(0, len(STRATEGIES) - 1), replicas=st.integers(2, 4), deadline=st.sampled_from((0, 90))
    )
    def begin(self, index: int, replicas: int, deadline: int) -> None:
        strategy = types.Strategy()
        strategy.CopyFrom(STRATEGIES[index])
        if deadline:
            strategy.progress_deadline.CopyFrom(seconds(deadline))
        self.played = play_of(strategy, replicas=replicas)
        self.played.comparison = ShadowComparison(compared=50, equal=50)

    @rule(turns=st.integers(1, 6))
    def turns(self, turns: int) -> None:
        for _ in range(turns):
            self.played.turn()

    @rule(late=st.sampled_from((30, 70, 500)))
    def time_passes(self, late: int) -> None:
        self.played.wait(late)

    @rule(index=st.integers(0, len(WINDOWS) - 1))
    def requests_look(self, index: int) -> None:
        self.played.window = lambda: WINDOWS[index]

    @rule(different=st.integers(0, 50))
    def answers_differ(self, different: int) -> None:
        self.played.comparison = ShadowComparison(compared=50, equal=50 - different, different=different)

    @rule(version=st.sampled_from((ONE, TWO)), most=st.sampled_from((0, 1, 9)))
    def replicas_fail(self, version: str, most: int) -> None:
        self.played.at_most[version] = most

    @rule(version=st.sampled_from((ONE, TWO)))
    def replicas_are_killed(self, version: str) -> None:
        self.played.copies[version] = [Copy() for _ in self.played.copies.get(version, [])]

    @rule(restarts=st.sampled_from((0, 2, 7)))
    def replicas_crash(self, restarts: int) -> None:
        self.played.restarts = restarts

    @rule(routed=st.booleans())
    def the_gateway_answers(self, routed: bool) -> None:
        self.played.routed = routed

    @rule()
    def the_version_is_retired(self) -> None:
        self.played.retired = True

    @rule()
    def a_person_pauses(self) -> None:
        self._by_hand(people.pause, cause="look")

    @rule()
    def a_person_resumes(self) -> None:
        self._by_hand(people.resume)

    @rule()
    def a_person_rolls_back(self) -> None:
        self._by_hand(people.roll_back, cause="no")

    @rule()
    def an_alert_fires(self) -> None:
        self._by_hand(people.alert, version=TWO, name="alerts/1", check="drift")

    def _by_hand(self, verb: Any, **arguments: Any) -> None:
        try:
            event = verb(self.played.state, **arguments)
        except Refusal:
            return
        if event is not None:
            self.played.record(self.played.rollout, event)

    @invariant()
    def shares_add_up(self) -> None:
        if hasattr(self, "played"):
            assert sum(self.played.traffic.values()) in (0, 100)
            self.a_finished_rollout_left_whole_traffic()

    def a_finished_rollout_left_whole_traffic(self) -> None:
        state = self.played.state
        if is_unfinished(state.state):
            return
        if state.state == SUCCEEDED and not only_shadows(state.strategy):
            assert self.played.traffic == {TWO: 100}
        else:
            assert self.played.traffic == self.played.before
        assert self.played.endpoint.state.rollout in ("", state.name) or self.played.traffic == self.played.before

    def teardown(self) -> None:
        """Everything works again, somebody resumes what is held, and then it has to end."""
        if not hasattr(self, "played"):
            return
        played = self.played
        played.at_most, played.restarts, played.routed, played.window = {}, 0, True, lambda: GOOD
        played.comparison = ShadowComparison(compared=50, equal=50)
        for _ in range(400):
            if not is_unfinished(played.state.state):
                break
            if played.state.state == PAUSED:
                self._by_hand(people.resume)
            played.turn()
        assert not is_unfinished(played.state.state), played.state
        self.a_finished_rollout_left_whole_traffic()
        for _ in range(3):
            played.turn()
        assert played.running == set(played.traffic), "nothing is left of what does not serve"


AnyHistory.TestCase.settings = settings(
    max_examples=80, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyHistory = AnyHistory.TestCase
