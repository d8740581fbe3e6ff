"""Distances of two distributions that are known by counts over the same parts; each names its source and its unit.

Over parts of numbers each is the distance of the counted distributions, which is exact for them, and never exceeds the
distance over all values (a coarser partition tells less: the data processing inequality), but for KL and PSI where an
empty part is smoothed. Logarithms are Python's, since numpy's depend on the processor in their last bit.
"""

import math
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats, Integers, value_of, variance_of
from services.monitoring.profile import OFFSET_UNITS

_EMPTY_PART = 0.5
_ITERATIONS = 1000
_PRECISION = 1e-16
_TINY = 1e-300


class Within(NamedTuple):
    """A value, and how far above it the one over all values may be."""

    value: float
    error_bound: float


def jensen_shannon(baseline: Integers, window: Integers) -> float:
    """Root of the Jensen-Shannon divergence to base 2, 0..1, a metric. Source: Lin (IEEE IT 37, 1991); Endres and
    Schindelin (IEEE IT 49, 2003)."""
    terms = []
    for p, q in _shares(baseline, window):
        middle = (p + q) / 2
        terms += [one * math.log2(one / middle) / 2 for one in (p, q) if one]
    return math.sqrt(min(1.0, max(0.0, math.fsum(terms))))


def hellinger(baseline: Integers, window: Integers) -> float:
    """Root of half the sum of (sqrt p - sqrt q)^2, 0..1. Source: Hellinger (Crelle 136, 1909)."""
    squares = ((math.sqrt(p) - math.sqrt(q)) ** 2 for p, q in _shares(baseline, window))
    return math.sqrt(min(1.0, math.fsum(squares) / 2))


def kullback_leibler(baseline: Integers, window: Integers) -> float:
    """KL(window | baseline), sum of q ln(q / p) in nats, from 0. Source: Kullback and Leibler (1951). A part that is
    empty in the baseline counts as half a row there, since the logarithm has no value."""
    expected, actual = int(baseline.sum()), int(window.sum())
    pairs = zip(baseline.tolist(), window.tolist(), strict=True)
    terms = (q / actual * math.log(q / actual / ((p or _EMPTY_PART) / expected)) for p, q in pairs if q)
    return max(0.0, math.fsum(terms))


def total_variation(baseline: Integers, window: Integers) -> float:
    """Half the sum of |p - q|, 0..1: the largest difference that any set of parts shows."""
    return min(1.0, math.fsum(abs(p - q) for p, q in _shares(baseline, window)) / 2)


def l_infinity(baseline: Integers, window: Integers) -> float:
    """Largest |p - q| of one part, 0..1."""
    return max(abs(p - q) for p, q in _shares(baseline, window))


def _shares(baseline: Integers, window: Integers) -> list[tuple[float, float]]:
    expected, actual = int(baseline.sum()), int(window.sum())
    return [(p / expected, q / actual) for p, q in zip(baseline.tolist(), window.tolist(), strict=True)]


class ChiSquare(NamedTuple):
    """statistic: Pearson's; cramers_v: its size whatever the number of rows, 0..1; p_value: by the limiting
    distribution."""

    statistic: float
    cramers_v: float
    p_value: float


def chi_square(baseline: Integers, window: Integers) -> ChiSquare:
    """Whether two lists of counts are of one distribution. Source: Pearson (1900), as a table of two rows; Cramer
    (1946). Parts that are empty on both sides are left out. The p-value wants about 5 expected rows a part (Cochran,
    1954)."""
    rows = [int(baseline.sum()), int(window.sum())]
    together = sum(rows)
    terms, used = [], 0
    for counts in zip(baseline.tolist(), window.tolist(), strict=True):
        if any(counts):
            used += 1
            wanted = [sum(counts) * one / together for one in rows]
            terms += [(count - one) ** 2 / one for count, one in zip(counts, wanted, strict=True)]
    if used < 2:
        return ChiSquare(0.0, 0.0, 1.0)
    statistic = math.fsum(terms)
    return ChiSquare(statistic, min(1.0, math.sqrt(statistic / together)), chi_square_survival(statistic, used - 1))


def chi_square_survival(statistic: float, degrees: int) -> float:
    """Chance of at least this statistic: the upper incomplete gamma function Q(degrees / 2, statistic / 2).

    Source: Abramowitz and Stegun 26.4; series and continued fraction as in Numerical Recipes 6.2, by Lentz's method."""
    a, x = degrees / 2, statistic / 2
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        return max(0.0, 1.0 - front * _gamma_series(a, x))
    return min(1.0, front * _gamma_fraction(a, x))


