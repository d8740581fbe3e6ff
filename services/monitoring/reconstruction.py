"""How well principal components of the baseline reproduce the rows of a window. Pure."""

import math
from typing import NamedTuple

import numpy as np

from modelog.evaluate.intervals import normal
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats
from services.monitoring.measures import Measure
from services.monitoring.vectors import Pair, pair_of, rounded, scale_of, vectors_of

EXPLAINED = 0.65  # Share of the variance that the components kept explain, as NannyML has it.
_FOLDS = 5
_LEAST_COLUMNS = 2


def pca_reconstruction(check: types.Check, window: types.RowSample, baseline: types.RowSample) -> Measure:
    """Mean reconstruction error of sampled rows, less that of the baseline's rows, in standard errors of this
    difference; without its sign, from 0: rows that are reproduced better have changed too. 3 is a usual threshold.

    The error of a row is the distance from its projection on the first principal components, which explain 65 % of the
    baseline's variance (Jackson and Mudholkar, 1979; NannyML's DataReconstructionDriftCalculator, whose mean errors the
    tests hold these to); numbers, and categories by their share, are standardised by the baseline. Components know the
    rows that they were made of, so they are found five times, each without a fifth of the baseline by the order of
    hashes, and asked for that fifth and for a fifth of the window.
    """
    pair, old, rows = pair_of(check, window, baseline), len(baseline.hashes), len(window.hashes)
    if len(pair.baseline) < _LEAST_COLUMNS:
        return Measure(rows, explanation="one column has nothing to go together with; see WASSERSTEIN")
    if min(old, rows) <= _FOLDS:
        return Measure(rows, explanation=f"{min(old, rows)} sampled rows, {_FOLDS + 1} are needed")
    usual, now = _fair_errors(pair, old, rows)
    difference = float(np.mean(now)) - float(np.mean(usual))
    error = math.sqrt(float(np.var(usual, ddof=1)) * (1 / len(usual) + 1 / rows))
    if not error > 0:
        return Measure(rows, explanation="the components reproduce the baseline without any error")
    told = normal(abs(difference) / error, 1.0, 0.95, "standard errors", 0.0, math.inf)
    interval = types.StatisticInterval(
        low=rounded(told.low), high=rounded(told.high), level=told.level, method=told.method
    )
    return Measure(rows, rounded(abs(difference) / error), interval=interval)


class Components(NamedTuple):
    """Mean and unit of each column, and principal axes, columns by components."""

    mean: Floats
    scale: Floats
    axes: Floats


def components_of(rows: Floats) -> Components:
    """The fewest whose variance is more than 65 % of all; rows by columns."""
    mean: Floats = np.mean(rows, axis=0)
    scale = scale_of(rows)
    around = (rows - mean) / scale
    variances, axes = np.linalg.eigh(around.T @ around)
    variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    total = float(np.sum(variances))
    kept = 0 if total <= 0 else int(np.searchsorted(np.cumsum(variances) / total, EXPLAINED, side="right")) + 1
    return Components(mean, scale, axes[:, :kept])


def errors_of(components: Components, rows: Floats) -> Floats:
    """The distance of each row from what the components make of it."""
    around = (rows - components.mean) / components.scale
    missed = around - (around @ components.axes) @ components.axes.T
    errors: Floats = np.sqrt(np.sum(np.square(missed), axis=1))
    return errors


def _fair_errors(pair: Pair, old: int, new: int) -> tuple[Floats, Floats]:
    """Errors of the rows of both by components that were found without them."""
    usual, now = np.empty(old), np.empty(new)
    for fold in range(_FOLDS):
        known = [at for at in range(old) if at % _FOLDS != fold]
        before, after = vectors_of(pair, known)
        components = components_of(before[known])
        usual[fold::_FOLDS] = errors_of(components, before[fold::_FOLDS])
        now[fold::_FOLDS] = errors_of(components, after[fold::_FOLDS])
    return usual, now
