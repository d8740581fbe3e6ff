"""Whether a classifier can tell the rows of a window from those of the baseline. Pure, and nothing is drawn at random.

A domain classifier, or classifier two-sample test (Friedman, SLAC-PUB-10325, 2003; Lopez-Paz and Oquab, ICLR 2017): it
sees changes of how columns go together that no single column shows.
"""

import numpy as np
from numpy.typing import NDArray

from modelog.evaluate.scores import ranked, roc_auc
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats
from services.monitoring.measures import Measure
from services.monitoring.vectors import codes_of, pair_of, rounded

LEVEL = 0.95
FOLDS = 5
TREES = 30
DEPTH = 3
CODES = 32
FEATURES = 32  # That one tree looks at: the next tree takes the next ones (random subspaces of Ho, 1998, in turn).
_RATE = 0.3
_LEAST_LEAF = 10  # Rows on each side of a question for it to gain anything, and what shrinks the values of leaves.
_LEAST_ROWS = 2 * FOLDS

Codes = NDArray[np.uint8]


def domain_classifier(check: types.Check, window: types.RowSample, baseline: types.RowSample) -> Measure:
    """ROC AUC, 0..1, of trees that tell sampled rows of the window from those of the baseline, each row scored by trees
    that were grown without its fold; 0.5 when nothing tells them apart.

    Trees are boosted on the squared error of the label (Friedman, 2001) over columns cut into 31 parts; the five folds
    follow the order of the hashes. Interval: DeLong et al. (1988), on the log odds. Held to NannyML's calculator.
    """
    pair = pair_of(check, window, baseline)
    old, new = len(baseline.hashes), len(window.hashes)
    if min(old, new) < _LEAST_ROWS:
        return Measure(new, explanation=f"{min(old, new)} sampled rows, fewer than {_LEAST_ROWS}")
    codes = codes_of(pair, CODES)
    positive = np.arange(old + new) >= old
    told = roc_auc(ranked(positive, scores_of(codes, positive)), LEVEL)  # type: ignore[arg-type]
    interval = None
    if told.HasField("interval"):
        low, high = rounded(told.interval.low), rounded(told.interval.high)
        interval = types.StatisticInterval(low=low, high=high, level=LEVEL, method=told.interval.method)
    return Measure(new, rounded(told.value), interval=interval)


def scores_of(codes: Codes, positive: NDArray[np.bool_]) -> Floats:
    """What trees say of rows that they were not grown from. codes: columns by rows."""
    folds = np.where(positive, np.cumsum(positive), np.cumsum(~positive)) % FOLDS
    scores = np.empty(len(positive))
    for fold in range(FOLDS):
        left = folds == fold
        scores[left] = _boosted(codes[:, ~left], positive[~left].astype(np.float64), codes[:, left])
    return scores


def _boosted(codes: Codes, target: Floats, asked: Codes) -> Floats:
    base = float(np.mean(target))
    rest, scores = target - base, np.full(asked.shape[1], base)
    for tree in range(TREES):
        features = np.arange(len(codes))
        if len(codes) > FEATURES:
            features = (tree * FEATURES + np.arange(FEATURES)) % len(codes)
        leaves, answers = _questions(codes[features], rest, asked[features])
        size = 1 << DEPTH
        sums, counts = np.bincount(leaves, weights=rest, minlength=size), np.bincount(leaves, minlength=size)
        values = _RATE * sums / (counts + _LEAST_LEAF)
        rest, scores = rest - values[leaves], scores + values[answers]
    return scores


def _questions(codes: Codes, rest: Floats, asked: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The leaves of an oblivious tree that rows end in: of those it is grown from, and of those that are asked."""
    flat = codes + np.arange(len(codes), dtype=np.int64)[:, None] * CODES
    weights = np.broadcast_to(rest, codes.shape).ravel()
    leaves, answers = np.zeros(codes.shape[1], dtype=np.int64), np.zeros(asked.shape[1], dtype=np.int64)
    for depth in range(DEPTH):
        shape = 1 << depth, len(codes), CODES
        places = (flat + leaves * (len(codes) * CODES)).ravel()
        size = shape[0] * shape[1] * shape[2]
        sums = np.bincount(places, weights=weights, minlength=size).reshape(shape).cumsum(axis=2)
        counts = np.bincount(places, minlength=size).reshape(shape).cumsum(axis=2)
        total, rows = sums[:, :, -1:], counts[:, :, -1:]
        parted = (counts >= _LEAST_LEAF) & (rows - counts >= _LEAST_LEAF)
        gains = _score(sums, counts) + _score(total - sums, rows - counts) - _score(total, rows)
        best = int(np.argmax(np.where(parted, gains, 0.0).sum(axis=0)))
        feature, code = divmod(best, CODES)
        leaves |= (codes[feature] > code).astype(np.int64) << depth
        answers |= (asked[feature] > code).astype(np.int64) << depth
    return leaves, answers


def _score(sums: Floats, counts: NDArray[np.int64]) -> Floats:
    scores: Floats = sums * sums / (counts + _LEAST_LEAF)
    return scores
