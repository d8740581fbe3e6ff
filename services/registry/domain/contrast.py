"""How versions stand to the first of them: by how much a metric is better, which columns changed, which commits lie
between."""

from collections.abc import Sequence

from modelog.registry.v1.declare_pb2 import (
    METRIC_CHANGE_BETTER,
    METRIC_CHANGE_EQUAL,
    METRIC_CHANGE_WORSE,
    ColumnComparison,
    MetricChange,
    MetricDifference,
    SourceComparison,
)
from modelog.registry.v1.types_pb2 import Column, DataType, GitSource, Metric, Version

_COMMIT_CHARACTERS = 12


def difference(first: Metric | None, other: Metric | None) -> MetricDifference:
    """Empty when one of them lacks the metric; without a change when they do not agree which direction is better."""
    if first is None or other is None:
        return MetricDifference()
    told = MetricDifference(difference=other.value - first.value)
    if first.value:
        told.relative = told.difference / abs(first.value)
    if first.higher_is_better == other.higher_is_better:
        told.change = _change(told.difference, other.higher_is_better)
    return told


def _change(by: float, higher_is_better: bool) -> MetricChange:
    if by == 0:
        return METRIC_CHANGE_EQUAL
    return METRIC_CHANGE_BETTER if (by > 0) == higher_is_better else METRIC_CHANGE_WORSE


def columns(versions: Sequence[Version], *, include_equal: bool) -> list[ColumnComparison]:
    """One row a column that was added, removed or is of another type; or all of them."""
    sides = [_columns(version) for version in versions]
    rows = [
        ColumnComparison(path=path, types=[side.get(path, "") for side in sides])
        for path in sorted(set().union(*sides))
    ]
    return [row for row in rows if include_equal or len(set(row.types)) > 1]


def _columns(version: Version) -> dict[str, str]:
    signature = version.signature
    return {
        f"{side}.{column.name}": _type(column)
        for side, among in (("inputs", signature.inputs), ("outputs", signature.outputs))
        for column in among
    }


def _type(column: Column) -> str:
    name = DataType.Name(column.type).removeprefix("DATA_TYPE_") if column.type in DataType.values() else "UNKNOWN"
    return f"{name} {list(column.shape)}" if column.shape else name


def sources(versions: Sequence[Version], *, include_equal: bool) -> list[SourceComparison]:
    """One row a version after the first that is known to come from other code; or from any."""
    first, *others = versions
    rows = []
    for version in others:
        if version.source == GitSource() or (version.source == first.source and not include_equal):
            continue
        ours, theirs = first.source, version.source
        same = bool(theirs.repository) and ours.repository == theirs.repository
        row = SourceComparison(name=version.name, repository=theirs.repository if same else "", dirty=theirs.dirty)
        if same and ours.commit and theirs.commit and ours.commit != theirs.commit:
            row.commit_range = f"{ours.commit[:_COMMIT_CHARACTERS]}..{theirs.commit[:_COMMIT_CHARACTERS]}"
        rows.append(row)
    return rows
