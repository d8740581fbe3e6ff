"""How good predictions probably are, before any label has come."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from modelog.evaluate import intervals
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import value_of
from services.monitoring.measures import Measure, values_of
from services.monitoring.profile import OFFSET_UNITS
from services.monitoring.scoring import left_edge

LEVEL = 0.95
CUT = 0.5


def accuracy(check: types.Check, window: types.Profile, labelled: types.Performance) -> Measure:
    """The share of right predictions that scores lead to expect: the mean of p where a score is at least the cut
    and of 1 - p elsewhere.

    Confidence-based performance estimation (Bialek et al., arXiv 2407.08649). p is the score, or what it stood for in
    the labels of the baseline: their isotonic regression on the scores (Zadrozny and Elkan, KDD 2002). It holds while
    labels depend on the inputs as they did. Interval: where the share that turns out lies if every p is right. The
    error bound is what scores between the two edges next to the cut can change.
    """
    numbers, rows = window.numbers, values_of(window)
    if reason := unfit(window):
        return Measure(rows, explanation=reason)
    cut = check.cut or CUT
    calibrated = calibration(labelled.scores)
    right, variance, unsure = [], [], []
    for count, mean, left, edge in parts_with_means(numbers):
        likely = calibrated(mean)
        chance = likely if mean >= cut else 1 - likely
        right.append(count * chance)
        variance.append(count * chance * (1 - chance))
        if left < cut < edge:
            unsure.append(count * max(abs(2 * likely - 1), abs(2 * cut - 1), abs(2 * left - 1), abs(2 * edge - 1)))
    expected = min(1.0, math.fsum(right) / rows)
    error = math.sqrt(max(0.0, math.fsum(variance))) / rows
    told = intervals.normal(expected, error, LEVEL, "sampling of labels", 0.0, 1.0)
    interval = types.StatisticInterval(low=told.low, high=told.high, level=told.level, method=told.method)
    return Measure(rows, expected, interval=interval, error_bound=math.fsum(unsure) / rows)


def unfit(window: types.Profile) -> str:
    """Why the values of a column are no scores to estimate from; empty when they are."""
    numbers = window.numbers
    if window.WhichOneof("values") != "numbers" or len(numbers.offsets) != len(numbers.counts):
        return f"{window.name} holds no scores that were counted with sums by part"
    if numbers.minimum < 0 or numbers.maximum > 1:
        return f"{window.name} holds values outside 0..1, which are no probabilities"
    return ""


def parts_with_means(numbers: types.NumberProfile) -> Iterator[tuple[int, float, float, float]]:
    """Count, mean and both edges of each part that holds scores."""
    for at, (left, right) in enumerate(pairwise(numbers.edges)):
        count = numbers.counts[at]
        if count:
            yield count, left + (right - left) * (numbers.offsets[at] / OFFSET_UNITS / count), left, right
    if numbers.below:
        yield numbers.below, float(value_of(numbers.sum_below) / numbers.below), 0.0, numbers.edges[0]
    if numbers.above:
        yield numbers.above, float(value_of(numbers.sum_above) / numbers.above), numbers.edges[-1], 1.0


def calibration(scores: types.Scores) -> Callable[[float], float]:
    """From a score to the share of positives among scores like it, rising; the score itself where there are no labels.

    Isotonic by pooling adjacent violators (Ayer et al., 1955) over the parts in which scores are counted; flat within a
    pool and linear between two."""
    pools: list[tuple[int, int, float, float]] = []  # Positives, rows, middles of the first and the last part.
    for one in scores.counts:
        middle = (left_edge(one.part) + left_edge(one.part + 1)) / 2
        pool = (one.positives, one.positives + one.negatives, middle, middle)
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2], middle)
        pools.append(pool)
    if len(pools) < 2:
        return float
    places = [middle for _, _, first, last in pools for middle in (first, last)]
    shares = [positives / rows for positives, rows, _, _ in pools for _ in range(2)]
    return lambda score: float(np.interp(score, places, shares))
