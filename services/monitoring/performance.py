"""Predictions and their labels, paired and counted. Additive like profiles, and as bounded."""

import math
from collections import Counter
from collections.abc import Iterable

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.scoring import count_errors, count_scores, merge_errors, merge_scores, numbers_of

MOST_CELLS = 1024
MOST_CHARACTERS = 256
_EXACT_WHOLE = 2.0**53

Pair = tuple[str, str]


def text_of(value: float | str) -> str:
    """One text for one value, so that the label "1" and the prediction 1.0 are equal; empty for a missing one."""
    if isinstance(value, str):
        return value[:MOST_CHARACTERS].replace("\0", "\ufffd")  # Postgres keeps no NUL.
    if math.isnan(value):
        return ""
    if value.is_integer() and abs(value) <= _EXACT_WHOLE:
        return str(int(value))
    return repr(value)


def count_pairs(pairs: Iterable[Pair]) -> types.Performance:
    """Counts of (prediction, label), both as `text_of` writes them; pairs with a missing side are left out."""
    complete = [pair for pair in pairs if pair[0] and pair[1]]
    cells = Counter(complete)
    performance = types.Performance(
        pairs=cells.total(), correct=sum(count for (prediction, label), count in cells.items() if prediction == label)
    )
    _write_cells(performance, cells)
    found = numbers_of(complete)
    if len(found.labels):
        performance.errors.CopyFrom(count_errors(found.predictions, found.labels))
    if len(found.scores):
        performance.scores.CopyFrom(count_scores(found.scores, found.positive))
    return performance


def merge_performance(mine: types.Performance, other: types.Performance) -> None:
    """Adds `other` to `mine`."""
    cells = Counter({(one.prediction, one.label): one.count for one in mine.confusion})
    cells.update({(one.prediction, one.label): one.count for one in other.confusion})
    mine.pairs += other.pairs
    mine.correct += other.correct
    mine.other += other.other
    del mine.confusion[:]
    _write_cells(mine, cells)
    if other.HasField("errors"):
        merge_errors(mine.errors, other.errors)
    if other.HasField("scores"):
        merge_scores(mine.scores, other.scores)


def _write_cells(performance: types.Performance, cells: Counter[Pair]) -> None:
    """Keeps the first cells by name: a cell among the first of all is among the first of every part it occurs in, so
    its count is complete, and merging in any order keeps the same cells."""
    ranked = sorted(cells.items())
    for (prediction, label), count in ranked[:MOST_CELLS]:
        performance.confusion.add(prediction=prediction, label=label, count=count)
    performance.other += sum(count for _, count in ranked[MOST_CELLS:])
