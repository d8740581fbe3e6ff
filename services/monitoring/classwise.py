"""How good predictions of any number of classes are, from the table of predictions and labels.

Micro averages of precision, recall and F1 are ACCURACY, since each row has one prediction and one label.
"""

import math
from collections import Counter
from typing import NamedTuple

from modelog.evaluate import intervals
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.labelled import LEVEL
from services.monitoring.measures import Measure

_TOO_MANY = "too many different predictions and labels to hold them all in a table"


class _Table(NamedTuple):
    """hits, predicted and actual by class, over `rows` pairs."""

    rows: int
    hits: Counter[str]
    predicted: Counter[str]
    actual: Counter[str]


def balanced_accuracy(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Mean recall over the labels that occur (Brodersen et al., ICPR 2010), 0..1; also macro recall. Interval: normal,
    by the binomial variance of each recall with one success and one failure added (Agresti and Coull, 1998)."""
    if (table := _table(window)) is None:
        return _untold(window)
    recalls = [table.hits[one] / rows for one, rows in sorted(table.actual.items())]
    value = math.fsum(recalls) / len(recalls)
    smoothed = [((table.hits[one] + 1) / (rows + 2), rows + 2) for one, rows in sorted(table.actual.items())]
    error = math.sqrt(math.fsum(share * (1 - share) / rows for share, rows in smoothed)) / len(recalls)
    return _told(table.rows, value, error, "normal approximation, Agresti-Coull variances", 0.0)


def matthews(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Correlation of predictions and labels, -1..1 (Matthews, 1975; for many classes Gorodkin, 2004); 0 when all
    predictions or all labels are the same. Interval: normal, by the infinitesimal jackknife over the cells."""
    if (table := _table(window)) is None:
        return _untold(window)
    n, hits = table.rows, table.hits.total()
    cross = sum(count * table.actual[one] for one, count in table.predicted.items())
    spread = n * n - sum(count * count for count in table.predicted.values())
    labels = n * n - sum(count * count for count in table.actual.values())
    if not spread or not labels:
        return Measure(n, 0.0, explanation="all predictions, or all labels, are the same")
    top, under = hits * n - cross, math.sqrt(spread * labels)
    value = top / under
    influence = []
    for cell in window.performance.confusion:
        predicted, actual = table.predicted[cell.label], table.actual[cell.prediction]
        moved = n * (cell.prediction == cell.label) + hits - predicted - actual
        of_spread = 2 * (n - table.predicted[cell.prediction]) / spread
        of_labels = 2 * (n - table.actual[cell.label]) / labels
        change = n * (moved / under - value * (of_spread + of_labels) / 2)
        influence.append((cell.count, change))
    mean = math.fsum(count * change for count, change in influence) / n
    variance = math.fsum(count * (change - mean) ** 2 for count, change in influence) / n
    return _told(n, value, math.sqrt(variance / n), "infinitesimal jackknife", -1.0)


def macro_f1(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Mean F1 over the classes that occur among predictions or labels, 0..1 (as scikit-learn's). Interval: normal, by
    the infinitesimal jackknife over the cells."""
    if (table := _table(window)) is None:
        return _untold(window)
    classes = sorted(table.predicted.keys() | table.actual.keys())
    whole = {one: table.predicted[one] + table.actual[one] for one in classes}
    scores = {one: 2 * table.hits[one] / whole[one] for one in classes}
    value = math.fsum(scores.values()) / len(classes)
    influence = []
    for cell in window.performance.confusion:
        gain = 2 / whole[cell.label] if cell.prediction == cell.label else 0.0
        lost = scores[cell.prediction] / whole[cell.prediction] + scores[cell.label] / whole[cell.label]
        influence.append((cell.count, table.rows * (gain - lost) / len(classes)))
    variance = math.fsum(count * change * change for count, change in influence) / table.rows
    return _told(table.rows, value, math.sqrt(variance / table.rows), "infinitesimal jackknife", 0.0)


def _table(window: types.ProfileSet) -> _Table | None:
    performance = window.performance
    if performance.other or not performance.pairs:
        return None
    table = _Table(performance.pairs, Counter(), Counter(), Counter())
    for cell in performance.confusion:
        table.predicted[cell.prediction] += cell.count
        table.actual[cell.label] += cell.count
        if cell.prediction == cell.label:
            table.hits[cell.label] += cell.count
    return table


def _untold(window: types.ProfileSet) -> Measure:
    return Measure(window.performance.pairs, explanation=_TOO_MANY) if window.performance.pairs else Measure(0)


def _told(rows: int, value: float, error: float, method: str, least: float) -> Measure:
    told = intervals.normal(value, error, LEVEL, method, least, 1.0)
    interval = types.StatisticInterval(low=told.low, high=told.high, level=told.level, method=told.method)
    return Measure(rows, value, interval=interval if error else None)
