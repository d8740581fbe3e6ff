"""Rows that stand alone: an isolation forest grown when the baseline is captured, and asked as rows are counted.

Liu, Ting and Zhou (ICDM 2008): questions drawn at random part a row that is unlike the others from them after few. What
is drawn here comes from SplitMix64, so that the same baseline grows the same forest; the forest is part of the
baseline's profiles and so of their digest. The share of rows that stand alone needs no sample.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelog.evaluate.intervals import wilson
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats, Integers
from services.monitoring.measures import Measure
from services.monitoring.profile import Column, Key
from services.monitoring.sketches import mixed

TREES = 100
TREE_ROWS = 256
DEPTH = 8  # log2 of TREE_ROWS: the depth of the average row.
_MOST_CATEGORIES = 256
_MOST_CHARACTERS = 64
_MOST_CUT = 20_000  # Rows of a baseline that the cut is taken from, at equal distances.
_LEAST_ROWS = 100
_LEVEL = 0.95
_INNER = (1 << DEPTH) - 1
_CHUNK = 8192
_NO_FOREST = "no row was looked at: capture a baseline with outlier_share"


class Outliers(NamedTuple):
    """A forest as it is used for counting: complete trees, node 2n + 1 left and 2n + 2 right below node n."""

    forest: types.Forest
    asked: Integers
    thresholds: Floats
    paths: Floats

    def counted(self, columns: Sequence[Column], rows: int) -> types.OutlierCount:
        given = {one.key: one for one in columns}
        lengths = self.lengths(_matrix(self.forest.features, given, rows))
        return types.OutlierCount(rows=rows, outliers=int(np.sum(lengths < self.forest.cut)))

    def lengths(self, values: Floats) -> Floats:
        """Of rows, columns by rows, how many questions part each from the others, summed over all trees."""
        starts = range(0, values.shape[1], _CHUNK)
        told = [self._lengths(np.ascontiguousarray(values[:, at : at + _CHUNK])) for at in starts]
        return np.concatenate(told) if told else np.empty(0)

    def _lengths(self, values: Floats) -> Floats:
        rows, flat = values.shape[1], values.ravel()
        total, each = np.zeros(rows), np.arange(rows)
        for asked, thresholds, paths in zip(self.asked, self.thresholds, self.paths, strict=True):
            nodes = np.zeros(rows, dtype=np.int64)
            for _ in range(DEPTH):
                nodes = 2 * nodes + 1 + (flat[asked[nodes] * rows + each] > thresholds[nodes])
            total += paths[nodes - _INNER]
        return total


def scores_of(lengths: Floats, tree_rows: int, trees: int) -> Floats:
    """The anomaly score of the paper, 0..1: about 0.5 for a usual row."""
    scores: Floats = np.exp2(-lengths / trees / usual_path(tree_rows))
    return scores


def outlier_share(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Share of rows that stand alone, 0..1: whose path is shorter than that of the `outlier_share` of the baseline's
    rows with the shortest ones, so that it is about that share when nothing changed. Interval: Wilson (1927)."""
    counted = window.outliers
    if not counted.rows:
        return Measure(window.rows, explanation=_NO_FOREST) if window.rows else Measure(0)
    told = wilson(counted.outliers, counted.rows, _LEVEL)
    interval = types.StatisticInterval(low=told.low, high=told.high, level=told.level, method=told.method)
    return Measure(counted.rows, counted.outliers / counted.rows, interval=interval)


def usual_path(rows: int) -> float:
    """Questions until an absent value is found in a search tree of so many rows: c(n) of the paper."""
    return 2.0 * sum(1.0 / one for one in range(1, rows)) - 2.0 * (rows - 1) / rows if rows > 1 else 0.0


_USUAL = [usual_path(rows) for rows in range(TREE_ROWS + 1)]


