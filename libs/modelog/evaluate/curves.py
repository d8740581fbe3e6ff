"""Curves as a few points that lie on them."""

import numpy as np

from modelog.evaluate.observed import Bools, Floats
from modelog.evaluate.scores import bins, ranked
from modelog.registry.v1.types_pb2 import (
    CURVE_KIND_CALIBRATION,
    CURVE_KIND_PRECISION_RECALL,
    CURVE_KIND_ROC,
    Curve,
    CurveKind,
)

MOST_POINTS = 101


def curves(positive: Bools, scores: Floats, *, probabilities: bool) -> list[Curve]:
    """ROC and precision over recall where both labels occur, calibration where scores are probabilities."""
    found = []
    order = ranked(positive, scores)
    if order is not None:
        hits, misses = order
        true, false = np.append(0.0, hits / hits[-1]), np.append(0.0, misses / misses[-1])
        found.append(_curve(CURVE_KIND_ROC, *_thinned(false, true)))
        precision = hits / (hits + misses)
        found.append(_curve(CURVE_KIND_PRECISION_RECALL, *_thinned(hits / hits[-1], precision)))
    if probabilities:
        said, true, rows = bins(positive, scores)
        curve = _curve(CURVE_KIND_CALIBRATION, said, true)
        curve.rows.extend(int(one) for one in rows)
        found.append(curve)
    return found


def _curve(kind: CurveKind, x: Floats, y: Floats) -> Curve:
    return Curve(kind=kind, x=[float(one) for one in x], y=[float(one) for one in y])


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most MOST_POINTS of the points, the first and the last among them, at equal steps along the curve."""
    if x.size <= MOST_POINTS:
        return x, y
    way = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    chosen = np.searchsorted(way, np.linspace(0.0, way[-1], MOST_POINTS))
    chosen[0], chosen[-1] = 0, x.size - 1
    places = np.unique(np.minimum(chosen, x.size - 1))
    return x[places], y[places]
