"""Thresholds from the reference's own chunks, and how often a check will fail by chance. Pure.

Each chunk is judged against all the others, so that it is as foreign to what it is compared with as a later window is.
A check by column fails with its `failing_columns`th worst column: that column's statistic is what is fitted, so the
share of false alarms is that of the check and not of one of many columns. Thresholds by standard deviations and by
quantiles of chunks are those of NannyML (`StandardDeviationThreshold`, `QuantileThreshold`); the share expected of new
windows places the threshold among the chunks' statistics, as an order statistic (Wilks, 1941).
"""

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from kernel.errors import NotAllowedNow
from modelog.evaluate.intervals import wilson
from modelog.monitoring.v1 import fits_pb2 as fits
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import series
from services.monitoring.checks import ALL_COLUMN_BYTES, evaluate
from services.monitoring.exact import Floats
from services.monitoring.methods import METHODS
from services.monitoring.profile import merge

LEAST_CHUNKS = 10
MOST_CHUNKS = 100
# What rows alone do not tell: how many come in a window's time, when, how fast, and with which failures.
OF_WINDOWS_ONLY = (
    types.METHOD_VOLUME,
    types.METHOD_FRESHNESS,
    types.METHOD_ERROR_RATE,
    types.METHOD_LATENCY_QUANTILE,
    types.METHOD_SATURATION,
)
# What only alerts look at.
OF_ALERTS = (
    *("raise_after_windows", "resolve_after_windows", "severity", "actions"),
    *("retrain_within_seconds", "retire_after_seconds"),
)
_LEVEL = 0.95
_MONTH_SECONDS = 30 * 86_400


class Chunk(NamedTuple):
    """A part of the reference, counted between the baseline's edges. bounds: absent when it is no window."""

    profiles: types.ProfileSet
    bounds: types.Window | None = None


class Judged(NamedTuple):
    """What a check says of one chunk: the statistic that decides, and whether it fails under the check's threshold."""

    statistic: float
    failed: bool


def fit_all(
    checks: Sequence[types.Check], chunks: Sequence[Chunk], window: types.WindowSpec
) -> list[fits.FittedThreshold]:
    """What the chunks give for each check that can be judged by them, in the order of the checks.

    NotAllowedNow when a check is to be fitted and fewer than ten chunks can be judged.
    """
    others = list(_others(chunks)) if len(chunks) >= LEAST_CHUNKS else []
    found = []
    for check in checks:
        one = _fit(check, chunks, others, window)
        if one is not None:
            found.append(one)
        elif check.HasField("fit"):
            raise NotAllowedNow(
                "TOO_FEW_CHUNKS",
                f"the threshold of check {check.id} needs {LEAST_CHUNKS} chunks that can be judged: give more rows,"
                " smaller chunks (chunk_rows), labels if the check needs them, or a period of windows",
            )
    return found


def fitted(checks: Iterable[types.Check], thresholds: Iterable[fits.FittedThreshold]) -> list[types.Check]:
    """The checks with the thresholds that were fitted for them; those without have no chunks in their fit."""
    known = {one.check: one for one in thresholds}
    return [_with(check, known.get(check.id)) if check.HasField("fit") else check for check in checks]


def still_fitted(
    thresholds: Iterable[fits.FittedThreshold], before: Iterable[types.Check], after: Iterable[types.Check]
) -> list[fits.FittedThreshold]:
    """Those of checks that have changed in nothing but what alerts look at."""
    was = {check.id: without(check, *OF_ALERTS) for check in before}
    same = {check.id for check in after if was.get(check.id) == without(check, *OF_ALERTS)}
    return [fits.FittedThreshold.FromString(one.SerializeToString()) for one in thresholds if one.check in same]


def without(check: types.Check, *fields: str) -> types.Check:
    """A copy in which these fields are not set."""
    copy = types.Check()
    copy.CopyFrom(check)
    for field in fields:
        copy.ClearField(field)
    return copy


def _with(check: types.Check, found: fits.FittedThreshold | None) -> types.Check:
    complete = without(check)
    if found is not None and found.fitting == check.fit.fitting:
        complete.threshold, complete.fit.chunks = found.threshold, found.chunks
    return complete


def _others(chunks: Sequence[Chunk]) -> Iterable[types.ProfileSet]:
    """For each chunk the rows of all others, as a baseline."""
    profiles = [one.profiles for one in chunks]
    before = [None, *accumulate(profiles, merge)]
    after = [None, *accumulate(reversed(profiles), merge)][::-1]
    for at in range(len(profiles)):
        both = [one for one in (before[at], after[at + 1]) if one is not None]
        yield settled(reduce(merge, both))


