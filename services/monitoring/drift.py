"""How far a column of a window is from that of the baseline, by each method. Sources: `distances`, `statistics`."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import distances, statistics
from services.monitoring.exact import Integers
from services.monitoring.measures import Measure, values_of

MANY_VALUES = 1000
SIGNIFICANCE = 0.05
BINS = 10  # Of parts that an explanation shows, where the method has none.
_FEW_DIFFERENT = 5
_CHANGES = 3
_WASSERSTEIN, _JENSEN_SHANNON = "wasserstein/1", "jensen-shannon/1"
_KOLMOGOROV, _CHI_SQUARE = "kolmogorov-smirnov/2", "chi-square/1"

Distance = Callable[[Integers, Integers], float]


def over_parts(distance: Distance) -> Callable[[types.Check, types.Profile, types.Profile], Measure]:
    """A method that compares shares of the same parts.

    Numbers are cut into `bins` parts of equal share in the baseline, the outer ones open to both sides. Categories are
    taken one by one; those the baseline does not list make one part.
    """

    def measure(check: types.Check, window: types.Profile, baseline: types.Profile) -> Measure:
        return Measure(values_of(window), distance(*binned(baseline, window, check.bins)))

    return measure


def chi_square(check: types.Check, window: types.Profile, baseline: types.Profile) -> Measure:
    """Cramer's V, 0..1, with the p-value of Pearson's chi-square: see `distances.chi_square`."""
    found = distances.chi_square(*binned(baseline, window, check.bins))
    return Measure(values_of(window), found.cramers_v, found.p_value)


def kolmogorov_smirnov(_check: types.Check, window: types.Profile, baseline: types.Profile) -> Measure:
    """Distance of Kolmogorov and Smirnov, 0..1, with its p-value: see `statistics.kolmogorov_smirnov`."""
    if window.WhichOneof("values") == "categories":
        return _unordered(window)
    counts = _between_edges(baseline.numbers), _between_edges(window.numbers)
    distance = statistics.kolmogorov_smirnov(*counts)
    p_value = statistics.kolmogorov_p_value(distance, baseline.numbers.count, window.numbers.count)
    bound = distances.kolmogorov_bound(baseline.numbers, window.numbers) if _has_offsets(window, baseline) else 0.0
    return Measure(values_of(window), distance, p_value, error_bound=bound)


def wasserstein(_check: types.Check, window: types.Profile, baseline: types.Profile) -> Measure:
    """Earth mover's distance in standard deviations of the baseline, from 0: see `distances.wasserstein`."""
    if window.WhichOneof("values") == "categories":
        return _unordered(window)
    if not _has_offsets(window, baseline):
        reason = f"the baseline holds no sums by part of {window.name}; capture it again"
        return Measure(values_of(window), explanation=reason)
    try:
        found = distances.wasserstein(baseline.numbers, window.numbers)
    except OverflowError:
        return Measure(values_of(window), explanation=f"{window.name} holds numbers too large for a distance")
    return Measure(values_of(window), found.value, error_bound=found.error_bound)


def by_default(check: types.Check, window: types.Profile, baseline: types.Profile) -> Measure:
    """The method that suits the type and number of values.

    With 1000 values and more a distance is held against the threshold, since a test finds differences then that do not
    matter: Wasserstein's for numbers, Jensen and Shannon's for categories and numbers of at most 5 different values.
    With fewer a test decides alone: Kolmogorov and Smirnov's for numbers, chi-square for the others.
    """
    if values_of(window) < MANY_VALUES:
        found, method = tested(check, window, baseline)
        drifted = found.p_value is not None and found.p_value < (check.significance or SIGNIFICANCE)
        return found._replace(method=method, drifted=drifted)
    if _is_ordered(window, baseline) and _has_offsets(window, baseline):
        return wasserstein(check, window, baseline)._replace(method=_WASSERSTEIN)
    return over_parts(distances.jensen_shannon)(check, window, baseline)._replace(method=_JENSEN_SHANNON)