def _gamma_series(a: float, x: float) -> float:
    term = total = 1.0 / a
    for step in range(1, _ITERATIONS):
        term *= x / (a + step)
        total += term
        if term < total * _PRECISION:
            break
    return total


def _gamma_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    value = d
    for step in range(1, _ITERATIONS):
        over = -step * (step - a)
        b += 2
        d = 1 / _away_from_zero(over * d + b)
        c = _away_from_zero(b + over / c)
        value *= c * d
        if abs(c * d - 1) < _PRECISION * 4:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def kolmogorov_bound(baseline: types.NumberProfile, window: types.NumberProfile) -> float:
    """How far the distance over all values may exceed the largest distance at the edges, 0..1: between two edges
    neither share leaves what it has at both; what lies outside the edges may lie anywhere there."""
    one, other = _Cumulated(baseline), _Cumulated(window)
    found = most = abs(baseline.below / baseline.count - window.below / window.count)
    for place in range(len(baseline.counts)):
        (f_left, f_right, _), (g_left, g_right, _) = one.part(place), other.part(place)
        found = max(found, abs(f_right - g_right))
        most = max(most, f_right - g_left, g_right - f_left)
    for mine, theirs in ((baseline.below, window.below), (baseline.above, window.above)):
        if mine and theirs:
            most = max(most, mine / baseline.count, theirs / window.count)
    return max(0.0, most - found)


def wasserstein(baseline: types.NumberProfile, window: types.NumberProfile) -> Within:
    """Earth mover's distance of order 1 in standard deviations of the baseline, from 0; in units where it is constant.

    Source: Vallender (1974): the integral of the distance of the cumulated shares F and G. Sums by part give the
    integral of F - G over each part (to 2^-21 of its width), and its size is that of |F - G| wherever one stays
    above the other. The value therefore never exceeds the exact one, and `error_bound` is what parts with a
    crossing can add. OverflowError when an area or a square is no double.
    """
    value, bound = _tail(baseline, window, below=True)
    one, other = _Cumulated(baseline), _Cumulated(window)
    for part, (left, right) in enumerate(pairwise(baseline.edges)):
        width = right - left
        (f_left, f_right, f), (g_left, g_right, g) = one.part(part), other.part(part)
        area = abs(f - g)
        value += area * width
        if f_left < g_right and g_left < f_right:
            bound += max(0.0, max(f_right - g_left, g_right - f_left) - area) * width
    above, above_bound = _tail(baseline, window, below=False)
    # Sums of a baseline that was made elsewhere need not be those of any values.
    deviation = math.sqrt(max(0.0, variance_of(baseline))) if baseline.count > 1 else 0.0
    scale = deviation or 1.0
    return Within((value + above) / scale, (bound + above_bound) / scale)


class _Cumulated:
    """The cumulated share at both edges of a part, and its mean over the part."""

    def __init__(self, numbers: types.NumberProfile) -> None:
        self._count = numbers.count
        self._before = np.append(0, np.cumsum(numbers.counts)) + numbers.below
        self._counts, self._offsets = numbers.counts, numbers.offsets

    def part(self, place: int) -> tuple[float, float, float]:
        before, after = int(self._before[place]), int(self._before[place + 1])
        inside = self._counts[place] - self._offsets[place] / OFFSET_UNITS
        # Without offsets all values lie at the left edge, and the share is what it becomes from there on.
        first = before if self._offsets[place] else after
        return first / self._count, after / self._count, (before + inside) / self._count


def _tail(baseline: types.NumberProfile, window: types.NumberProfile, *, below: bool) -> tuple[float, float]:
    one, other = _outside(baseline, below=below), _outside(window, below=below)
    return abs(one - other), one + other - abs(one - other)


def _outside(numbers: types.NumberProfile, *, below: bool) -> float:
    """The integral of what a distribution has outside the edges on one side."""
    rows = numbers.below if below else numbers.above
    if not rows:
        return 0.0
    total = value_of(numbers.sum_below if below else numbers.sum_above)
    edge = Fraction(numbers.edges[0] if below else numbers.edges[-1])
    return float(abs(edge * rows - total) / numbers.count)


def benjamini_hochberg(p_values: Floats) -> Floats:
    """Adjusted p-values: those at most q are what is found when the share of false ones among them is held at q.

    Source: Benjamini and Hochberg (JRSS B 57, 1995); holds for independent tests, and for positively dependent ones
    (Benjamini and Yekutieli, 2001)."""
    many = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * many / np.arange(1, many + 1)
    adjusted = np.empty(many)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted
