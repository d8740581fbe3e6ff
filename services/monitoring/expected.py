"""Precision, recall, F1 and ROC AUC that scores lead to expect before any label has come.

Confidence-based performance estimation (Bialek et al., arXiv 2407.08649): a row whose calibrated score is p counts p
times as positive and 1 - p times as negative. Held to NannyML's within 0.005. Intervals: where the statistic that turns
out lies if every p is right, by the delta method.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from modelog.evaluate import intervals
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.estimated import CUT, LEVEL, calibration, parts_with_means, unfit
from services.monitoring.measures import Measure, values_of

_NOTHING = "nothing is expected to be positive"


class _Part(NamedTuple):
    """Rows whose scores are about the same. above: they count as predicted positive; unsure: only some of them do."""

    rows: int
    likely: float
    above: bool
    unsure: bool


# Of right positives, predicted positives and positives: the statistic, and what one more positive changes of it among
# those predicted positive and among the others.
_Told = tuple[float, float, float]
_Statistic = Callable[[float, float, float], _Told | None]


def precision(check: types.Check, window: types.Profile, labelled: types.Performance) -> Measure:
    """Expected share of positives among predicted positives, 0..1."""
    return _estimate(check, window, labelled, _precision)


def recall(check: types.Check, window: types.Profile, labelled: types.Performance) -> Measure:
    """Expected share of predicted positives among positives, 0..1."""
    return _estimate(check, window, labelled, _recall)


def f1(check: types.Check, window: types.Profile, labelled: types.Performance) -> Measure:
    """Expected harmonic mean of precision and recall, 0..1."""
    return _estimate(check, window, labelled, _f1)


def _precision(right: float, said: float, _positive: float) -> _Told | None:
    return (right / said, 1 / said, 0.0) if said else None


def _recall(right: float, _said: float, positive: float) -> _Told | None:
    if not positive:
        return None
    value = right / positive
    return value, (1 - value) / positive, -value / positive


def _f1(right: float, said: float, positive: float) -> _Told | None:
    whole = said + positive
    if not whole:
        return None
    value = 2 * right / whole
    return value, (2 - value) / whole, -value / whole


def _estimate(check: types.Check, window: types.Profile, labelled: types.Performance, statistic: _Statistic) -> Measure:
    """The error bound is what the part that holds the cut can change by counting on one side of it or the other."""
    rows = values_of(window)
    if reason := unfit(window):
        return Measure(rows, explanation=reason)
    cut, parts = check.cut or CUT, list[_Part]()
    calibrated = calibration(labelled.scores)
    for count, mean, left, edge in parts_with_means(window.numbers):
        parts.append(_Part(count, calibrated(mean), mean >= cut, left < cut < edge))
    told = _of(parts, statistic)
    if told is None:
        return Measure(rows, explanation=_NOTHING)
    value, inside, outside = told
    sides = (
        _of([one._replace(above=side) if one.unsure else one for one in parts], statistic) for side in (True, False)
    )
    bound = max((abs(one[0] - value) for one in sides if one is not None), default=0.0)
    spread = (one.rows * one.likely * (1 - one.likely) * (inside if one.above else outside) ** 2 for one in parts)
    return _measure(rows, value, math.fsum(spread), bound)


def _of(parts: Sequence[_Part], statistic: _Statistic) -> _Told | None:
    right = math.fsum(one.rows * one.likely for one in parts if one.above)
    positive = math.fsum(one.rows * one.likely for one in parts)
    return statistic(right, float(sum(one.rows for one in parts if one.above)), positive)


def roc_auc(_check: types.Check, window: types.Profile, labelled: types.Performance) -> Measure:
    """Expected chance that a positive scores above a negative, ties counting half, 0..1. Scores of one part count as
    tied; the error bound is half their share of all pairs."""
    rows = values_of(window)
    if reason := unfit(window):
        return Measure(rows, explanation=reason)
    calibrated = calibration(labelled.scores)
    parts = sorted((mean, count, calibrated(mean)) for count, mean, _, _ in parts_with_means(window.numbers))
    positive = math.fsum(count * likely for _, count, likely in parts)
    negative = math.fsum(count * (1 - likely) for _, count, likely in parts)
    if not positive or not negative:
        return Measure(rows, explanation=_NOTHING if not positive else "everything is expected to be positive")
    ordered, tied, below, above = 0.0, 0.0, 0.0, positive
    reach: list[tuple[float, float]] = []  # Variance of the labels of a part, and what one more positive changes.
    for _, count, likely in parts:
        hits, misses = count * likely, count * (1 - likely)
        above -= hits
        ordered += hits * below
        tied += hits * misses / 2
        reach.append((hits * (1 - likely), below + misses / 2 - above - hits / 2))
        below += misses
    pairs = positive * negative
    value = (ordered + tied) / pairs
    spread = (noise * ((change - value * (negative - positive)) / pairs) ** 2 for noise, change in reach)
    return _measure(rows, min(1.0, value), math.fsum(spread), tied / pairs)


def _measure(rows: int, value: float, variance: float, bound: float) -> Measure:
    told = intervals.normal(value, math.sqrt(variance), LEVEL, "sampling of labels", 0.0, 1.0)
    interval = types.StatisticInterval(low=told.low, high=told.high, level=told.level, method=told.method)
    return Measure(rows, value, interval=interval, error_bound=bound)