def grow_forest(columns: Sequence[Column], share: float) -> types.Forest | None:
    """A forest of a baseline's inputs, and the cut that so large a share of its rows lies beyond; None for fewer than
    100 rows."""
    inputs = sorted((one for one in columns if one.role == types.COLUMN_ROLE_INPUT), key=lambda one: one.key)
    rows = inputs[0].rows if inputs else 0
    if rows < _LEAST_ROWS:
        return None
    forest = types.Forest(features=[_feature(one) for one in inputs], tree_rows=min(TREE_ROWS, rows), share=share)
    values = _matrix(forest.features, {one.key: one for one in inputs}, rows)
    for tree in range(TREES):
        chosen = np.argsort(_draws(2 * tree, rows), kind="stable")[: forest.tree_rows]
        forest.trees.append(_grown(values[:, chosen], _draws(2 * tree + 1, 2 * _INNER)))
    lengths = np.sort(_ready(forest).lengths(values[:, :: -(-rows // _MOST_CUT)]))
    forest.cut = float(lengths[int(share * len(lengths))])
    return forest


def _draws(stream: int, count: int) -> NDArray[np.uint64]:
    start = int(mixed(np.array([stream], dtype=np.uint64))[0])
    return mixed(np.uint64(start) ^ np.arange(count, dtype=np.uint64))


def _feature(column: Column) -> types.ForestFeature:
    feature = types.ForestFeature(role=column.role, name=column.name)
    if column.strings is None:
        there = column.numbers[np.isfinite(column.numbers)]
        with np.errstate(over="ignore"):
            mean = float(np.mean(there)) if len(there) else 0.0
        feature.missing = mean if np.isfinite(mean) else 0.0
        return feature
    counts = Counter(one[:_MOST_CHARACTERS] for one in column.strings)
    frequent = sorted(counts, key=lambda one: (-counts[one], one))[:_MOST_CATEGORIES]
    for one in sorted(frequent):
        feature.categories.append(one)
        feature.shares.append(counts[one] / column.rows)
    return feature


def _matrix(features: Sequence[types.ForestFeature], given: Mapping[Key, Column], rows: int) -> Floats:
    """Columns by rows, as numbers."""
    return np.stack([_numbers(one, given.get((one.role, one.name)), rows) for one in features])


def _numbers(feature: types.ForestFeature, column: Column | None, rows: int) -> Floats:
    if feature.categories:
        if column is None or column.strings is None:
            return np.zeros(rows)
        shares = dict(zip(feature.categories, feature.shares, strict=True))
        return np.array([shares.get(one[:_MOST_CHARACTERS], 0.0) for one in column.strings], dtype=np.float64)
    if column is None or column.strings is not None:
        return np.full(rows, feature.missing)
    return np.where(np.isfinite(column.numbers), column.numbers, feature.missing)


def _grown(values: Floats, draws: NDArray[np.uint64]) -> types.ForestTree:
    tree, drawn = types.ForestTree(), iter((draws >> np.uint64(11)).astype(np.float64) / 2.0**53)

    def grow(rows: Floats, depth: int) -> None:
        low, high = rows.min(axis=1), rows.max(axis=1)
        differ = np.flatnonzero(low < high)
        if depth == DEPTH or not len(differ):
            tree.asked.append(0)
            tree.rows.append(rows.shape[1])
            return
        feature = int(differ[int(next(drawn) * len(differ))])
        at = next(drawn)
        threshold = float(low[feature] * (1 - at) + high[feature] * at)
        if not low[feature] <= threshold < high[feature]:
            threshold = float(low[feature])  # Between neighbours there is no number.
        right = rows[feature] > threshold
        tree.asked.append(feature + 1)
        tree.thresholds.append(threshold)
        grow(rows[:, ~right], depth + 1)
        grow(rows[:, right], depth + 1)

    grow(values, 0)
    return tree


def outliers_of(baseline: types.ProfileSet | None) -> Outliers | None:
    """The forest that a baseline brings; None when it brings none."""
    return _ready(baseline.forest) if baseline is not None and baseline.forest.trees else None


def _ready(forest: types.Forest) -> Outliers:
    size = len(forest.trees)
    asked = np.zeros((size, _INNER), dtype=np.int64)
    thresholds = np.full((size, _INNER), np.inf)
    paths = np.zeros((size, _INNER + 1))
    for at, tree in enumerate(forest.trees):
        questions, leaves = iter(tree.thresholds), iter(tree.rows)
        below = [(0, 0)]  # Nodes in the order of the message, with their depth.
        for feature in tree.asked:
            node, depth = below.pop()
            if feature:
                asked[at, node], thresholds[at, node] = feature - 1, next(questions)
                below += [(2 * node + 2, depth + 1), (2 * node + 1, depth + 1)]
            else:
                # A leaf above the last depth: whatever is asked below it, rows go left.
                last = node
                for _ in range(DEPTH - depth):
                    last = 2 * last + 1
                paths[at, last - _INNER] = depth + _USUAL[next(leaves)]
    return Outliers(forest, asked, thresholds, paths)


def is_sound_forest(forest: types.Forest) -> bool:
    """Whether a forest that came from elsewhere can be asked."""
    return all(_is_sound(tree, len(forest.features)) for tree in forest.trees) and all(
        len(one.categories) == len(one.shares) for one in forest.features
    )


def _is_sound(tree: types.ForestTree, features: int) -> bool:
    below = [0]
    for feature in tree.asked:
        if not below or not 0 <= feature <= features:
            return False
        depth = below.pop()
        if feature:
            below += [depth + 1, depth + 1]
            if depth >= DEPTH:
                return False
    leaves = sum(not one for one in tree.asked)
    fits = len(tree.rows) == leaves and len(tree.thresholds) == len(tree.asked) - leaves
    return not below and fits and all(0 < one <= TREE_ROWS for one in tree.rows)
