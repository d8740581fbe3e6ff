"""What a check that compares columns saw in a window: which moved, how far, and how their parts changed. Pure."""

from collections.abc import Mapping

from kernel.errors import NotAllowedNow, NotFound
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import explanations_pb2 as told
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import drift
from services.monitoring.checks import ALL_COLUMN_BYTES, evaluate
from services.monitoring.exact import mean_of
from services.monitoring.methods import compares

# Methods that hold no statistic of a column against the threshold: these rank by the statistic alone.
_OF_THEIR_OWN = (types.METHOD_DRIFT, types.METHOD_DATASET_DRIFT)


def check_meant(fact: facts.WindowEvaluated, wanted: str) -> types.CheckResult:
    """The result of the check with this id; without one, of the first that failed, or of the first, that compares."""
    if wanted:
        found = next((one for one in fact.results if one.check.id == wanted), None)
        if found is None:
            raise NotFound("CHECK_NOT_FOUND", f"no check {wanted} judged window {fact.window.number}")
        if not compares(found.check.method):
            raise NotAllowedNow("NOTHING_COMPARED", f"the check {wanted} compares no columns; ask for one of drift")
        return found
    meant = [one for one in fact.results if compares(one.check.method)]
    if not meant:
        raise NotAllowedNow("NOTHING_COMPARED", f"no check of window {fact.window.number} compares columns")
    return next((one for one in meant if one.outcome == types.OUTCOME_FAILED), meant[0])


def explain(
    check: types.Check, window: types.ProfileSet, baseline: types.ProfileSet, importances: Mapping[str, float]
) -> list[told.ExplainedColumn]:
    """Every column the check looks at, what explains most first.

    A column explains its weight times its statistic in units of the threshold, as a share of all columns'. Columns
    without a weight have none where others have one; where none has, all weigh the same.
    """
    judged = evaluate(check, window, baseline, ALL_COLUMN_BYTES).columns
    before = {(one.role, one.name): one for one in baseline.columns}
    after = {(one.role, one.name): one for one in window.columns}
    weights = [importances.get(one.column, 0.0) for one in judged]
    if not sum(weights):
        weights = [1.0] * len(judged)
    unit = 1.0 if check.method in _OF_THEIR_OWN or not check.threshold else check.threshold
    moved = [weight * one.statistic / unit for weight, one in zip(weights, judged, strict=True)]
    whole, heaviest = sum(moved), sum(weights)
    columns = [
        told.ExplainedColumn(result=one, importance=weight / heaviest, contribution=part / whole if whole else 0.0)
        for one, weight, part in zip(judged, weights, moved, strict=True)
    ]
    for one in columns:
        key = (one.result.role, one.result.column)
        if key in before and key in after:
            _compare(one, before[key], after[key], check.bins or drift.BINS)
    return sorted(columns, key=lambda one: (-one.contribution, one.result.role, one.result.column))


def _compare(column: told.ExplainedColumn, before: types.Profile, after: types.Profile, bins: int) -> None:
    column.parts.extend(drift.parts_of(after, before, bins))
    column.missing_before, column.missing_after = _missing(before), _missing(after)
    if after.WhichOneof("values") == "numbers" and before.numbers.count and after.numbers.count:
        column.mean_before, column.mean_after = mean_of(before.numbers), mean_of(after.numbers)


def _missing(profile: types.Profile) -> float:
    return (profile.missing + profile.invalid) / profile.rows if profile.rows else 0.0
