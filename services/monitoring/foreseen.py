"""MAE and RMSE that a model of the baseline's errors leads to expect: see `losses`."""

import math

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.labelled import mean_measure, root_measure
from services.monitoring.measures import Measure

_NO_MODEL = "no errors were expected of these rows: capture a baseline with labels that are numbers"


def mae(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Mean of the expected absolute errors, in the unit of the label. Interval: of that mean; it tells how far another
    sample of rows would be, not how wrong the model of the errors is."""
    expected = window.expected_errors
    if not expected.rows:
        return Measure(window.rows, explanation=_NO_MODEL) if window.rows else Measure(0)
    return mean_measure(expected.rows, expected.absolute, expected.absolute_squared)


def rmse(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Root of the mean of the expected squared errors, in the unit of the label. Interval: as for `mae`, by the delta
    method."""
    expected = window.expected_errors
    if not expected.rows:
        return Measure(window.rows, explanation=_NO_MODEL) if window.rows else Measure(0)
    told = root_measure(expected.rows, expected.squared, expected.squared_squared)
    return told if math.isfinite(told.statistic) else Measure(expected.rows, explanation="errors beyond all numbers")
