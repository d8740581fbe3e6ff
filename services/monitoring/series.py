"""Methods over the series of what another method said about the windows so far, for one version.

A result holds the series it was computed from, so that it can be computed again without any other window.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.detectors import Adwin, Ddm, PageHinkley
from services.monitoring.measures import Measure

MOST_VALUES = 64
_LEAST_VALUES = 8
_ADWIN_VALUES = 32
_NO_RATE = "the watched statistic is no rate"
_NORMAL_MAD = 0.6744897501960817  # Median absolute deviation of a normal distribution of deviation 1.
_NORMAL_MEAN = 0.7978845608028654  # Its mean absolute deviation.

Series = Sequence[float]


def page_hinkley(check: types.Check, values: Series) -> Measure:
    """The sum of Page and Hinkley, in the unit of the watched statistic: see `detectors.PageHinkley`. A window may
    stray from the mean by `allowance`."""
    detector = PageHinkley(math.inf, check.allowance, 1.0, 1)
    for value in values:
        detector.update(value)
    return Measure(len(values), detector.statistic)


def adwin(check: types.Check, values: Series) -> Measure:
    """1 when ADWIN tells two parts of the series of a rate apart with its default confidence, 99.8 percent; else 0.

    Each window counts as 32 values, or `minimum_rows` of them where these are fewer, for at least so many rows are
    behind it.
    """
    if any(not 0 <= value <= 1 for value in values):
        return Measure(len(values), explanation=_NO_RATE)
    weight = min(_ADWIN_VALUES, max(1, check.minimum_rows))
    detector = Adwin(every=weight)
    changed = False
    for value in values:
        # Once a weight's worth of values it looks, which is with the last one of a window.
        changed = [detector.update(value) for _ in range(weight)][-1]
    return Measure(len(values), float(changed))


def ddm(check: types.Check, values: Series) -> Measure:
    """By how many deviations an error rate is above its least: see `detectors.Ddm`. Each window counts as
    `minimum_rows` rows, for at least so many are behind it."""
    if any(not 0 <= value <= 1 for value in values):
        return Measure(len(values), explanation=_NO_RATE)
    rows = max(1, check.minimum_rows)
    detector = Ddm(math.inf, 0)
    for value in values:
        detector.update(value * rows, rows)
    return Measure(len(values), detector.statistic)


def anomaly(check: types.Check, values: Series) -> Measure:
    """Robust z-score of the newest value among those before: distance from their median in median absolute deviations.

    Source: Iglewicz and Hoaglin (1993), who call 3.5 far; with the mean absolute deviation where half of the values are
    equal. With `season_windows` only values whole seasons before are compared with.
    """
    *before, newest = values
    season = check.season_windows or 1
    before = before[len(before) % season if season > 1 else 0 :]
    compared = before[::-1][season - 1 :: season]
    if len(compared) < _LEAST_VALUES:
        reason = f"{len(compared)} windows to compare with, fewer than {_LEAST_VALUES}"
        return Measure(len(values), explanation=reason)
    middle = median(compared)
    away = [abs(value - middle) for value in compared]
    scale = median(away) / _NORMAL_MAD or math.fsum(away) / len(away) / _NORMAL_MEAN
    if not scale:
        return Measure(len(values), 0.0 if newest == middle else 1e9)
    return Measure(len(values), abs(newest - middle) / scale)


METHODS: Mapping[types.Method, Callable[[types.Check, Series], Measure]] = {
    types.METHOD_PAGE_HINKLEY: page_hinkley,
    types.METHOD_ADWIN: adwin,
    types.METHOD_DDM: ddm,
    types.METHOD_ANOMALY: anomaly,
}
# Begin anew after a change; an anomaly is one window, and the series goes on.
BEGIN_ANEW = (types.METHOD_PAGE_HINKLEY, types.METHOD_ADWIN, types.METHOD_DDM)
