"""Fairness in production: how differently the groups of a sensitive column are treated.

The column is counted by group as rows come and is kept nowhere row by row: labels bring it along, since a prediction
that waits for its label has no place for it. Definitions and the leaving out of small groups are those of
`modelog.evaluate.fairness` (Hardt, Price and Srebro, NeurIPS 2016), whose figures are fairlearn's.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from modelog.evaluate import intervals
from modelog.evaluate.fairness import FALSE_POSITIVE, SELECTION, TRUE_POSITIVE, parity, suppressed
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.labelled import LEVEL, POSITIVE
from services.monitoring.measures import Measure

MOST_GROUPS = 64
MOST_CELLS = 64
MOST_CHARACTERS = 64
MINIMUM_ROWS = 30
_HUNDREDTHS = np.arange(101) / 100
_POSITIVE_LABELS = {"1": 1, "true": 1, "True": 1, "0": 0, "false": 0, "False": 0}
_TOO_MANY = "too many different predictions in a group; give `cut` when they are scores"


class Row(NamedTuple):
    """One row of one sensitive column: texts of prediction, label (empty before it has come) and group."""

    prediction: str
    label: str
    group: str


def count_groups(name: str, rows: Iterable[Row]) -> types.SensitiveProfile:
    """Counts of each group; rows without a prediction are left out."""
    by_group: dict[str, Counter[tuple[str, str]]] = {}
    told = types.SensitiveProfile(name=name)
    for row in rows:
        if not row.prediction:
            continue
        if not row.group or len(row.group) > MOST_CHARACTERS:
            told.other_rows += 1
            continue
        by_group.setdefault(row.group, Counter())[row.prediction, row.label] += 1
    _write_groups(told, {group: _group(group, cells) for group, cells in by_group.items()})
    return told


def _group(name: str, cells: Counter[tuple[str, str]]) -> types.GroupProfile:
    group = types.GroupProfile(group=name, rows=cells.total())
    _write_cells(group, cells)
    scores: Counter[tuple[int, int]] = Counter()
    for (prediction, label), count in cells.items():
        score, positive = _number(prediction), _POSITIVE_LABELS.get(label, 0)
        if 0 <= score <= 1 and (not label or label in _POSITIVE_LABELS):
            scores[int(np.searchsorted(_HUNDREDTHS, score, side="right")) - 1, positive] += count
    _write_scores(group, scores)
    return group


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _write_groups(told: types.SensitiveProfile, groups: Mapping[str, types.GroupProfile]) -> None:
    """The first of all groups are among the first of every part, so any order of merging keeps the same ones."""
    names = sorted(groups)
    told.other_rows += sum(groups[one].rows for one in names[MOST_GROUPS:])
    kept = [groups[one] for one in names[:MOST_GROUPS]]
    del told.groups[:]
    told.groups.extend(kept)


def _write_cells(group: types.GroupProfile, cells: Counter[tuple[str, str]]) -> None:
    ranked = sorted(cells.items())
    del group.cells[:]
    for (prediction, label), count in ranked[:MOST_CELLS]:
        group.cells.add(prediction=prediction, label=label, count=count)
    group.other += sum(count for _, count in ranked[MOST_CELLS:])


def _write_scores(group: types.GroupProfile, scores: Counter[tuple[int, int]]) -> None:
    del group.scores[:]
    for hundredth in sorted({one for one, _ in scores}):
        positives = scores[hundredth, 1]
        group.scores.add(hundredth=hundredth, rows=scores[hundredth, 0] + positives, positives=positives)


def merge_sensitive(mine: types.ProfileSet, other: types.ProfileSet) -> None:
    """Adds the groups of `other` to `mine`."""
    known = {one.name: one for one in mine.sensitive}
    for one in other.sensitive:
        if one.name in known:
            _merge_column(known[one.name], one)
        else:
            mine.sensitive.append(one)
    mine.sensitive.sort(key=lambda one: one.name)


def _merge_column(mine: types.SensitiveProfile, other: types.SensitiveProfile) -> None:
    groups = {one.group: types.GroupProfile.FromString(one.SerializeToString()) for one in mine.groups}
    for one in other.groups:
        if one.group in groups:
            _merge_group(groups[one.group], one)
        else:
            groups[one.group] = one
    mine.other_rows += other.other_rows
    _write_groups(mine, groups)


def _merge_group(mine: types.GroupProfile, other: types.GroupProfile) -> None:
    cells: Counter[tuple[str, str]] = Counter()
    scores: Counter[tuple[int, int]] = Counter()
    for group in (mine, other):
        for cell in group.cells:
            cells[cell.prediction, cell.label] += cell.count
        for one in group.scores:
            scores[one.hundredth, 1] += one.positives
            scores[one.hundredth, 0] += one.rows - one.positives
    mine.rows += other.rows
    mine.other += other.other
    _write_cells(mine, cells)
    _write_scores(mine, scores)


class _Four(NamedTuple):
    """Rows of a group by what was said and what was true; before labels all count as negative."""

    tp: int
    fp: int
    tn: int
    fn: int


def demographic_parity_difference(check: types.Check, window: types.ProfileSet) -> Measure:
    """Largest difference of the shares of positive predictions of two groups, 0..1. Interval: of the difference of the
    two groups that are furthest apart (Newcombe's method 10, 1998); it does not know that they were picked for it."""
    return _compared(check, window, "demographic_parity_difference", (SELECTION,))


def demographic_parity_ratio(check: types.Check, window: types.ProfileSet) -> Measure:
    """Smallest ratio of the shares of positive predictions of two groups, 0..1; four fifths is a usual floor. It has no
    interval."""
    return _compared(check, window, "demographic_parity_ratio", ())


def equal_opportunity_difference(check: types.Check, window: types.ProfileSet) -> Measure:
    """Largest difference of the recall of two groups, 0..1. Interval: as for demographic parity."""
    return _compared(check, window, "equal_opportunity_difference", (TRUE_POSITIVE,))


def equalized_odds_difference(check: types.Check, window: types.ProfileSet) -> Measure:
    """Larger of the largest differences of recall and of false positive rate, 0..1. Interval: of that one."""
    return _compared(check, window, "equalized_odds_difference", (TRUE_POSITIVE, FALSE_POSITIVE))


def _compared(check: types.Check, window: types.ProfileSet, name: str, spread: Sequence[str]) -> Measure:
    told = next((one for one in window.sensitive if one.name == check.sensitive), None)
    if told is None:
        reason = f"no row told {check.sensitive}; send it as a sensitive column"
        return Measure(window.rows, explanation=reason) if window.rows else Measure(0)
    rows = {one.group: one.rows for one in told.groups}
    hidden = suppressed(rows, check.minimum_group_rows or MINIMUM_ROWS)
    kept = [one for one in told.groups if one.group not in hidden]
    counted = sum(one.rows for one in kept)
    if len(kept) < 2:
        few = f"fewer than two groups of {check.sensitive} have {check.minimum_group_rows or MINIMUM_ROWS} rows"
        return Measure(window.rows, explanation=few)
    if not check.cut and any(one.other for one in kept):
        return Measure(counted, explanation=_TOO_MANY)
    parts = {one.group: _parts(_four(check, one)) for one in kept}
    rates = {group: {key: hit / all_ for key, (hit, all_) in one.items() if all_} for group, one in parts.items()}
    found = parity(rates, "").get(name)
    groups = tuple(_rate(name, one, rates[one.group]) for one in kept)
    if found is None:
        return Measure(counted, explanation="fewer than two groups have a rate to compare", groups=groups)
    return Measure(counted, found.value, interval=_interval(parts, spread), groups=groups)


def _four(check: types.Check, group: types.GroupProfile) -> _Four:
    if check.cut:
        least = round(check.cut * 100)
        above = [one for one in group.scores if one.hundredth >= least]
        tp, said = sum(one.positives for one in above), sum(one.rows for one in above)
        positives, rows = sum(one.positives for one in group.scores), sum(one.rows for one in group.scores)
    else:
        wanted = check.positive or POSITIVE
        tp = sum(one.count for one in group.cells if one.prediction == one.label == wanted)
        said = sum(one.count for one in group.cells if one.prediction == wanted)
        positives, rows = sum(one.count for one in group.cells if one.label == wanted), group.rows
    return _Four(tp, said - tp, rows - positives - (said - tp), positives - tp)


def _parts(four: _Four) -> dict[str, tuple[int, int]]:
    tp, fp, tn, fn = four
    return {SELECTION: (tp + fp, sum(four)), TRUE_POSITIVE: (tp, tp + fn), FALSE_POSITIVE: (fp, fp + tn)}


def _rate(name: str, group: types.GroupProfile, rates: Mapping[str, float]) -> types.GroupRate:
    told = types.GroupRate(group=group.group, rows=group.rows)
    told_rate = rates.get(SELECTION if name.startswith("demographic") else TRUE_POSITIVE)
    if told_rate is not None:
        told.rate = told_rate
    if name.startswith("equalized") and FALSE_POSITIVE in rates:
        told.false_positive_rate = rates[FALSE_POSITIVE]
    return told


def _interval(
    parts: Mapping[str, Mapping[str, tuple[int, int]]], names: Sequence[str]
) -> types.StatisticInterval | None:
    """Of the rate whose extremes are furthest apart."""
    ends = []
    for name in names:
        known = [one[name] for one in parts.values() if one[name][1]]
        if len(known) >= 2:
            ordered = sorted(known, key=lambda one: one[0] / one[1])
            ends.append((ordered[-1], ordered[0]))
    if not ends:
        return None
    high, low = max(ends, key=lambda one: one[0][0] / one[0][1] - one[1][0] / one[1][1])
    more, less = intervals.wilson(*high, LEVEL), intervals.wilson(*low, LEVEL)
    p, q = high[0] / high[1], low[0] / low[1]
    down, up = math.hypot(p - more.low, less.high - q), math.hypot(more.high - p, q - less.low)
    return types.StatisticInterval(
        low=max(0.0, p - q - down), high=min(1.0, p - q + up), level=LEVEL, method="Newcombe's method 10"
    )


def is_hundredth(cut: float) -> bool:
    """Whether groups can be cut there."""
    return round(cut * 100) / 100 == cut
