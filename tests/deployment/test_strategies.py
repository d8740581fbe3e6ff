"""Rolling, shadow, gates, deadlines and crash loops, played from the request to the end."""

from typing import Any

import pytest

from kernel.errors import Refusal
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.strategies_pb2 import Amount, ShadowComparison
from services.deployment.domain.analysis import Window
from services.deployment.domain.rolling import Leeway, batches, check_leeway, leeway, percent_of
from services.deployment.domain.rollout import check_undoable
from services.deployment.domain.states import FAILED, PAUSED, PROGRESSING, ROLLBACK_FAILED, ROLLED_BACK, SUCCEEDED
from services.deployment.domain.strategy import check_fits, check_strategy
from tests.deployment.build import canary, endpoint, environment, seconds
from tests.deployment.played import BAD, GOOD, IDLE, ONE, TWO, Played, play_of


def rolling(surge: Any = 1, unavailable: Any = 0, **more: Any) -> types.Strategy:
    """Amounts as counts, or as percents in text."""
    return types.Strategy(rolling=types.Rolling(max_surge=amount(surge), max_unavailable=amount(unavailable), **more))


def amount(value: Any) -> Amount:
    return Amount(percent=int(value[:-1])) if isinstance(value, str) else Amount(count=value)


def shadow(percent: int = 50, **more: Any) -> types.Strategy:
    return types.Strategy(shadow=types.Shadow(percent=percent, duration=seconds(60), **more))


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "expected"),
    [
        (1, 0, 4, (1, 2, 3, 4)),
        ("25%", "25%", 10, (5, 10)),
        (2, 1, 7, (3, 6, 7)),
        (0, 9, 4, (3, 4)),
        ("10%", 0, 3, (1, 2, 3)),
        (9, 0, 3, (3,)),
    ],
)
def test_batches_are_as_large_as_the_leeway(surge: Any, unavailable: Any, replicas: int, expected: Any) -> None:
    assert batches(rolling(surge, unavailable).rolling, replicas) == expected


def test_absent_amounts_are_one_more_and_none_missing() -> None:
    assert leeway(types.Rolling(), 4) == Leeway(1, 0)
    assert [percent_of(ready, 300) for ready in (1, 150, 300)] == [1, 50, 100]


def test_a_single_replica_is_not_replaced_without_a_surge() -> None:
    with pytest.raises(Refusal, match="use recreate"):
        check_leeway(rolling(0, 1).rolling, 1)
    with pytest.raises(Refusal, match="max_surge or max_unavailable"):
        check_fits(rolling(0, 0), endpoint(replicas=3).state, environment().state)
    check_leeway(rolling(0, 1).rolling, 2)


@pytest.mark.parametrize("setting", ["replicas_max", "replicas_min"])
def test_nothing_rolls_where_an_autoscaler_decides_on_the_replicas(setting: str) -> None:
    scaled = environment(driver="kubernetes", driver_settings={setting: "4"}).state
    with pytest.raises(Refusal, match="an autoscaler decides"):
        check_fits(rolling(), endpoint(replicas=3).state, scaled)
    check_fits(rolling(), endpoint(replicas=3).state, environment(driver_settings={"replicas_max": "3"}).state)


@pytest.mark.parametrize("replicas", [1, 2, 4, 5])
@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (2, 0), (0, 1), (1, 1), (3, 2)])
def test_a_rolling_rollout_stays_within_its_leeway(surge: int, unavailable: int, replicas: int) -> None:
    if surge + min(unavailable, replicas - 1) == 0:
        return
    played = play_of(rolling(surge, unavailable), replicas=replicas).play()
    assert played.state.state == SUCCEEDED
    assert played.traffic == {TWO: 100}
    assert played.running == {TWO}
    assert max(old + new for old, new in played.counts) <= replicas + surge
    shares = [split.get(TWO, 0) for split in played.splits]
    assert shares == sorted(set(shares)), "traffic of the new version only ever grows"
    assert shares[-1] == 100
    assert len(played.copies[TWO]) == replicas


def test_traffic_follows_the_replicas_that_are_ready() -> None:
    played = play_of(rolling(1, 0), replicas=4)
    played.at_most = {TWO: 2}
    for _ in range(40):
        played.turn()
    assert played.traffic == {TWO: 50, ONE: 50}
    assert played.seen(ONE).ready >= 2
    played.wait(61).play()
    assert played.state.state == ROLLED_BACK
    assert played.traffic == {ONE: 100}
    assert played.seen(ONE).ready == 4


