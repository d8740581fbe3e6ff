"""Metrics of scores for two labels: how well they rank, and how well they are probabilities."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from modelog.evaluate.intervals import logit, metric, of_mean
from modelog.evaluate.observed import Bools, Floats, Texts
from modelog.registry.v1.types_pb2 import Metric

BINS = 10
# Probabilities that went through text sum to 1 about so exactly.
_SUM = 1e-3


def are_probabilities(scores: Floats) -> bool:
    return bool(scores.size) and float(scores.min()) >= 0 and float(scores.max()) <= 1


def of_many_scores(labels: Texts, scores: Floats, names: Sequence[str], level: float) -> dict[str, Metric]:
    """scores: n rows, a column for each name. roc_auc_macro: mean area of a label against the rest, where defined.

    Of rows that sum to 1 also log_loss, and brier as the sum over labels (Brier, 1950), 0..2."""
    found = {}
    true = labels[:, None] == np.array(names)[None, :]
    orders = [ranked(true[:, place], scores[:, place]) for place in range(len(names))]
    areas = [roc_auc(order, level).value for order in orders if order is not None]
    if areas:
        found["roc_auc_macro"] = metric(float(np.mean(areas)))
    if are_probabilities(scores) and bool(np.allclose(scores.sum(axis=1), 1, atol=_SUM)):
        found["log_loss"] = _log_loss(np.sum(scores * true, axis=1), level)
        errors = np.square(scores - true).sum(axis=1)
        found["brier"] = metric(float(np.mean(errors)), of_mean(errors, level, low=0.0, high=2.0), higher=False)
    return found


class Ranked(NamedTuple):
    """Positives and negatives at or above each distinct score, from the highest score down."""

    hits: Floats
    misses: Floats


def ranked(positive: Bools, scores: Floats) -> Ranked | None:
    """One sort for all that depends on ranks; None without rows of both labels, where nothing ranks."""
    if not positive.any() or positive.all():
        return None
    order = np.argsort(-scores, kind="stable")
    falling, hits = scores[order], positive[order]
    last = np.flatnonzero(np.append(np.diff(falling) != 0, True))
    above = np.cumsum(hits)[last].astype(np.float64)
    return Ranked(above, last + 1 - above)


def of_scores(positive: Bools, scores: Floats, level: float, *, probabilities: bool) -> dict[str, Metric]:
    """positive: n rows, whether each has the positive label. What depends on ranks is left out where nothing ranks."""
    found = {}
    order = ranked(positive, scores)
    if order is not None:
        found["roc_auc"] = roc_auc(order, level)
        found["pr_auc"] = average_precision(order, level)
    if probabilities:
        found["log_loss"] = log_loss(positive, scores, level)
        found["brier"] = brier(positive, scores, level)
        found["calibration_error"] = metric(calibration_error(positive, scores), higher=False)
    return found


def roc_auc(order: Ranked, level: float) -> Metric:
    """The chance that a positive row scores above a negative one, ties counting half.

    Interval: variance of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988) from the placement of each distinct
    score among the rows of the other label, on the log odds (Pepe, 2003, section 5.2). None at 0 and 1."""
    positives, negatives = (np.diff(one, prepend=0.0) for one in order)
    many, few = order.hits[-1], order.misses[-1]
    of_positives = (few - order.misses + negatives / 2) / few
    of_negatives = (order.hits - positives / 2) / many
    value = float(np.sum(positives * of_positives) / many)
    variance = _variance(of_positives, positives, value) + _variance(of_negatives, negatives, value)
    return metric(value, logit(value, math.sqrt(variance), level, "DeLong, log odds"))


def _variance(placed: Floats, rows: Floats, mean: float) -> float:
    """Of the mean placement of rows, of which there are so many at each place; 0 for a single row."""
    total = float(np.sum(rows))
    return float(np.sum(rows * np.square(placed - mean)) / (total - 1) / total) if total > 1 else 0.0


def average_precision(order: Ranked, level: float) -> Metric:
    """The area under precision over recall as a sum of steps.

    Interval: on the log odds with the number of positives (Boyd, Eng and Page, ECML PKDD 2013). None at 0 and 1."""
    recall, precision = order.hits / order.hits[-1], order.hits / (order.hits + order.misses)
    value = min(1.0, float(np.sum(np.diff(recall, prepend=0.0) * precision)))
    error = math.sqrt(value * (1 - value) / float(order.hits[-1]))
    return metric(value, logit(value, error, level, "Boyd et al., log odds"))


def log_loss(positive: Bools, scores: Floats, level: float) -> Metric:
    """Mean negative log likelihood in nats. Probabilities of 0 and 1 move inwards by the smallest step of a number,
    so that one error made with certainty does not make it infinite."""
    return _log_loss(np.where(positive, scores, 1 - scores), level)


def _log_loss(likely: Floats, level: float) -> Metric:
    """likely: the probability that was given to what is true."""
    step = float(np.finfo(np.float64).eps)
    losses = -np.log(np.clip(likely, step, 1 - step))
    return metric(float(np.mean(losses)), of_mean(losses, level, low=0.0), higher=False)


def brier(positive: Bools, scores: Floats, level: float) -> Metric:
    """Mean squared difference of probability and outcome (Brier, Monthly Weather Review 78, 1950)."""
    errors = np.square(scores - positive)
    return metric(float(np.mean(errors)), of_mean(errors, level, low=0.0, high=1.0), higher=False)


def bins(positive: Bools, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean score, share of positives and rows of each bin that is not empty; ten bins of equal width."""
    place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    rows = np.bincount(place, minlength=BINS).astype(np.float64)
    used = rows > 0
    said = np.bincount(place, weights=scores, minlength=BINS)[used] / rows[used]
    true = np.bincount(place, weights=positive, minlength=BINS)[used] / rows[used]
    return said, np.minimum(true, 1.0), rows[used]


def calibration_error(positive: Bools, scores: Floats) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015): mean over rows of how far the mean score of their bin is
    from its share of positives. It is biased upwards with few rows, so no interval is told."""
    said, true, rows = bins(positive, scores)
    return float(np.sum(rows * np.abs(said - true)) / np.sum(rows))
