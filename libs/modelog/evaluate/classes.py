"""Metrics of classes from their confusion matrix. What is undefined, as a precision of nothing found, is left out."""

import numpy as np
import numpy.typing as npt

from modelog.evaluate.intervals import f1_wilson, metric, normal, share
from modelog.evaluate.observed import Bools, Floats, Texts
from modelog.registry.v1.types_pb2 import ConfusionMatrix, Metric

Counts = npt.NDArray[np.int64]
Metrics = dict[str, Metric]


def confusion(labels: Texts, predictions: Texts, classes: list[str]) -> Counts:
    """Rows by true label (first axis) and predicted label, in the order of classes."""
    order = np.argsort(np.array(classes))
    places = np.array(classes)[order]
    true, said = (order[np.searchsorted(places, column)] for column in (labels, predictions))
    size = len(classes)
    return np.bincount(true * size + said, minlength=size * size).reshape(size, size).astype(np.int64)


def matrix_of(counts: Counts, classes: list[str]) -> ConfusionMatrix:
    return ConfusionMatrix(labels=classes, counts=[int(one) for one in counts.ravel()])


def four(labels: Bools, predictions: Bools) -> tuple[int, int, int, int]:
    """True positives, false positives, true negatives, false negatives."""
    told = np.bincount(labels.astype(np.int64) * 2 + predictions, minlength=4)
    return int(told[3]), int(told[1]), int(told[0]), int(told[2])


def binary(labels: Bools, predictions: Bools, level: float) -> Metrics:
    """Accuracy, precision, recall and F1 of the positive label, with Wilson's intervals."""
    tp, fp, tn, fn = four(labels, predictions)
    found = {"accuracy": share(tp + tn, tp + fp + tn + fn, level)}
    if tp + fp:
        found["precision"] = share(tp, tp + fp, level)
    if tp + fn:
        found["recall"] = share(tp, tp + fn, level)
    if tn + fp:
        found["specificity"] = share(tn, tn + fp, level)
    if tp + fp + fn:
        found["f1"] = metric(2 * tp / (2 * tp + fp + fn), f1_wilson(tp, tp + fp + fn, level))
    return found


def multiclass(counts: Counts, level: float) -> Metrics:
    """Accuracy, and macro averages over the classes for which precision, recall or F1 is defined.

    Intervals of the averages: the delta method on the cells of the matrix (Takahashi et al., Applied Intelligence 52,
    2022, for F1; precision and recall by the same way)."""
    total, right = int(counts.sum()), int(np.trace(counts))
    found = {"accuracy": share(right, total, level)}
    cells = counts / total
    hits, true, said = np.diag(cells), cells.sum(axis=1), cells.sum(axis=0)
    for name, below in (("precision_macro", (0.0, 1.0)), ("recall_macro", (1.0, 0.0)), ("f1_macro", (0.5, 0.5))):
        weight = below[0] * true + below[1] * said
        known = weight > 0
        if not known.any():
            continue
        value, slopes = _average(hits, weight, known, below)
        mean = float(np.sum(cells * slopes))
        error = np.sqrt(max(0.0, float(np.sum(cells * slopes**2)) - mean**2) / total)
        found[name] = metric(value, normal(value, float(error), level, "delta method", 0.0, 1.0))
    return found


def _average(hits: Floats, weight: Floats, known: Bools, below: tuple[float, float]) -> tuple[float, Floats]:
    """Mean over known classes of hits / (a * true + b * said), a and b as in `below`, and its slope in each cell."""
    size, number = len(hits), int(known.sum())
    safe = np.where(known, weight, 1.0)
    value = float(np.sum(np.where(known, hits / safe, 0.0)) / number)
    falling = np.where(known, hits / safe**2, 0.0)
    slopes = -(below[0] * falling[:, None] + below[1] * falling[None, :])
    slopes[np.arange(size), np.arange(size)] += np.where(known, 1 / safe, 0.0)
    return value, slopes / number
