"""Errors to expect of rows whose labels have not come: direct loss estimation.

A model of the errors in the baseline, fitted when it is captured, expects the error of each row from its inputs and its
prediction (NannyML calls this DLE). Windows sum what it expects as rows are counted, without rounding, so profiles stay
additive; the model is part of the baseline's profiles and so of their digest. Trees are boosted on the squared error
(Friedman, 2001) and oblivious (Kohavi and Li, 1995; as in CatBoost): each depth asks one question, so that a row's leaf
is found by a few comparisons of bytes. Nothing is drawn at random.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats, exact_sums
from services.monitoring.profile import Column, Key

MOST_TREES = 100
DEPTH = 5
MOST_CODES = 255
_MOST_THRESHOLDS = MOST_CODES - 1
_MOST_FITTED = 60_000
_LEAST_FITTED = 100
_RATE = 0.1
_LEAST_LEAF = 20  # Rows on each side of a question for it to gain anything, and what shrinks the values of leaves.
_MOST_ERROR = 1e70

Codes = NDArray[np.uint8]


class Losses(NamedTuple):
    """A model as it is used for counting."""

    model: types.LossModel
    prediction: Key

    def expected(self, columns: Sequence[Column], rows: int) -> types.ExpectedErrors:
        """Sums over the rows whose prediction is a number; what a column lacks counts as missing."""
        given = {one.key: one for one in columns}
        predicted = given.get(self.prediction)
        if predicted is None or predicted.strings is not None:
            return types.ExpectedErrors()
        there = np.isfinite(predicted.numbers)
        codes = np.stack([_codes(one, given.get((one.role, one.name)), rows) for one in self.model.features])
        codes = np.ascontiguousarray(codes[:, there])
        absolute, absolute_squared = exact_sums(_sum_of(self.model.absolute, codes))
        squared, squared_squared = exact_sums(_sum_of(self.model.squared, codes))
        return types.ExpectedErrors(
            rows=int(there.sum()),
            absolute=absolute,
            squared=squared,
            absolute_squared=absolute_squared,
            squared_squared=squared_squared,
        )


def losses_of(baseline: types.ProfileSet | None) -> Losses | None:
    """The model that a baseline brings; None when it brings none. Its last feature is the prediction."""
    if baseline is None or not baseline.loss_model.features:
        return None
    last = baseline.loss_model.features[-1]
    return Losses(baseline.loss_model, (last.role, last.name))


def fit_losses(columns: Sequence[Column], prediction: Column, labels: Floats) -> types.LossModel | None:
    """A model of the errors of a baseline; None when labels, or predictions, are no numbers, are all 0 or 1, or are
    fewer than 100. Of many rows 60,000 at equal distances are used."""
    if prediction.strings is not None:
        return None
    with np.errstate(invalid="ignore"):
        errors = np.abs(labels - prediction.numbers)
    known = np.flatnonzero(errors <= _MOST_ERROR)
    if len(known) < _LEAST_FITTED or np.isin(labels[known], (0.0, 1.0)).all():
        return None
    known = known[:: -(-len(known) // _MOST_FITTED)]
    errors = errors[known]
    # Outputs beside the prediction are left out: they are not asked for, and often say the same.
    looked_at = [one for one in columns if one.role == types.COLUMN_ROLE_INPUT]
    looked_at = [*sorted(looked_at, key=lambda one: one.key), prediction]
    model = types.LossModel(features=[_feature(one, known, errors) for one in looked_at])
    pairs = zip(model.features, looked_at, strict=True)
    codes = np.stack([_codes(feature, one, one.rows)[known] for feature, one in pairs])
    model.absolute.CopyFrom(_boosted(codes, errors))
    model.squared.CopyFrom(_boosted(codes, errors * errors))
    return model


def _feature(column: Column, known: NDArray[np.int64], errors: Floats) -> types.LossFeature:
    if column.strings is not None:
        return types.LossFeature(role=column.role, name=column.name, categories=_ranked(column.strings, known, errors))
    values = np.unique(column.numbers[known][np.isfinite(column.numbers[known])] + 0.0)
    if len(values) > _MOST_THRESHOLDS:
        values = np.sort(column.numbers[known][np.isfinite(column.numbers[known])] + 0.0)
        values = np.unique(values[np.arange(1, _MOST_THRESHOLDS + 1) * len(values) // (_MOST_THRESHOLDS + 1)])
    return types.LossFeature(role=column.role, name=column.name, thresholds=values.tolist())


def _ranked(strings: Sequence[str], known: NDArray[np.int64], errors: Floats) -> list[str]:
    """Categories by the mean error of their rows, so that one question parts them well (Fisher, 1958)."""
    values, places, counts = np.unique([strings[at] for at in known], return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=errors) / counts
    frequent = sorted(range(len(values)), key=lambda at: (-counts[at], values[at]))
    kept = [at for at in frequent if 0 < len(values[at]) <= 256][:_MOST_THRESHOLDS]
    return [str(values[at]) for at in sorted(kept, key=lambda at: (means[at], values[at]))]


def _codes(feature: types.LossFeature, column: Column | None, rows: int) -> Codes:
    codes = np.zeros(rows, dtype=np.uint8)
    if column is None or (column.strings is not None and feature.thresholds):
        return codes
    if column.strings is not None:
        places = {one: at for at, one in enumerate(feature.categories, start=1)}
        return np.fromiter((places.get(one, 0) for one in column.strings), dtype=np.uint8, count=rows)
    if feature.categories:
        return codes
    there = ~np.isnan(column.numbers)
    codes[there] = 1 + np.searchsorted(np.array(feature.thresholds), column.numbers[there], side="right")
    return codes


def _sum_of(trees: types.LossTrees, codes: Codes) -> Floats:
    """What the trees expect of each column of codes, at least 0."""
    total = np.full(codes.shape[1], trees.base)
    for tree in trees.trees:
        total += np.array(tree.values)[_leaves(tree.features, tree.codes, codes)]
    expected: Floats = np.maximum(total, 0.0)
    return expected


def _leaves(features: Sequence[int], asked: Sequence[int], codes: Codes) -> Codes:
    leaves = np.zeros(codes.shape[1], dtype=np.uint8)
    for depth, (feature, code) in enumerate(zip(features, asked, strict=True)):
        leaves |= (codes[feature] > code).view(np.uint8) << np.uint8(depth)
    return leaves


def _boosted(codes: Codes, target: Floats) -> types.LossTrees:
    trees = types.LossTrees(base=float(np.mean(target)))
    rest = target - trees.base
    for _ in range(MOST_TREES):
        tree = _tree(codes, rest)
        if tree is None:
            break
        rest = rest - np.array(tree.values)[_leaves(tree.features, tree.codes, codes)]
        trees.trees.append(tree)
    return trees


def _tree(codes: Codes, rest: Floats) -> types.LossTree | None:
    leaves = np.zeros(codes.shape[1], dtype=np.int64)
    tree = types.LossTree()
    for depth in range(DEPTH):
        found = [_question(one, leaves, rest, 1 << depth) for one in codes]
        feature = max(range(len(found)), key=lambda at: (found[at][0], -at))
        gain, code = found[feature]
        if gain <= 0:
            break
        tree.features.append(feature)
        tree.codes.append(code)
        leaves |= (codes[feature] > code).astype(np.int64) << depth
    if not tree.features:
        return None
    size = 1 << len(tree.features)
    sums, counts = np.bincount(leaves, weights=rest, minlength=size), np.bincount(leaves, minlength=size)
    tree.values.extend((_RATE * sums / (counts + _LEAST_LEAF)).tolist())
    return tree


def _question(codes: Codes, leaves: NDArray[np.int64], rest: Floats, size: int) -> tuple[float, int]:
    """The code to ask for, and by how much squared errors fall when all leaves are parted by it."""
    places = leaves * 256 + codes
    sums = np.bincount(places, weights=rest, minlength=size * 256).reshape(size, 256).cumsum(axis=1)
    counts = np.bincount(places, minlength=size * 256).reshape(size, 256).cumsum(axis=1)
    total, rows = sums[:, -1:], counts[:, -1:]
    left, right = _score(sums, counts), _score(total - sums, rows - counts)
    # Where one side holds too few rows the leaf stays as it is.
    parted = (counts >= _LEAST_LEAF) & (rows - counts >= _LEAST_LEAF)
    gains = np.where(parted, left + right - _score(total, rows), 0.0).sum(axis=0)
    code = int(np.argmax(gains[:MOST_CODES]))
    return float(gains[code]), code


def _score(sums: Floats, counts: NDArray[np.int64]) -> Floats:
    scores: Floats = sums * sums / (counts + _LEAST_LEAF)
    return scores


def is_sound_model(model: types.LossModel) -> bool:
    """Whether a model that came from elsewhere can be asked: every tree's questions and leaves fit."""
    return all(
        len(tree.features) == len(tree.codes)
        and len(tree.values) == 1 << len(tree.features)
        and all(0 <= one < len(model.features) for one in tree.features)
        and all(0 <= one <= MOST_CODES for one in tree.codes)
        and bool(np.isfinite(np.array(tree.values)).all())
        for trees in (model.absolute, model.squared)
        for tree in trees.trees
    ) and all(list(one.thresholds) == sorted(set(one.thresholds)) for one in model.features)


def as_numbers(labels: Sequence[float | str]) -> Floats:
    """Labels as numbers, NaN where one is none."""
    if labels and isinstance(labels[0], str):
        return np.full(len(labels), np.nan)
    return np.array(labels, dtype=np.float64)