def _has_offsets(window: types.Profile, baseline: types.Profile) -> bool:
    """Profiles from before sums by part were kept have none."""
    parts = len(baseline.numbers.counts)
    return parts == len(baseline.numbers.offsets) == len(window.numbers.offsets)


def tested(check: types.Check, window: types.Profile, baseline: types.Profile) -> tuple[Measure, str]:
    """The test that suits the type, and its name."""
    if _is_ordered(window, baseline):
        return kolmogorov_smirnov(check, window, baseline), _KOLMOGOROV
    return chi_square(check, window, baseline), _CHI_SQUARE


def _is_ordered(window: types.Profile, baseline: types.Profile) -> bool:
    if window.WhichOneof("values") == "categories":
        return False
    return sum(count > 0 for count in baseline.numbers.counts) > _FEW_DIFFERENT


def _unordered(window: types.Profile) -> Measure:
    return Measure(values_of(window), explanation=f"{window.name} holds categories, which have no order")


def _between_edges(numbers: types.NumberProfile) -> Integers:
    """Counts from below the first edge to above the last one."""
    return np.array([numbers.below, *numbers.counts, numbers.above], dtype=np.int64)


def binned(baseline: types.Profile, window: types.Profile, bins: int) -> tuple[Integers, Integers]:
    """Counts of both over the parts that a method compares."""
    expected, actual = _parts(baseline, window)
    if window.WhichOneof("values") != "categories":
        cuts = statistics.equal_parts(expected, bins)
        expected, actual = statistics.grouped(expected, cuts), statistics.grouped(actual, cuts)
    return expected, actual


def _parts(baseline: types.Profile, window: types.Profile) -> tuple[Integers, Integers]:
    """Counts of both over the same parts; values outside the baseline's edges belong to the outer parts."""
    if window.WhichOneof("values") == "categories":
        expected = [one.count for one in baseline.categories.categories]
        actual = [one.count for one in window.categories.categories]
        expected.append(baseline.categories.other + baseline.categories.unseen)
        actual.append(window.categories.other + window.categories.unseen)
    else:
        expected, actual = list(baseline.numbers.counts), list(window.numbers.counts)
        expected[0] += baseline.numbers.below
        expected[-1] += baseline.numbers.above
        actual[0] += window.numbers.below
        actual[-1] += window.numbers.above
    return np.array(expected, dtype=np.int64), np.array(actual, dtype=np.int64)


def parts_of(window: types.Profile, baseline: types.Profile, bins: int) -> list[types.PartChange]:
    """All parts in their order, with their shares before and after; none where either has no values."""
    expected, actual = binned(baseline, window, bins)
    if not expected.sum() or not actual.sum():
        return []
    p, q = (expected / expected.sum()).tolist(), (actual / actual.sum()).tolist()
    named = zip(_names(baseline, bins), p, q, strict=True)
    return [types.PartChange(part=part, before=before, after=after) for part, before, after in named]


def changes(window: types.Profile, baseline: types.Profile, bins: int) -> list[types.PartChange]:
    """The parts whose shares differ most, the greatest difference first."""
    parts = [one for one in parts_of(window, baseline, bins) if one.before != one.after]
    return sorted(parts, key=lambda one: -abs(one.after - one.before))[:_CHANGES]


def _names(baseline: types.Profile, bins: int) -> Sequence[str]:
    if baseline.WhichOneof("values") == "categories":
        return [*(one.value for one in baseline.categories.categories), "(other)"]
    edges, counts = baseline.numbers.edges, np.array(baseline.numbers.counts, dtype=np.int64)
    cuts = statistics.equal_parts(counts, bins)
    inner = [f"{edges[cut]:.6g}" for cut in cuts]
    bounds = ["-inf", *inner, "inf"]
    return [f"{'(' if at == 0 else '['}{left}, {right})" for at, (left, right) in enumerate(pairwise(bounds))]
