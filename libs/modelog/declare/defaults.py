"""What the services fill in where a document leaves it open, so that what is there is not taken for a difference.

A test holds each of these against the service that does it.
"""

from typing import Any

_MINIMUM_ROWS = 100
_MINIMUM_GROUP_ROWS = 30
_BINS = 10
_SAMPLE_DAYS = 7
# Of the methods of checks: judged without rows as well, cut into parts, looking at column by column, or at groups.
_ALSO_WHEN_EMPTY = ("VOLUME", "FRESHNESS")
_OVER_PARTS = (
    *("PSI", "JENSEN_SHANNON", "HELLINGER", "KULLBACK_LEIBLER", "CHI_SQUARE", "TOTAL_VARIATION", "L_INFINITY"),
    *("DRIFT", "DATASET_DRIFT"),
)
_BY_COLUMN = (
    *(one for one in _OVER_PARTS if one != "DATASET_DRIFT"),
    *("KOLMOGOROV_SMIRNOV", "WASSERSTEIN", "MISSING_SHARE", "INVALID_SHARE", "OUT_OF_RANGE_SHARE", "UNSEEN_SHARE"),
    *("CONSTANT", "SCHEMA", "ESTIMATED_ACCURACY"),
    *("ESTIMATED_PRECISION", "ESTIMATED_RECALL", "ESTIMATED_F1", "ESTIMATED_ROC_AUC"),
)
_OVER_GROUPS = (
    *("DEMOGRAPHIC_PARITY_DIFFERENCE", "DEMOGRAPHIC_PARITY_RATIO"),
    *("EQUAL_OPPORTUNITY_DIFFERENCE", "EQUALIZED_ODDS_DIFFERENCE"),
)


def complete(word: str, wanted: Any, present: Any) -> Any:
    """The same with defaults written out; `wanted` is a copy that is changed in place."""
    match word:
        case "Project":
            for definition in wanted.role_definitions.values():
                definition.permissions[:] = sorted(definition.permissions)
        case "Environment":
            _environment(wanted, present)
        case "Endpoint":
            wanted.replicas = wanted.replicas or 1
        case "Monitor":
            for check in wanted.checks:
                _check(check)
            for rule in wanted.rules:
                rule.for_windows = rule.for_windows or 1
                rule.clear_windows = rule.clear_windows or 1
            if wanted.window.sample_rows:
                wanted.window.sample_days = wanted.window.sample_days or _SAMPLE_DAYS
    return wanted


def _environment(wanted: Any, present: Any) -> None:
    from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION

    wanted.driver = wanted.driver or present.driver or "process"
    wanted.admitted_phases[:] = sorted(wanted.admitted_phases or present.admitted_phases or [PHASE_PRODUCTION])
    # What limits nothing is as if it were not there.
    if not wanted.quota.ByteSize():
        wanted.ClearField("quota")
    if not wanted.promotion.from_environment:
        wanted.ClearField("promotion")
    if not wanted.rollout_approvals.needed:
        wanted.ClearField("rollout_approvals")


def _check(check: Any) -> None:
    from modelog.monitoring.v1 import types_pb2 as types

    name = types.Method.Name(check.method).removeprefix("METHOD_")
    check.minimum_rows = check.minimum_rows or (1 if name in _ALSO_WHEN_EMPTY else _MINIMUM_ROWS)
    if types.Method.Name(check.watched or check.method).removeprefix("METHOD_") in _OVER_GROUPS:
        check.minimum_group_rows = check.minimum_group_rows or _MINIMUM_GROUP_ROWS
    if types.Method.Name(check.watched or check.method) == "METHOD_LATENCY_QUANTILE":
        check.quantile = check.quantile or 0.99
    if name in _OVER_PARTS:
        check.bins = check.bins or _BINS
    if name in _BY_COLUMN:
        check.failing_columns = check.failing_columns or 1
    if check.HasField("fit"):
        _fit(check.fit)
    check.raise_after_windows = check.raise_after_windows or 1
    check.resolve_after_windows = check.resolve_after_windows or 1
    check.severity = check.severity or types.SEVERITY_WARNING


def _fit(fit: Any) -> None:
    from modelog.monitoring.v1.fits_pb2 import FITTING_QUANTILE

    if fit.fitting == FITTING_QUANTILE:
        fit.quantile = fit.quantile or 0.99
    else:
        fit.deviations = fit.deviations or 3.0