def settled(profiles: types.ProfileSet) -> types.ProfileSet:
    """Profiles of windows as those of a baseline, whose rare categories are no news."""
    made = types.ProfileSet.FromString(profiles.SerializeToString())
    for one in made.columns:
        if one.WhichOneof("values") == "categories":
            one.categories.other, one.categories.unseen = one.categories.other + one.categories.unseen, 0
    return made


def _fit(
    check: types.Check, chunks: Sequence[Chunk], others: Sequence[types.ProfileSet], window: types.WindowSpec
) -> fits.FittedThreshold | None:
    if not others or check.method in series.METHODS:
        return None
    if check.method in OF_WINDOWS_ONLY and any(one.bounds is None for one in chunks):
        return None
    asked = without(check, "fit")
    judged = [_judge(asked, *pair) for pair in zip(chunks, others, strict=True)]
    statistics: Floats = np.array([one.statistic for one in judged if one is not None], dtype=np.float64)
    if len(statistics) < LEAST_CHUNKS:
        return None
    fitting = check.fit.fitting if check.HasField("fit") else fits.FITTING_CONSTANT
    if fitting != fits.FITTING_CONSTANT:
        asked.threshold = threshold_of(check, statistics)
        judged = [_judge(asked, *pair) for pair in zip(chunks, others, strict=True)]
    failed = sum(one.failed for one in judged if one is not None)
    told = fits.FittedThreshold(
        check=check.id,
        fitting=fitting,
        threshold=asked.threshold,
        chunks=len(statistics),
        mean=float(statistics.mean()),
        deviation=float(statistics.std()),
        least=float(statistics.min()),
        greatest=float(statistics.max()),
        failed_chunks=failed,
    )
    _expect(told, check, window)
    return told


def _judge(check: types.Check, chunk: Chunk, others: types.ProfileSet) -> Judged | None:
    """None when it says nothing of the chunk."""
    result = evaluate(check, chunk.profiles, others, ALL_COLUMN_BYTES, chunk.bounds)
    if result.outcome not in (types.OUTCOME_OK, types.OUTCOME_FAILED):
        return None
    method = METHODS[check.method]
    if not method.by_column or check.method == types.METHOD_DATASET_DRIFT:
        return Judged(result.statistic, result.outcome == types.OUTCOME_FAILED)
    told = (types.OUTCOME_OK, types.OUTCOME_FAILED)
    worst = sorted((one.statistic for one in result.columns if one.outcome in told), reverse=not method.low_is_bad)
    if len(worst) < check.failing_columns:
        return None
    return Judged(worst[check.failing_columns - 1], result.outcome == types.OUTCOME_FAILED)


def threshold_of(check: types.Check, values: Floats) -> float:
    """The threshold that the check's fit makes of the chunks' statistics: not below 0, and no share above 1.

    STANDARD_DEVIATIONS: mean plus (where low is bad, minus) so many deviations, those of the chunks as a whole (divided
    by their number). QUANTILE: between the nearest chunks, linearly (Hyndman and Fan, 1996, definition 7).
    """
    low_is_bad = METHODS[check.method].low_is_bad
    if check.fit.fitting == fits.FITTING_QUANTILE:
        found = float(np.quantile(values, 1 - check.fit.quantile if low_is_bad else check.fit.quantile))
    else:
        reach = check.fit.deviations * float(values.std())
        found = float(values.mean()) + (-reach if low_is_bad else reach)
    return min(max(found, 0.0), 1.0 if METHODS[check.method].share else math.inf)


def _expect(told: fits.FittedThreshold, check: types.Check, window: types.WindowSpec) -> None:
    """How often windows in which nothing has changed will fail, and how often an alert will come of it: the share of
    windows that end a run of `raise_after_windows` failing ones after one that passed."""
    share = (told.failed_chunks + 0.5) / (told.chunks + 1)
    interval = wilson(told.failed_chunks, told.chunks, _LEVEL)
    told.false_alarm_share = share
    told.false_alarm_share_low, told.false_alarm_share_high = interval.low, interval.high
    told.false_alerts_in_1000_windows = 1000 * (1 - share) * share ** max(1, check.raise_after_windows)
    step = window.step_seconds or window.size_seconds
    told.windows_in_30_days = _MONTH_SECONDS / step if step else 0.0