def test_a_rolling_rollout_that_is_held_keeps_its_share_and_its_replicas() -> None:
    played = play_of(rolling(1, 0), replicas=4).until("StepPassed")
    played.record(played.rollout, facts.RolloutPaused(cause="wait"))
    for _ in range(20):
        played.turn()
    assert played.traffic == {TWO: 25, ONE: 75}
    assert played.counts[-1] == (3, 1)
    played.wait(1000)
    played.record(played.rollout, facts.RolloutResumed())
    assert played.play().state.state == SUCCEEDED


def test_a_bad_batch_brings_every_old_replica_back_before_the_traffic() -> None:
    analysis = types.Analysis(max_error_rate=0.1, min_requests=20)
    played = play_of(rolling(0, 2, analysis=analysis, step=seconds(60)), replicas=4).until("StepStarted")
    played.window = lambda: BAD
    played.at_most = {ONE: 1}
    played.until("RollbackStarted")
    for _ in range(10):
        played.turn()
    assert played.traffic == {TWO: 50, ONE: 50}, "one old replica would not bear what four did"
    assert played.counts[-1][0] == 4
    played.at_most = {}
    played.play()
    assert (played.state.state, played.state.trigger) == (ROLLED_BACK, types.TRIGGER_ANALYSIS)
    assert played.traffic == {ONE: 100}
    assert played.running == {ONE}


def test_a_first_version_rolls_out_at_once() -> None:
    played = play_of(rolling(1, 0), replicas=3, before=False).play()
    assert played.traffic == {TWO: 100}
    assert played.counts[-1] == (0, 3)


def test_a_shadow_moves_no_traffic_and_leaves_nothing() -> None:
    played = play_of(shadow())
    played.comparison = ShadowComparison(compared=90, equal=90)
    played.play()
    assert played.state.state == SUCCEEDED
    assert played.facts[-3:] == ["ShadowCompared", "StepPassed", "RolloutShadowed"]
    assert (played.splits, played.traffic, played.running) == ([], {ONE: 100}, {ONE})
    assert {TWO: 50} in played.mirrors
    assert played.mirrors[-1] == {}
    assert not played.state.moved_traffic
    assert played.state.comparison.compared == 90


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        ({"compared": 100, "equal": 80, "different": 20, "max_difference": 0.5}, types.VERDICT_FAILED),
        ({"compared": 5, "different": 5}, types.VERDICT_INCONCLUSIVE),
        ({"only_shadow": 50}, types.VERDICT_NO_DATA),
    ],
)
def test_answers_that_differ_end_a_shadow(comparison: dict[str, Any], verdict: int) -> None:
    played = play_of(shadow(max_disagreement=0.1, min_compared=10))
    played.comparison = ShadowComparison(**comparison)
    if verdict == types.VERDICT_FAILED:
        played.window = lambda: Window(2, 50, 0)  # Long before its end.
        played.play()
        assert (played.state.state, played.state.trigger) == (ROLLED_BACK, types.TRIGGER_ANALYSIS)
        assert "20 of 100 answers differ (0.2)" in played.state.cause
        assert played.state.comparison.max_difference == 0.5
    else:
        for _ in range(40):
            played.turn()
        assert played.state.state == PAUSED
        assert played.facts.count("ShadowCompared") == 3
    assert played.state.last_result.verdict == verdict
    assert played.splits == []


def test_a_shadow_may_go_on_as_a_canary() -> None:
    then = canary(20, max_error_rate=0.1, min_requests=1).canary
    played = play_of(shadow(then=then))
    played.comparison = ShadowComparison(compared=9, equal=9)
    played.play()
    assert played.splits == [{TWO: 20, ONE: 80}, {TWO: 100}]
    assert played.state.state == SUCCEEDED
    assert played.facts[-1] == "RolloutSucceeded"


def test_nothing_is_mirrored_where_nothing_serves() -> None:
    with pytest.raises(Refusal, match="no version serves"):
        check_fits(shadow(), endpoint().state, environment().state)


def test_clusters_take_no_shadow() -> None:
    cluster = environment(driver="kubernetes").state
    with pytest.raises(Refusal, match="use a canary"):
        check_fits(shadow(), endpoint().state, cluster)
    with pytest.raises(Refusal, match="have to grow"):
        check_strategy(shadow(then=canary(50, 20).canary))


def test_a_gate_holds_the_switch_until_a_person_opens_it() -> None:
    analysis = types.Analysis(max_error_rate=0.1, min_requests=10)
    gated = types.BlueGreen(soak=seconds(60), gate=True, analysis=analysis)
    played = play_of(types.Strategy(blue_green=gated))
    played.window = lambda: IDLE if not played.splits else GOOD
    for _ in range(20):
        played.turn()
    assert (played.state.state, played.splits, played.running) == (PAUSED, [], {ONE, TWO})
    played.record(played.rollout, facts.RolloutResumed())
    played.play()
    assert played.splits == [{TWO: 100}]
    assert played.state.state == SUCCEEDED


