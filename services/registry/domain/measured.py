"""Whether an evaluation is one at all: numbers that contradict each other are refused where they are recorded.

Facts of former times are folded as they are; this is asked only of what is new.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from kernel.errors import invalid_field
from modelog.registry.v1.types_pb2 import (
    CURVE_KIND_CALIBRATION,
    CURVE_KIND_ROC,
    ConfusionMatrix,
    Curve,
    CurveKind,
    Evaluation,
    Fairness,
    GroupCounts,
    Metric,
    Slice,
)

# Doubles that went through text may differ in their last digit.
_SAME = 1e-9


def check_evaluation(evaluation: Evaluation, field: str = "evaluation") -> None:
    """Invalid, naming the first field that contradicts another."""
    _check_metrics(evaluation.metrics, f"{field}.metrics")
    if evaluation.HasField("confusion"):
        _check_confusion(evaluation.confusion, evaluation.rows, f"{field}.confusion")
    _check_once([CurveKind.Name(one.kind) for one in evaluation.curves], f"{field}.curves", "CURVE_TWICE")
    for index, curve in enumerate(evaluation.curves):
        _check_curve(curve, evaluation.rows, f"{field}.curves[{index}]")
    _check_once([f"{one.column}={one.value}" for one in evaluation.slices], f"{field}.slices", "SLICE_TWICE")
    for index, part in enumerate(evaluation.slices):
        _check_slice(part, evaluation.rows, f"{field}.slices[{index}]")
    _check_once([one.attribute for one in evaluation.fairness], f"{field}.fairness", "ATTRIBUTE_TWICE")
    for index, one in enumerate(evaluation.fairness):
        _check_fairness(one, evaluation.rows, f"{field}.fairness[{index}]")


def _check_metrics(metrics: Mapping[str, Metric], field: str) -> None:
    for name, metric in sorted(metrics.items()):
        if not metric.HasField("interval"):
            continue
        interval, path = metric.interval, f'{field}["{name}"].interval'
        slack = _SAME * max(1.0, abs(metric.value))
        if not interval.low - slack <= metric.value <= interval.high + slack:
            told = f"[{interval.low:g}, {interval.high:g}] does not hold the value {metric.value:g}"
            raise invalid_field(path, told, "VALUE_OUTSIDE_INTERVAL")
        if not interval.level:
            raise invalid_field(f"{path}.level", "say with which confidence, for example 0.95", "NO_LEVEL")


def _check_confusion(matrix: ConfusionMatrix, rows: int, field: str) -> None:
    size = len(matrix.labels)
    if len(matrix.counts) != size * size:
        told = f"{size} labels need {size * size} counts, true label by predicted label; there are {len(matrix.counts)}"
        raise invalid_field(f"{field}.counts", told, "MATRIX_NOT_SQUARE")
    total = sum(matrix.counts)
    if rows and total != rows:
        raise invalid_field(f"{field}.counts", f"they sum to {total}, and there are {rows} rows", "COUNTS_NOT_ROWS")


def _check_curve(curve: Curve, rows: int, field: str) -> None:
    if len(curve.x) != len(curve.y):
        raise invalid_field(f"{field}.y", f"{len(curve.x)} x and {len(curve.y)} y are no points", "CURVE_UNEVEN")
    if not _ascends(curve.x):
        raise invalid_field(f"{field}.x", "it goes back; order the points by x", "CURVE_GOES_BACK")
    if curve.kind == CURVE_KIND_ROC:
        if not _ascends(curve.y):
            raise invalid_field(f"{field}.y", "a ROC curve never falls", "CURVE_GOES_BACK")
        if (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) != (0, 0, 1, 1):
            raise invalid_field(field, "a ROC curve leads from (0, 0) to (1, 1)", "CURVE_ENDS")
    if curve.rows and curve.kind != CURVE_KIND_CALIBRATION:
        raise invalid_field(f"{field}.rows", "only a calibration curve has rows behind its points", "ROWS_WITHOUT_BINS")
    if curve.rows and len(curve.rows) != len(curve.x):
        raise invalid_field(f"{field}.rows", f"{len(curve.x)} points need as many rows", "CURVE_UNEVEN")
    if rows and sum(curve.rows) > rows:
        raise invalid_field(f"{field}.rows", f"they sum to more than the {rows} rows", "COUNTS_NOT_ROWS")


def _ascends(values: Sequence[float]) -> bool:
    return all(first <= second for first, second in pairwise(values))


def _check_slice(part: Slice, rows: int, field: str) -> None:
    if rows and part.rows > rows:
        raise invalid_field(f"{field}.rows", f"a part of {rows} rows has no {part.rows}", "COUNTS_NOT_ROWS")
    _check_metrics(part.metrics, f"{field}.metrics")


def _check_fairness(one: Fairness, rows: int, field: str) -> None:
    _check_metrics(one.metrics, f"{field}.metrics")
    for group, counts in sorted(one.groups.items()):
        _check_group(counts, one.minimum_rows, f'{field}.groups["{group}"]')
    if one.groups and dict(one.group_rows) != {group: counts.rows for group, counts in one.groups.items()}:
        raise invalid_field(f"{field}.group_rows", "it says other rows than groups", "COUNTS_NOT_ROWS")
    if one.reference_group and one.reference_group not in one.group_rows:
        known = ", ".join(sorted(one.group_rows))
        raise invalid_field(f"{field}.reference_group", f"{one.reference_group!r} is none of {known}", "NO_GROUP")
    if bool(one.suppressed_groups) != bool(one.suppressed_rows):
        raise invalid_field(f"{field}.suppressed_groups", "it does not go with suppressed_rows", "COUNTS_NOT_ROWS")
    total = sum(one.group_rows.values()) + one.suppressed_rows
    if rows and total > rows:
        raise invalid_field(f"{field}.group_rows", f"they sum to {total}, and there are {rows} rows", "COUNTS_NOT_ROWS")


def _check_group(counts: GroupCounts, minimum_rows: int, field: str) -> None:
    told = counts.true_positives + counts.false_positives + counts.true_negatives + counts.false_negatives
    if told and told != counts.rows:
        raise invalid_field(f"{field}.rows", f"the four counts sum to {told}, not to {counts.rows}", "COUNTS_NOT_ROWS")
    if counts.rows < minimum_rows:
        raise invalid_field(
            f"{field}.rows", f"a group of {counts.rows} is to be left out below {minimum_rows}", "GROUP_TOO_SMALL"
        )
    _check_metrics(counts.metrics, f"{field}.metrics")


def _check_once(keys: Iterable[str], field: str, reason: str) -> None:
    seen: set[str] = set()
    for index, key in enumerate(keys):
        if key in seen:
            raise invalid_field(f"{field}[{index}]", f"{key} is there twice", reason)
        seen.add(key)
