"""How good predictions probably are, before any label has come."""

import math
from collections.abc import Iterator
from itertools import pairwise

from modelog.evaluate import intervals
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import value_of
from services.monitoring.measures import Measure, values_of
from services.monitoring.profile import OFFSET_UNITS

LEVEL = 0.95
CUT = 0.5


def accuracy(check: types.Check, window: types.Profile, _baseline: types.Profile) -> Measure:
    """The share of right predictions that scores lead to expect: the mean of p where p is at least the cut, else 1 - p.

    Confidence-based performance estimation (Guo et al., ICML 2017; Bialek et al., arXiv 2407.08649) without its
    calibration step: scores have to be calibrated probabilities, which CALIBRATION_ERROR watches once labels come, and
    labels may depend on the inputs as they did. Interval: where the share that turns out lies, if every score is right.
    The error bound is what scores between the two edges next to the cut can change.
    """
    numbers, rows = window.numbers, values_of(window)
    if window.WhichOneof("values") != "numbers" or len(numbers.offsets) != len(numbers.counts):
        return Measure(rows, explanation=f"{window.name} holds no scores that were counted with sums by part")
    if numbers.minimum < 0 or numbers.maximum > 1:
        return Measure(rows, explanation=f"{window.name} holds values outside 0..1, which are no probabilities")
    cut = check.cut or CUT
    right, variance, unsure = [], [], []
    for count, mean, left, edge in _parts(numbers):
        chance = mean if mean >= cut else 1 - mean
        right.append(count * chance)
        variance.append(count * chance * (1 - chance))
        if left < cut < edge:
            unsure.append(count * max(abs(2 * cut - 1), abs(2 * left - 1), abs(2 * edge - 1)))
    expected = min(1.0, math.fsum(right) / rows)
    error = math.sqrt(max(0.0, math.fsum(variance))) / rows
    told = intervals.normal(expected, error, LEVEL, "sampling of labels", 0.0, 1.0)
    interval = types.StatisticInterval(low=told.low, high=told.high, level=told.level, method=told.method)
    return Measure(rows, expected, interval=interval, error_bound=math.fsum(unsure) / rows)


def _parts(numbers: types.NumberProfile) -> Iterator[tuple[int, float, float, float]]:
    """Count, mean and both edges of each part that holds scores."""
    for at, (left, right) in enumerate(pairwise(numbers.edges)):
        count = numbers.counts[at]
        if count:
            yield count, left + (right - left) * (numbers.offsets[at] / OFFSET_UNITS / count), left, right
    if numbers.below:
        yield numbers.below, float(value_of(numbers.sum_below) / numbers.below), 0.0, numbers.edges[0]
    if numbers.above:
        yield numbers.above, float(value_of(numbers.sum_above) / numbers.above), numbers.edges[-1], 1.0
