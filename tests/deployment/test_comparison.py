"""Exact comparisons: against scipy, by enumerating every outcome, and over a whole rollout with all its looks."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.deployment.domain.binomial import at_least, at_most, interval
from services.deployment.domain.comparison import (
    EARLY,
    Latency,
    Rate,
    Tolerance,
    detectable,
    latency_not_slower,
    latency_slower,
    rates_not_worse,
    rates_worse,
    share_of,
)

EVEN = Tolerance()
BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0)
TRIALS = st.integers(0, 3000)
CHANCES = st.floats(0, 1)


@given(TRIALS, CHANCES, st.integers(-5, 3005))
def test_binomial_tails_are_those_of_scipy(trials: int, chance: float, count: int) -> None:
    assert float(at_least(count, trials, chance)) == pytest.approx(stats.binom.sf(count - 1, trials, chance), abs=1e-12)
    assert float(at_most(count, trials, chance)) == pytest.approx(stats.binom.cdf(count, trials, chance), abs=1e-12)


@pytest.mark.parametrize(
    ("count", "trials", "chance"), [(1200, 10**6, 1e-3), (55, 10**9, 1e-8), (10**6, 10**7, 0.0998)]
)
def test_small_tails_of_many_trials_keep_their_digits(count: int, trials: int, chance: float) -> None:
    assert float(at_least(count, trials, chance)) == pytest.approx(stats.binom.sf(count - 1, trials, chance), rel=1e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(1e-6, 0.5))
@settings(deadline=None, max_examples=30)
def test_intervals_are_those_of_clopper_and_pearson(seen: tuple[int, int], alpha: float) -> None:
    ci = stats.binomtest(*seen).proportion_ci(1 - alpha, method="exact")
    assert interval(*seen, alpha) == pytest.approx((ci.low, ci.high), abs=1e-6)


@pytest.mark.parametrize("tolerance", [EVEN, Tolerance(1.5, 0.0), Tolerance(1.0, 0.1)])
def test_the_p_value_is_what_enumeration_with_scipy_gives(tolerance: Tolerance) -> None:
    new, running, alpha = Rate(9, 20), Rate(5, 30), 0.05
    seen = 9 / 20 - tolerance.ratio * 5 / 30
    ci = stats.binomtest(5, 30).proportion_ci(1 - alpha / 10, method="exact")
    best = {True: 0.0, False: 0.0}
    differences = np.subtract.outer(np.arange(21) / 20, tolerance.ratio * np.arange(31) / 30)
    for chance in np.linspace(ci.low, ci.high, 33):
        boundary = min(1.0, tolerance.ratio * chance + tolerance.difference)
        joint = np.outer(stats.binom.pmf(np.arange(21), 20, boundary), stats.binom.pmf(np.arange(31), 30, chance))
        best[True] = max(best[True], joint[differences >= seen - 1e-9].sum())
        best[False] = max(best[False], joint[differences <= seen + 1e-9].sum())
    assert rates_worse(new, running, tolerance, alpha) == pytest.approx(min(1, best[True] + alpha / 10), abs=1e-6)
    assert rates_not_worse(new, running, tolerance, alpha) == pytest.approx(min(1, best[False] + alpha / 10), abs=1e-6)


def test_it_agrees_with_fisher_where_there_are_many_errors() -> None:
    ours = rates_worse(Rate(160, 1000), Rate(1000, 9000), EVEN, 1e-6) - 1e-7
    fisher = stats.fisher_exact([[160, 840], [1000, 8000]], alternative="greater").pvalue
    assert 0.3 < ours / fisher < 3


@given(st.integers(1, 40), st.integers(1, 40), st.data())
@settings(deadline=None, max_examples=6)
def test_more_errors_of_the_new_version_never_look_better(new: int, running: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, running))
    tolerance = Tolerance(data.draw(st.sampled_from([1.0, 1.3])), data.draw(st.sampled_from([0.0, 0.05])))
    worse = [rates_worse(Rate(x, new), Rate(errors, running), tolerance, 0.05) for x in range(new + 1)]
    better = [rates_not_worse(Rate(x, new), Rate(errors, running), tolerance, 0.05) for x in range(new + 1)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(worse))
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(better))


def errors_needed(new: int, running: Rate, tolerance: Tolerance, alpha: float) -> int:
    """The fewest errors of the new version that are found worse; new + 1 when none are."""
    low, high = 0, new + 1
    while low < high:
        middle = (low + high) // 2
        found = rates_worse(Rate(middle, new), running, tolerance, alpha) <= alpha
        low, high = (low, middle) if found else (middle + 1, high)
    return low


def chance_of_failing(
    new: int, running: int, tolerance: Tolerance, alpha: float, pairs: list[tuple[float, float]]
) -> list[float]:
    """Exactly, for pairs of (new rate, running rate): the sum over every outcome that is found worse."""
    reached = sorted({count for _, rate in pairs for count in _plausible(running, rate)})
    needed = {count: errors_needed(new, Rate(count, running), tolerance, alpha) for count in reached}
    return [
        sum(
            stats.binom.pmf(count, running, theirs) * stats.binom.sf(needed[count] - 1, new, ours)
            for count in _plausible(running, theirs)
        )
        for ours, theirs in pairs
    ]


def _plausible(trials: int, chance: float) -> range:
    low, high = stats.binom.ppf([1e-7, 1 - 1e-7], trials, chance)
    return range(max(int(low), 0), int(high) + 1)


@pytest.mark.parametrize(
    ("new", "running", "tolerance", "alpha"),
    [
        (20, 20, EVEN, 0.05),
        (50, 150, Tolerance(1.0, 0.02), 0.002),
        (100, 100, Tolerance(2.0, 0.0), 0.05),
        pytest.param(50, 450, EVEN, 0.01, marks=pytest.mark.long),
        pytest.param(200, 800, Tolerance(1.2, 0.005), 0.01, marks=pytest.mark.long),
    ],
)
def test_the_error_of_the_first_kind_stays_below_alpha(
    new: int, running: int, tolerance: Tolerance, alpha: float
) -> None:
    """On the boundary, where it is greatest, also for rare errors, where normal approximations break the promise."""
    rates = [0.0, 0.001, 0.01, 0.05, 0.2, 0.5]
    pairs = [(min(1.0, tolerance.ratio * rate + tolerance.difference), rate) for rate in rates]
    found = chance_of_failing(new, running, tolerance, alpha, pairs)
    assert max(found) <= alpha
    assert max(found) > alpha / 20  # It spends a good part of what it may, or it would find nothing.


def test_a_normal_approximation_would_break_the_promise() -> None:
    """Why the test is exact: a z-test of 0.5 % difference with rare errors fails good versions 10 times as often."""
    new, running, margin, alpha = 200, 1800, 0.005, 0.001
    x, y = np.arange(new + 1)[:, None] / new, np.arange(running + 1)[None, :] / running
    pooled = (x * new + y * running) / (new + running)
    deviation = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / new + 1 / running))
    joint = np.outer(
        stats.binom.pmf(np.arange(new + 1), new, margin), stats.binom.pmf(np.arange(running + 1), running, 0.0)
    )
    assert joint[(x - y - margin) / deviation >= stats.norm.isf(alpha)].sum() > 5 * alpha
    assert chance_of_failing(new, running, Tolerance(1.0, margin), alpha, [(margin, 0.0)])[0] <= alpha


def test_power() -> None:
    """500 new requests beside 4500, 1 % of which fail; alpha as at the end of the first window of a single step."""
    alpha = share_of(0.05, comparisons=1, steps=1, window=1, early=False)
    ours = (0.01, 0.03, 0.05, 0.1)
    found = chance_of_failing(500, 4500, EVEN, alpha, [(rate, 0.01) for rate in ours])
    assert [round(chance, 2) for chance in found] == sorted(round(chance, 2) for chance in found)
    assert found[0] <= alpha
    assert found[1] >= 0.5
    assert found[2] >= 0.98


@pytest.mark.parametrize(("new", "running"), [(100, Rate(9, 900)), (200, Rate(10, 200)), (500, Rate(5, 4500))])
def test_what_is_detectable_is_detected_with_the_power_it_names(new: int, running: Rate) -> None:
    rate = detectable(new, running, EVEN, 0.01)
    theirs = running.errors / running.requests
    assert chance_of_failing(new, running.requests, EVEN, 0.01, [(rate, theirs)])[0] == pytest.approx(0.8, abs=0.12)


@given(st.integers(1, 16), st.integers(1, 20), st.floats(0.001, 0.5))
def test_all_looks_together_spend_alpha(comparisons: int, steps: int, alpha: float) -> None:
    def spent(window: int, *, early: bool) -> float:
        return share_of(alpha, comparisons=comparisons, steps=steps, window=window, early=early)

    looks = [spent(w, early=False) + len(EARLY) * spent(w, early=True) for w in range(1, 60)]
    assert comparisons * steps * sum(looks) == pytest.approx(alpha)


def rollouts_failed(rollouts: int, ours: float, theirs: float, alpha: float, seed: int) -> float:
    """The share of rollouts that are sent back: 10 and 50 % of 400 requests a window, three windows a step."""
    random, failed = np.random.default_rng(seed), 0
    known: dict[tuple[int, int, float], int] = {}
    for _ in range(rollouts):
        failed += _is_failed(random, ours, theirs, alpha, known)
    return failed / rollouts


def _is_failed(
    random: np.random.Generator, ours: float, theirs: float, alpha: float, known: dict[tuple[int, int, float], int]
) -> bool:
    for percent in (10, 50):
        for window in (1, 2, 3):
            errors = others = 0
            new_before = running_before = 0
            for part in (*EARLY, 1.0):
                new, running = int(400 * part * percent / 100), int(400 * part * (100 - percent) / 100)
                errors += int(random.binomial(new - new_before, ours))
                others += int(random.binomial(running - running_before, theirs))
                new_before, running_before = new, running
                share = share_of(alpha, comparisons=1, steps=2, window=window, early=part < 1)
                key = (new, others, share)
                if key not in known:
                    known[key] = errors_needed(new, Rate(others, running), EVEN, share)
                if errors >= known[key]:
                    return True
    return False


def test_looking_again_and_again_does_not_fail_good_versions_more_often_than_stated() -> None:
    """Rollouts of up to 24 looks each; one that is much worse is found all the same."""
    assert rollouts_failed(400, 0.05, 0.05, 0.1, seed=1) <= 0.1
    assert rollouts_failed(50, 0.3, 0.05, 0.1, seed=2) > 0.95


@pytest.mark.long
@pytest.mark.parametrize("rate", [0.005, 0.05, 0.3])
def test_nor_over_thousands_of_rollouts(rate: float) -> None:
    """If alpha were exceeded by half this would be seen with a chance of 0.999."""
    assert rollouts_failed(3000, rate, rate, 0.1, seed=5) <= 0.1


def histogram(values: np.ndarray) -> Latency:
    return tuple((bound, int((values <= bound).sum())) for bound in BOUNDS)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_equal_latencies_are_not_found_slower_more_often_than_stated(q: float) -> None:
    random, alpha, rounds = np.random.default_rng(3), 0.1, 400
    failed = 0
    for _ in range(rounds):
        new, running = random.lognormal(2, 1, 300), random.lognormal(2, 1, 900)
        failed += latency_slower(histogram(new), histogram(running), q, EVEN, alpha).p_value <= alpha
    assert failed / rounds <= alpha


def test_a_latency_that_doubles_is_found_and_one_that_is_tolerated_is_not() -> None:
    random = np.random.default_rng(4)
    running, slow = histogram(random.uniform(11, 19, 2000)), histogram(random.uniform(30, 40, 200))
    assert latency_slower(slow, running, 0.9, EVEN, 0.01).p_value <= 0.01
    assert latency_slower(slow, running, 0.9, Tolerance(2.5), 0.01).p_value > 0.5
    assert latency_slower(slow, running, 0.9, Tolerance(1.0, 30.0), 0.01).p_value > 0.5
    assert latency_not_slower(slow, running, 0.9, Tolerance(6.0), 0.01).p_value <= 0.01
    assert latency_not_slower(slow, running, 0.9, EVEN, 0.01).p_value > 0.5


def test_too_few_requests_bound_no_quantile() -> None:
    few = histogram(np.full(50, 3.0))
    assert latency_slower(few, few, 0.99, EVEN, 0.01).bound is None
    assert latency_slower((), few, 0.5, EVEN, 0.01).bound is None
    assert latency_slower(few, (), 0.5, EVEN, 0.01).bound is None
    assert math.isclose(latency_slower(few, few, 0.5, EVEN, 0.01).bound or 0, 5.0)


@given(st.lists(st.integers(0, 60), min_size=8, max_size=8), st.lists(st.integers(0, 60), min_size=8, max_size=8))
@settings(deadline=None, max_examples=40)
def test_slower_requests_never_look_faster(new: list[int], running: list[int]) -> None:
    """Moving a request of the new version into the slowest bucket makes no p-value greater."""
    other = tuple(zip(BOUNDS, np.cumsum(running).tolist(), strict=True))
    before = tuple(zip(BOUNDS, np.cumsum(new).tolist(), strict=True))
    moved = [max(new[0] - 1, 0), *new[1:7], new[7] + min(new[0], 1)]
    after = tuple(zip(BOUNDS, np.cumsum(moved).tolist(), strict=True))
    first, second = (latency_slower(one, other, 0.8, EVEN, 0.05).p_value for one in (before, after))
    assert second <= first + 1e-12
