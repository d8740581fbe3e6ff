"""Judging a window, and the shares of a step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelog.deployment.v1 import types_pb2 as types
from services.deployment.domain.analysis import Window, fails_already, judge, quantile
from services.deployment.domain.strategy import Step, split, steps_of
from tests.deployment.build import BLUE_GREEN, RECREATE, canary, seconds, share, version_name

LIMITS = types.Analysis(max_error_rate=0.1, min_requests=10, max_latency_ms=50, latency_quantile=0.9)
FAST = ((10.0, 20), (50.0, 20), (100.0, 20))
SLOW = ((10.0, 10), (50.0, 15), (100.0, 20))


@pytest.mark.parametrize(
    ("window", "verdict", "finding"),
    [
        (Window(1, 20, 2, FAST), types.VERDICT_PASSED, "20 requests held every limit"),
        (Window(1, 20, 3, FAST), types.VERDICT_FAILED, "error rate 0.15 is above 0.1"),
        (Window(1, 20, 0, SLOW), types.VERDICT_FAILED, "latency quantile 0.9 of 80 ms is above 50 ms"),
        (Window(1, 9, 9, FAST), types.VERDICT_INCONCLUSIVE, "9 requests are fewer than 10"),
        (Window(1), types.VERDICT_NO_DATA, "there were no requests"),
    ],
)
def test_verdicts(window: Window, verdict: int, finding: str) -> None:
    result = judge(LIMITS, window)
    assert (result.verdict, result.finding) == (verdict, finding)
    assert fails_already(LIMITS, window) == (verdict == types.VERDICT_FAILED)


def test_without_analysis_time_alone_counts() -> None:
    assert judge(None, Window(1, 5, 5)).verdict == types.VERDICT_PASSED
    assert not fails_already(None, Window(1, 5, 5))


def test_figures_of_a_window() -> None:
    result = judge(LIMITS, Window(1.5, 20, 1, FAST))
    assert (result.requests, result.errors, result.error_rate) == (20, 1, 0.05)
    assert result.window.ToMilliseconds() == 1500
    assert judge(types.Analysis(), Window(1, 1, 0, FAST)).latency_quantile == 0.99


def test_quantiles_are_linear_within_their_bucket() -> None:
    assert quantile(SLOW, 0.25) == 5.0
    assert quantile(SLOW, 0.5) == 10.0
    assert quantile(SLOW, 0.75) == 50.0
    assert quantile(SLOW, 1.0) == 100.0
    assert quantile((), 0.5) == 0.0
    assert quantile(((1.0, 0), (2.0, 4)), 0.5) == 1.5


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(counts: list[int], q: float) -> None:
    latency, total = [], 0
    for index, count in enumerate(counts):
        total += count
        latency.append((float(index + 1), total))
    estimate = quantile(latency, q)
    if not total:
        assert estimate == 0.0
        return
    holding = next(bound for bound, count in latency if count >= q * total)
    assert holding - 1 <= estimate <= holding


@given(st.integers(1, 100), st.lists(st.integers(1, 60), min_size=0, max_size=5))
def test_shares_add_up_to_100_and_keep_proportions(percent: int, weights: list[int]) -> None:
    previous = [share(10 + index, weight) for index, weight in enumerate(weights)]
    shares = split(version_name(2), percent, previous)
    assert sum(size for _, size in shares) == 100
    assert all(size > 0 for _, size in shares)
    assert shares[0] == (version_name(2), percent if previous and percent < 100 else 100)
    for version, size in shares[1:]:
        exact = (100 - percent) * weights[int(version.rpartition("/")[2]) - 10] / sum(weights)
        assert math.floor(exact) <= size <= math.floor(exact) + 1


def test_strategies_as_steps() -> None:
    assert steps_of(RECREATE) == (Step(100, 0.0),)
    assert steps_of(BLUE_GREEN) == (Step(100, 0.0),)
    soak = types.Strategy(blue_green=types.BlueGreen(soak=seconds(90)))
    assert steps_of(soak) == (Step(100, 90.0),)
    assert steps_of(canary(5, 25, hold=2.5, pause=True)) == (Step(5, 2.5, True), Step(25, 2.5, True))
