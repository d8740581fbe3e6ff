"""How good predictions are, from what was counted of them and their labels; with intervals.

Metrics and intervals are those that `modelog evaluate` computes from rows; here they come from sums and counts. Those
of scores that depend on ranks are within the error bound that is told, since scores of one part count as tied.
"""

import math
from collections.abc import Callable

import numpy as np

from modelog.evaluate import intervals
from modelog.evaluate.scores import Ranked, average_precision, roc_auc
from modelog.monitoring.v1 import types_pb2 as types
from modelog.registry.v1.types_pb2 import ConfidenceInterval
from services.monitoring.exact import value_of
from services.monitoring.measures import Measure
from services.monitoring.scoring import parts_of

LEVEL = 0.95
POSITIVE = "1"
_NO_SCORES = "no prediction is a score in 0..1 with a label of 0 or 1"
_NO_NUMBERS = "no prediction and label are numbers"
_ONE_LABEL = "all labels are the same"

Total = types.ExactNumber


def accuracy(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Share of predictions that equal their label, 0..1, of those whose label has come; rows says how many they are.
    Interval: Wilson (1927)."""
    pairs, correct = window.performance.pairs, window.performance.correct
    return _share(correct, pairs, pairs) if pairs else Measure(0)


def precision(check: types.Check, window: types.ProfileSet) -> Measure:
    """Positives among predicted positives, 0..1. Interval: Wilson (1927)."""
    return _of_classes(check, window, lambda tp, fp, _fn, pairs: _share(tp, tp + fp, pairs))


def recall(check: types.Check, window: types.ProfileSet) -> Measure:
    """Predicted positives among positives, 0..1. Interval: Wilson (1927)."""
    return _of_classes(check, window, lambda tp, _fp, fn, pairs: _share(tp, tp + fn, pairs))


def f1(check: types.Check, window: types.ProfileSet) -> Measure:
    """Harmonic mean of precision and recall, 0..1. Interval: Wilson's of the Jaccard index, carried over."""
    return _of_classes(check, window, _f1)


def _f1(tp: int, fp: int, fn: int, pairs: int) -> Measure:
    union = tp + fp + fn
    if not union:
        return Measure(pairs, explanation="nothing is positive")
    return Measure(pairs, 2 * tp / (union + tp), interval=_told(intervals.f1_wilson(tp, union, LEVEL)))


def _share(part: int, whole: int, pairs: int) -> Measure:
    if not whole:
        return Measure(pairs, explanation="nothing is positive")
    return Measure(pairs, part / whole, interval=_told(intervals.wilson(part, whole, LEVEL)))


def _of_classes(
    check: types.Check, window: types.ProfileSet, measure: Callable[[int, int, int, int], Measure]
) -> Measure:
    """measure: of true positives, false positives, false negatives and pairs."""
    performance = window.performance
    if check.cut:
        # A cut between the edges of a part of scores counts as the part's lower edge; one half is such an edge.
        cut = int(parts_of(np.array([check.cut]))[0])
        above = [one for one in performance.scores.counts if one.part >= cut]
        tp, fp = sum(one.positives for one in above), sum(one.negatives for one in above)
        fn = sum(one.positives for one in performance.scores.counts) - tp
        pairs = sum(one.rows for one in performance.scores.calibration)
        if performance.pairs and not pairs:
            return Measure(performance.pairs, explanation=_NO_SCORES)
    else:
        wanted, cells, pairs = check.positive or POSITIVE, performance.confusion, performance.pairs
        if performance.other:
            return Measure(pairs, explanation="too many different predictions; give `cut` when they are scores")
        tp = sum(one.count for one in cells if one.prediction == one.label == wanted)
        fp = sum(one.count for one in cells if one.prediction == wanted) - tp
        fn = sum(one.count for one in cells if one.label == wanted) - tp
    return measure(tp, fp, fn, pairs) if pairs else Measure(0)


def auc(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Area under the ROC curve, 0..1, ties counting half. Interval: DeLong et al. (1988) on the log odds.

    Pairs of one part of the scores count as ties; the error bound is half their share of all pairs."""
    ranked, pairs = _ranked(window.performance.scores), window.performance.pairs
    if ranked is None:
        return _unranked(window.performance)
    told = roc_auc(ranked, LEVEL)
    hits, misses = (np.diff(one, prepend=0.0) for one in ranked)
    bound = float(np.sum(hits * misses) / ranked.hits[-1] / ranked.misses[-1]) / 2
    interval = _told(told.interval) if told.HasField("interval") else None
    return Measure(pairs, told.value, interval=interval, error_bound=bound)


def pr_auc(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Average precision, 0..1. Interval: Boyd et al. (2013). Scores of one part count as tied; the error bound is what
    each part adds when its positives come first, less what it adds when they come last."""
    ranked, pairs = _ranked(window.performance.scores), window.performance.pairs
    if ranked is None:
        return _unranked(window.performance)
    told = average_precision(ranked, LEVEL)
    hits, misses = (np.diff(one, prepend=0.0) for one in ranked)
    before, wrong = ranked.hits - hits, ranked.misses - misses
    first = ranked.hits / np.maximum(ranked.hits + wrong, 1.0)
    last = (before + 1) / (before + 1 + ranked.misses)
    bound = float(np.sum(hits * np.maximum(0.0, first - last)) / ranked.hits[-1])
    interval = _told(told.interval) if told.HasField("interval") else None
    return Measure(pairs, told.value, interval=interval, error_bound=bound)


def _ranked(scores: types.Scores) -> Ranked | None:
    falling = list(reversed(scores.counts))
    hits = np.cumsum([one.positives for one in falling], dtype=np.float64)
    misses = np.cumsum([one.negatives for one in falling], dtype=np.float64)
    return Ranked(hits, misses) if falling and hits[-1] and misses[-1] else None


def _unranked(performance: types.Performance) -> Measure:
    reason = _ONE_LABEL if performance.scores.counts else _NO_SCORES
    return Measure(performance.pairs, explanation=reason) if performance.pairs else Measure(0)


def log_loss(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Mean negative log likelihood in nats; probabilities of 0 and 1 move inwards by 2^-52. Interval: of a mean."""
    scores = window.performance.scores
    return _of_scores(window.performance, scores.losses, scores.losses_squared)


def brier(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Mean squared difference of probability and outcome (Brier, 1950), 0..1. Interval: of a mean."""
    scores = window.performance.scores
    return _of_scores(window.performance, scores.squared, scores.fourth)


def _of_scores(performance: types.Performance, total: Total, squares: Total) -> Measure:
    rows = sum(one.rows for one in performance.scores.calibration)
    if not rows:
        return Measure(performance.pairs, explanation=_NO_SCORES) if performance.pairs else Measure(0)
    return mean_measure(rows, total, squares)


def calibration_error(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Expected calibration error over ten bins of equal width (Naeini et al., 2015), 0..1; biased upwards with few
    rows, hence without an interval."""
    performance = window.performance
    rows = sum(one.rows for one in performance.scores.calibration)
    if not rows:
        return Measure(performance.pairs, explanation=_NO_SCORES) if performance.pairs else Measure(0)
    gaps = (abs(float(value_of(one.scores) - one.positives)) for one in performance.scores.calibration)
    return Measure(rows, math.fsum(gaps) / rows)


def mae(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Mean absolute error, in the unit of the label. Interval: of a mean."""
    errors = window.performance.errors
    return (
        mean_measure(errors.rows, errors.absolute, errors.squared) if errors.rows else _unnumbered(window.performance)
    )


def mape(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Mean absolute error as a share of the label, from 0. Interval: of a mean."""
    errors = window.performance.errors
    if errors.zeros:
        return Measure(errors.rows, explanation=f"{errors.zeros} labels are 0, and there is no share of 0")
    return (
        mean_measure(errors.rows, errors.share, errors.share_squared)
        if errors.rows
        else _unnumbered(window.performance)
    )


def rmse(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Root of the mean squared error, in the unit of the label. Interval: of the mean, by the delta method."""
    errors = window.performance.errors
    if not errors.rows:
        return _unnumbered(window.performance)
    return root_measure(errors.rows, errors.squared, errors.fourth)


def root_measure(rows: int, total: Total, squares: Total) -> Measure:
    """The root of a mean of values from 0, with the interval of the delta method."""
    squares_mean = mean_measure(rows, total, squares)
    value = math.sqrt(squares_mean.statistic)
    if squares_mean.interval is None or not value:
        return Measure(rows, value)
    reach = (squares_mean.interval.high - squares_mean.statistic) / (2 * value)
    interval = types.StatisticInterval(
        low=max(0.0, value - reach), high=value + reach, level=LEVEL, method="normal approximation, delta method"
    )
    return Measure(rows, value, interval=interval)


def r2(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Share of the variance of labels that predictions explain, up to 1; without an interval."""
    errors = window.performance.errors
    if not errors.rows:
        return _unnumbered(window.performance)
    labels = value_of(errors.labels)
    spread = value_of(errors.labels_squared) - labels * labels / errors.rows
    if not spread:
        return Measure(errors.rows, explanation=_ONE_LABEL)
    return Measure(errors.rows, float(1 - value_of(errors.squared) / spread))


def _unnumbered(performance: types.Performance) -> Measure:
    return Measure(performance.pairs, explanation=_NO_NUMBERS) if performance.pairs else Measure(0)


def mean_measure(rows: int, total: Total, squares: Total) -> Measure:
    """A mean of values from 0, with the interval of the central limit theorem."""
    exact = value_of(total)
    mean = float(exact / rows)
    if rows < 2:
        return Measure(rows, mean)
    variance = float((value_of(squares) - exact * exact / rows) / (rows - 1))
    error = math.sqrt(max(0.0, variance) / rows)
    told = intervals.normal(mean, error, LEVEL, "normal approximation of the mean", 0.0, math.inf)
    return Measure(rows, mean, interval=_told(told))


def _told(told: ConfidenceInterval | None) -> types.StatisticInterval | None:
    if told is None:
        return None
    return types.StatisticInterval(low=told.low, high=told.high, level=told.level, method=told.method)