def test_going_back_within_the_soak_waits_for_nothing() -> None:
    soak = types.BlueGreen(soak=seconds(600), analysis=types.Analysis(max_error_rate=0.1, min_requests=20))
    played = play_of(types.Strategy(blue_green=soak), replicas=3).until("StepStarted")
    assert played.seen(ONE).ready == 3
    played.window = lambda: BAD
    played.until("RollbackStarted").turn()
    assert played.traffic == {ONE: 100}


@pytest.mark.parametrize("held", [False, True])
def test_a_crash_loop_goes_back_also_from_a_pause(held: bool) -> None:
    played = play_of(canary(10, hold=600)).until("StepStarted")
    played.window = lambda: None
    if held:
        played.record(played.rollout, facts.RolloutPaused(cause="look"))
    played.restarts = 4
    played.turn()
    assert played.state.state == (PAUSED if held else PROGRESSING)
    played.restarts = 5
    played.play()
    assert (played.state.state, played.state.trigger) == (ROLLED_BACK, types.TRIGGER_CRASH_LOOP)
    assert "5 times in a row" in played.state.cause
    assert played.traffic == {ONE: 100}


def test_a_crash_loop_before_any_traffic_simply_fails() -> None:
    strategy = canary(10)
    strategy.max_restarts = 2
    played = play_of(strategy).until("RolloutStarted")
    played.at_most, played.restarts = {TWO: 0}, 2
    assert played.play().state.state == FAILED
    assert played.splits == []


def deadline(strategy: types.Strategy, limit: float) -> types.Strategy:
    strategy.progress_deadline.CopyFrom(seconds(limit))
    return strategy


def undecided() -> Played:
    strategy = deadline(canary(10, hold=60, max_error_rate=0.1, min_requests=20, max_inconclusive=2), 300)
    played = play_of(strategy)
    played.window = lambda: IDLE
    for _ in range(30):
        played.turn()
    assert played.state.state == PAUSED
    return played


def test_a_missed_deadline_goes_back_from_a_pause_that_nobody_asked_for() -> None:
    played = undecided()
    for _ in range(5):
        played.wait(50).turn()
    assert played.state.state == PAUSED
    played.wait(150).play()
    assert (played.state.state, played.state.trigger) == (ROLLED_BACK, types.TRIGGER_DEADLINE)
    assert "there were no requests" in played.state.cause


def test_a_deadline_does_not_run_while_a_person_holds_it() -> None:
    played = play_of(deadline(canary(10, 50, hold=60), 300)).until("StepStarted")
    played.record(played.rollout, facts.RolloutPaused(cause="lunch"))
    played.wait(10_000).turn()
    assert played.state.state == PAUSED
    played.record(played.rollout, facts.RolloutResumed())
    assert played.play().state.state == SUCCEEDED


def test_what_a_step_asks_for_is_no_standing_still() -> None:
    played = play_of(deadline(canary(10, hold=3600), 60)).until("StepStarted")
    played.window = lambda: Window(10, 5, 0)
    played.wait(3500).turn()
    assert played.state.state == PROGRESSING
    played.wait(200).play()
    assert played.state.trigger == types.TRIGGER_DEADLINE


def test_a_promotion_whose_replicas_die_goes_back() -> None:
    played = play_of(canary(50), replicas=2).until("RolloutPromoted")
    played.at_most = {TWO: 1}
    for _ in range(5):
        played.turn()
    assert played.traffic == {TWO: 50, ONE: 50}, "nothing is shifted to what has lost replicas"
    played.wait(61).play()
    assert (played.state.state, played.traffic) == (ROLLED_BACK, {ONE: 100})


def test_a_rollback_that_fails_is_said_at_the_endpoint_and_ever_more_seldom() -> None:
    played = play_of(canary(10, max_error_rate=0.1, min_requests=20)).until("StepStarted")
    played.window = lambda: BAD
    played.at_most = {ONE: 0}
    for _ in range(1000):
        played.turn()
    assert played.state.state == ROLLBACK_FAILED
    assert played.state.rollback_attempts == 4, "after 60, 180, 420 and 900 s"
    assert [flag.version for flag in played.endpoint.state.flags] == [TWO]
    assert "tried until it works" in played.endpoint.state.flags[0].cause
    played.at_most = {}
    played.play()
    assert (played.state.state, played.traffic) == (ROLLED_BACK, {ONE: 100})
    assert list(played.endpoint.state.flags) == []


def test_the_undoing_of_what_moved_nothing_is_refused() -> None:
    played = play_of(shadow())
    played.comparison = ShadowComparison()
    with pytest.raises(Refusal, match="only mirrored"):
        check_undoable(played.play().state)
