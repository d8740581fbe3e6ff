"""The statistics against scipy on the same data, within the errors that their docstrings state."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import statistics
from services.monitoring.checks import evaluate
from services.monitoring.exact import Floats
from services.monitoring.profile import capture, layout_of
from tests.monitoring.build import check, compared, numbers, profiled, texts

Sample = Callable[[np.random.Generator, int], Floats]

SHAPES: dict[str, Sample] = {
    "normal": lambda random, n: random.normal(size=n),
    "lognormal": lambda random, n: random.lognormal(size=n),
    "uniform": lambda random, n: random.uniform(size=n),
    "zero inflated": lambda random, n: np.where(random.uniform(size=n) < 0.4, 0.0, random.exponential(size=n)),
    "integers": lambda random, n: random.poisson(7, size=n).astype(np.float64),
    "two peaks": lambda random, n: np.where(random.uniform(size=n) < 0.5, -3.0, 3.0) + random.normal(size=n),
}


def psi_by_scipy(expected: Floats, actual: Floats) -> float:
    """Jeffreys' divergence of two lists of counts."""
    return float(stats.entropy(actual, expected) + stats.entropy(expected, actual))


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_kolmogorov_smirnov_is_within_one_part_of_scipys(shape: str, shift: float) -> None:
    random = np.random.default_rng(7)
    reference, current = SHAPES[shape](random, 20_000), SHAPES[shape](random, 5_000) + shift
    baseline, window = compared(numbers("x", reference), numbers("x", current))
    result = evaluate(check(types.METHOD_KOLMOGOROV_SMIRNOV), window, baseline)
    exact = stats.ks_2samp(reference, current, method="asymp")
    counted = np.array(window.columns[0].numbers.counts) / len(current)
    shares = np.array(baseline.columns[0].numbers.counts) / len(reference)
    assert result.statistic <= exact.statistic + 1e-12
    assert exact.statistic - result.statistic <= max(counted.max(), shares.max())


def test_kolmogorov_smirnov_of_few_distinct_values_is_exactly_scipys() -> None:
    random = np.random.default_rng(3)
    reference, current = random.poisson(7, 4_000).astype(float), random.poisson(8, 1_000).astype(float)
    baseline, window = compared(numbers("x", reference), numbers("x", current))
    result = evaluate(check(types.METHOD_KOLMOGOROV_SMIRNOV), window, baseline)
    assert result.statistic == pytest.approx(stats.ks_2samp(reference, current).statistic, abs=1e-12)


@pytest.mark.parametrize("x", [0.05, 0.3, 0.5, 0.999, 1.0, 1.36, 2.0, 3.5])
def test_the_survival_of_kolmogorov_is_scipys(x: float) -> None:
    assert statistics.kolmogorov_survival(x) == pytest.approx(special.kolmogorov(x), abs=1e-14)


@pytest.mark.parametrize("rows", [(50, 50), (1_000, 200), (20_000, 5_000)])
def test_the_p_value_is_near_the_exact_one_and_nearest_where_it_decides(rows: tuple[int, int]) -> None:
    m, n = rows
    for distance in np.linspace(0.005, 0.6, 100):
        exact = stats.kstwo.sf(distance, round(m * n / (m + n)))
        error = abs(statistics.kolmogorov_p_value(distance, m, n) - exact)
        assert error < (0.002 if exact < 0.1 else 0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_psi_is_jeffreys_divergence_over_quantiles_of_the_baseline(shape: str) -> None:
    random = np.random.default_rng(11)
    reference, current = SHAPES[shape](random, 50_000), SHAPES[shape](random, 10_000)
    current = np.where(random.uniform(size=10_000) < 0.3, np.round(current * 1.3), current)
    baseline, window = compared(numbers("x", reference), numbers("x", current))
    result = evaluate(check(types.METHOD_PSI), window, baseline)
    # The same cuts, taken from the baseline's own profile, over the raw values.
    profile = baseline.columns[0].numbers
    cuts = statistics.equal_parts(np.array(profile.counts), 10)
    edges = [-math.inf, *(profile.edges[cut] for cut in cuts), math.inf]
    expected, actual = (np.histogram(values, edges)[0].astype(float) for values in (reference, current))
    assert len(edges) > 3
    assert min(expected.min(), actual.min()) > 0
    assert result.statistic == pytest.approx(psi_by_scipy(expected, actual), abs=1e-12)


def test_psi_with_ten_parts_is_near_the_one_over_exact_deciles() -> None:
    random = np.random.default_rng(5)
    reference, current = random.normal(size=100_000), random.normal(0.3, 1.1, size=20_000)
    baseline, window = compared(numbers("x", reference), numbers("x", current))
    deciles = np.quantile(reference, np.linspace(0, 1, 11))
    deciles[0], deciles[-1] = -np.inf, np.inf
    exact = psi_by_scipy(np.histogram(reference, deciles)[0], np.histogram(current, deciles)[0])
    result = evaluate(check(types.METHOD_PSI), window, baseline)
    assert result.statistic == pytest.approx(exact, abs=0.002)


def test_psi_of_categories_is_jeffreys_divergence() -> None:
    random = np.random.default_rng(9)
    reference = random.choice(["card", "cash", "wire"], 3_000, p=[0.6, 0.3, 0.1]).tolist()
    current = random.choice(["card", "cash", "wire"], 500, p=[0.3, 0.3, 0.4]).tolist()
    captured = capture([texts("kind", reference)])
    window = profiled(layout_of(captured), texts("kind", current))
    counts = [[values.count(one) for one in ("card", "cash", "wire")] for values in (reference, current)]
    result = evaluate(check(types.METHOD_PSI), window, captured)
    assert result.statistic == pytest.approx(psi_by_scipy(np.array(counts[0]), np.array(counts[1])), abs=1e-12)


def test_an_empty_part_counts_as_half_a_row() -> None:
    both = np.array([50, 50]), np.array([100, 0])
    p, q = np.array([0.5, 0.5]), np.array([1.0, 0.5 / 100])
    assert statistics.population_stability_index(*both) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))


def test_a_part_that_is_empty_on_both_sides_says_nothing() -> None:
    padded = statistics.population_stability_index(np.array([30, 0, 70]), np.array([60, 0, 40]))
    assert padded == statistics.population_stability_index(np.array([30, 70]), np.array([60, 40]))


def test_equal_parts_never_split_a_heavy_value() -> None:
    counts = np.array([1, 1, 96, 1, 1])
    cuts = statistics.equal_parts(counts, 4)
    assert cuts == [3]
    assert statistics.grouped(counts, cuts).tolist() == [98, 2]


def test_equal_parts_of_equal_counts_are_equal() -> None:
    counts = np.full(250, 4)
    assert set(statistics.grouped(counts, statistics.equal_parts(counts, 10)).tolist()) == {100}
