"""Distances and tests against scipy on the same data, within the bounds that they state."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from scipy.spatial import distance as peer

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import distances
from services.monitoring.checks import evaluate
from services.monitoring.exact import Integers
from tests.monitoring.build import check, compared, numbers, texts
from tests.monitoring.test_statistics import SHAPES

COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=12).filter(sum)


def both(size: int, seed: int) -> tuple[Integers, Integers]:
    random = np.random.default_rng(seed)
    return random.integers(1, 500, size), random.integers(1, 500, size)


@pytest.mark.parametrize("seed", range(5))
def test_distances_of_counts_are_scipys(seed: int) -> None:
    expected, actual = both(10, seed)
    p, q = expected / expected.sum(), actual / actual.sum()
    assert distances.jensen_shannon(expected, actual) == pytest.approx(peer.jensenshannon(p, q, base=2), abs=1e-12)
    assert distances.hellinger(expected, actual) == pytest.approx(
        float(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / math.sqrt(2)), abs=1e-12
    )
    assert distances.kullback_leibler(expected, actual) == pytest.approx(float(stats.entropy(q, p)), abs=1e-12)
    assert distances.total_variation(expected, actual) == pytest.approx(peer.cityblock(p, q) / 2, abs=1e-12)
    assert distances.l_infinity(expected, actual) == pytest.approx(peer.chebyshev(p, q), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_chi_square_is_scipys(seed: int) -> None:
    expected, actual = both(7, seed)
    found = distances.chi_square(np.append(expected, 0), np.append(actual, 0))
    told = stats.chi2_contingency(np.array([expected, actual]), correction=False)
    assert found.statistic == pytest.approx(told.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(told.pvalue, rel=1e-9, abs=1e-300)
    cramers = stats.contingency.association(np.array([expected, actual]), method="cramer")
    assert found.cramers_v == pytest.approx(cramers, rel=1e-12)


@pytest.mark.parametrize("degrees", [1, 2, 9, 60, 255])
def test_the_survival_of_chi_square_is_scipys(degrees: int) -> None:
    for x in np.linspace(0, 4 * degrees + 30, 60):
        assert distances.chi_square_survival(x, degrees) == pytest.approx(special.chdtrc(degrees, x), abs=1e-12)


@given(COUNTS, st.randoms())
def test_distances_are_nothing_between_the_same_and_symmetric_where_they_are_metrics(
    counts: list[int], random: object
) -> None:
    one = np.array(counts)
    other = np.array(random.sample(counts, len(counts)))  # type: ignore[attr-defined]
    for distance in (
        distances.jensen_shannon,
        distances.hellinger,
        distances.total_variation,
        distances.l_infinity,
    ):
        assert distance(one, one * 3) == pytest.approx(0, abs=1e-7)
        assert distance(one, other) == pytest.approx(distance(other, one), abs=1e-12)
        assert 0 <= distance(one, other) <= 1


def test_nothing_in_common_is_the_greatest_distance() -> None:
    one, other = np.array([10, 0, 0]), np.array([0, 5, 5])
    for distance in (distances.jensen_shannon, distances.hellinger, distances.total_variation, distances.l_infinity):
        assert distance(one, other) == 1.0


@pytest.mark.parametrize("shift", [0.0, 0.05, 1.0, -5.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_wasserstein_is_scipys_within_the_bound_it_tells(shape: str, shift: float) -> None:
    random = np.random.default_rng(17)
    reference, current = SHAPES[shape](random, 20_000), SHAPES[shape](random, 5_000) + shift
    current[:20] *= 10  # Far outside what the baseline has seen.
    baseline, window = compared(numbers("x", reference), numbers("x", current))
    result = evaluate(check(types.METHOD_WASSERSTEIN), window, baseline)
    exact = stats.wasserstein_distance(reference, current) / reference.std(ddof=1)
    rounding = 1e-5 * exact + 1e-9
    assert result.statistic <= exact + rounding
    assert exact - result.statistic <= result.error_bound + rounding
    assert exact - result.statistic < 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_kolmogorov_smirnov_is_scipys_within_the_bound_it_tells(shape: str) -> None:
    random = np.random.default_rng(19)
    reference, current = SHAPES[shape](random, 20_000), SHAPES[shape](random, 5_000) * 1.1
    baseline, window = compared(numbers("x", reference), numbers("x", current))
    result = evaluate(check(types.METHOD_KOLMOGOROV_SMIRNOV), window, baseline)
    exact = stats.ks_2samp(reference, current, method="asymp").statistic
    assert result.statistic - 1e-12 <= exact <= result.statistic + result.error_bound + 1e-12
    assert result.error_bound < 0.005 or shape in ("zero inflated", "integers")


@pytest.mark.parametrize("seed", range(4))
def test_adjusted_p_values_are_scipys(seed: int) -> None:
    p_values = np.random.default_rng(seed).uniform(size=40) ** 3
    assert distances.benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values), abs=1e-15)


def test_ranges_of_all_doubles_have_a_distance() -> None:
    baseline, window = compared(numbers("x", [-1.7e308, 0.0, 1.7e308]), numbers("x", [1.7e308, 1.7e308]))
    assert evaluate(check(types.METHOD_TOTAL_VARIATION, bins=3), window, baseline).statistic > 0.5
    assert len(window.columns[0].numbers.offsets) == len(window.columns[0].numbers.counts)


def test_one_category_only_is_no_drift() -> None:
    baseline, window = compared(texts("kind", ["a"] * 50), texts("kind", ["a"] * 20))
    result = evaluate(check(types.METHOD_CHI_SQUARE, bins=10), window, baseline)
    assert (result.statistic, result.columns[0].p_value) == (0.0, 1.0)
