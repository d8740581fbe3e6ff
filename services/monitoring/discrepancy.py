"""Whether two samples of vectors, for example embeddings, come from one distribution. Pure."""

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats
from services.monitoring.measures import Measure
from services.monitoring.sketches import mixed
from services.monitoring.vectors import pair_of, rounded, scale_of, vectors_of

PERMUTATIONS = 199
MOST_ROWS = 1000  # Of each sample, those with the smallest hashes: time grows with the square.
_LEAST_ROWS = 4


def mmd(check: types.Check, window: types.RowSample, baseline: types.RowSample) -> Measure:
    """Squared maximum mean discrepancy of the named columns taken as one vector, unbiased, so that it is about 0 when
    nothing changed (Gretton et al., JMLR 13, 2012, lemma 6); at most 2.

    The kernel is Gaussian, its width the median distance of all sampled rows, each column in its deviations over both.
    p-value: the share of 199 permutations of the rows, always the same ones, with as great a discrepancy, this order of
    the rows counted among them (Phipson and Smyth, 2010).
    """
    before, after = vectors_of(pair_of(check, window, baseline))
    before, after = before[:MOST_ROWS], after[:MOST_ROWS]
    rows = len(after)
    if min(len(before), rows) < _LEAST_ROWS:
        return Measure(rows, explanation=f"{min(len(before), rows)} sampled rows, fewer than {_LEAST_ROWS}")
    both = np.concatenate((before, after))
    kernel = _kernel(both / scale_of(both))
    if kernel is None:
        return Measure(rows, explanation="most sampled rows are the same, so that they have no distance")
    found = _discrepancies(kernel, len(before), _orders(len(kernel)))
    p_value = float(np.mean(found >= found[0] - 1e-12))
    return Measure(rows, rounded(float(found[0])), p_value=p_value)


def _kernel(rows: Floats) -> Floats | None:
    """exp(-d^2 / 2 w^2) of every two rows, 0 on the diagonal; None when the median distance w is 0."""
    squares = np.sum(np.square(rows), axis=1)
    distances = rows @ rows.T
    distances *= -2.0
    distances += squares[:, None]
    distances += squares[None, :]
    np.maximum(distances, 0.0, out=distances)
    # All distances are there twice, after as many zeros as there are rows.
    middle = len(rows) + 2 * (len(rows) * (len(rows) - 1) // 4)
    np.fill_diagonal(distances, 0.0)
    width = float(np.partition(distances, middle, axis=None)[middle])
    if not width > 1e-12:
        return None
    distances /= -2.0 * width
    kernel: Floats = np.exp(distances, out=distances)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _orders(rows: int) -> Floats:
    """Rows by orders: 1 for the place of each row among all. The first is as they are, the others by SplitMix64."""
    places = np.arange(rows, dtype=np.float64)[:, None]
    draws = mixed(np.arange(rows * PERMUTATIONS, dtype=np.uint64)).reshape(PERMUTATIONS, rows)
    drawn = np.argsort(np.argsort(draws, axis=1, kind="stable"), axis=1, kind="stable").T
    return np.concatenate((places, drawn), axis=1)


def _discrepancies(kernel: Floats, first: int, orders: Floats) -> Floats:
    """MMD^2 of each order, whose first rows are one sample and the others the other."""
    inside = (orders < first).astype(np.float64)
    second = len(kernel) - first
    among = np.sum(inside * (kernel @ inside), axis=0)
    all_of = np.sum(kernel, axis=1) @ inside
    others = float(np.sum(kernel)) - 2 * all_of + among
    between = all_of - among
    found: Floats = among / (first * (first - 1)) + others / (second * (second - 1)) - 2 * between / (first * second)
    return found
