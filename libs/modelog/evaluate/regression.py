"""Metrics of predicted numbers."""

import math

import numpy as np

from modelog.evaluate.intervals import metric, of_influence, of_mean
from modelog.evaluate.observed import Floats
from modelog.registry.v1.types_pb2 import ConfidenceInterval, Metric


def regression(labels: Floats, predictions: Floats, level: float, unit: str = "") -> dict[str, Metric]:
    """mae and rmse in the unit of the labels; mape as a share, left out when a label is 0; r2, left out when all labels
    are equal. Intervals: of means, and by influence functions for rmse and r2."""
    errors = labels - predictions
    squares = np.square(errors)
    mean_square = float(np.mean(squares))
    root = math.sqrt(mean_square)
    sizes = np.abs(errors)
    found = {
        "mae": metric(float(np.mean(sizes)), of_mean(sizes, level, low=0.0), higher=False, unit=unit),
        "rmse": metric(root, _of_root(squares, root, level), higher=False, unit=unit),
    }
    if np.all(labels != 0):
        parts = sizes / np.abs(labels)
        found["mape"] = metric(float(np.mean(parts)), of_mean(parts, level, low=0.0), higher=False)
    away = np.square(labels - np.mean(labels))
    spread = float(np.mean(away))
    if spread > 0:
        value = 1 - mean_square / spread
        influence = -(squares - mean_square) / spread + mean_square * (away - spread) / spread**2
        found["r2"] = metric(value, of_influence(value, influence, level, high=1.0))
    return found


def _of_root(squares: Floats, root: float, level: float) -> ConfidenceInterval | None:
    """Of the root of a mean: the influence of the mean, divided by twice the root."""
    return of_influence(root, (squares - root**2) / (2 * root), level, low=0.0) if root > 0 else None
