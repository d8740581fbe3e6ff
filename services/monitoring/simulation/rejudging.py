"""Recorded results held against other thresholds, without the rows or profiles they were computed from. Pure."""

import math

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import series
from services.monitoring.checks import outcome_of, severity, summarize
from services.monitoring.fitting import OF_ALERTS, without
from services.monitoring.measures import Measure
from services.monitoring.methods import METHODS

_CONCLUSIVE = (types.OUTCOME_OK, types.OUTCOME_FAILED)
# What a statistic is held against; it is the same whatever these are.
_HELD_AGAINST = ("threshold", "failing_columns", "fit")
# A test of their own decides in these, or the series they follow goes on with what it decided.
_DECIDED = frozenset({types.METHOD_DRIFT, types.METHOD_DATASET_DRIFT, *series.METHODS})


def rejudged(recorded: types.CheckResult, check: types.Check) -> types.CheckResult | None:
    """The recorded result as `check` would judge it; None when that takes the profiles.

    It does where anything else about the check differs than what a statistic is held against, and where columns were
    left out of the record that could matter now.
    """
    if without(recorded.check, *OF_ALERTS) == without(check, *OF_ALERTS) or _is_fitted(recorded.check, check):
        return _as_asked(recorded, check)
    if check.HasField("fit") or check.method in _DECIDED:
        return None
    ignored = (*_HELD_AGAINST, *OF_ALERTS)
    if without(recorded.check, *ignored) != without(check, *ignored):
        return None
    method = METHODS[check.method]
    if not method.by_column:
        return _of_window(recorded, check)
    return None if recorded.omitted_columns else _of_columns(recorded, check)


def _is_fitted(recorded: types.Check, check: types.Check) -> bool:
    """Both have their threshold fitted in the same way, each to the baseline of its time."""
    ignored = ("threshold", *OF_ALERTS)
    if not (recorded.HasField("fit") and check.HasField("fit")):
        return False
    mine, other = without(recorded, *ignored), without(check, *ignored)
    mine.fit.chunks = other.fit.chunks = 0
    return mine == other


def _as_asked(recorded: types.CheckResult, check: types.Check) -> types.CheckResult:
    """The same, with what alerts look at as it is now."""
    result = types.CheckResult()
    result.CopyFrom(recorded)
    for field in OF_ALERTS:
        result.check.ClearField(field)
    result.check.MergeFrom(types.Check(**{field: getattr(check, field) for field in OF_ALERTS}))
    return result


def _of_window(recorded: types.CheckResult, check: types.Check) -> types.CheckResult:
    result = types.CheckResult()
    result.CopyFrom(recorded)
    result.check.CopyFrom(check)
    if recorded.outcome in _CONCLUSIVE:
        result.outcome = outcome_of(check, Measure(recorded.rows, recorded.statistic))
    return result


def _of_columns(recorded: types.CheckResult, check: types.Check) -> types.CheckResult:
    columns = []
    for one in recorded.columns:
        column = types.ColumnResult()
        column.CopyFrom(one)
        if one.outcome in _CONCLUSIVE:
            p_value = one.p_value if one.HasField("p_value") else None
            column.outcome = outcome_of(check, Measure(one.rows, one.statistic, p_value))
        columns.append(column)
    if not columns:
        return _as_asked(recorded, check)
    columns.sort(key=severity)
    result = types.CheckResult(check=check, method=recorded.method, columns=columns, explanation=recorded.explanation)
    summarize(result, [(one, Measure(one.rows, math.nan)) for one in columns], recorded.rows)
    return result
