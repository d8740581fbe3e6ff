"""Quantitative analyses: each evaluation with its metrics, curves, slices and the groups it was compared over."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from modelog.pages.parts import Block, Fields, Group, Line, Mark, Marks, Matrix, Section, Table, Text, Value
from modelog.pages.words import count, label, number, share, time
from modelog.registry.v1.cards_pb2 import ModelCard
from modelog.registry.v1.types_pb2 import (
    CURVE_KIND_CALIBRATION,
    CURVE_KIND_PRECISION_RECALL,
    CURVE_KIND_ROC,
    Curve,
    Evaluation,
    Fairness,
    Metric,
)

# So many metrics of slices are drawn; all of them are in the table.
_MOST_DRAWN = 6
_MOST_LABELS_DRAWN = 12
_FIRST = ("accuracy", "f1", "precision", "recall", "roc_auc", "pr_auc", "mae", "rmse", "r2")


class _Shape(NamedTuple):
    title: str
    x: str
    y: str
    diagonal: str


_SHAPES: Mapping[int, _Shape] = {
    CURVE_KIND_ROC: _Shape("ROC", "false positive rate", "true positive rate", "chance"),
    CURVE_KIND_PRECISION_RECALL: _Shape("Precision and recall", "recall", "precision", ""),
    CURVE_KIND_CALIBRATION: _Shape("Calibration", "mean predicted score", "share of positives", "perfect"),
}


def analyses(card: ModelCard) -> Section:
    written = card.version.documentation.quantitative_analyses
    known = card.version.evaluations
    blocks = [Text(written)] if written.strip() else []
    return Section("Quantitative analyses", blocks, [_evaluation(name, known[name]) for name in sorted(known)])


def _evaluation(name: str, one: Evaluation) -> Section:
    blocks: list[Block] = [Fields([row for row in _about(one) if row[1]])]
    if one.metrics:
        blocks.append(_table(one.metrics))
    curves = [_line(curve) for curve in one.curves if curve.kind in _SHAPES]
    matrices = [_matrix(one)] if 0 < len(one.confusion.labels) <= _MOST_LABELS_DRAWN else []
    if curves or matrices:
        blocks.append(Group([*curves, *matrices]))
    if one.confusion.labels:
        head = ["true label", *(f"taken for {text}" for text in one.confusion.labels)]
        rows = [[text, *map(count, row)] for text, row in zip(one.confusion.labels, _square(one), strict=False)]
        blocks.append(Table(head, rows, "Confusion matrix", folded=bool(matrices)))
    blocks += [_points(curve) for curve in one.curves if curve.kind in _SHAPES]
    slices = Section("By slice", _slices(one))
    return Section(f"Evaluation {name}", blocks, [slices, *(_fairness(part) for part in one.fairness)])


def _about(one: Evaluation) -> list[tuple[str, Value]]:
    return [
        ("Measured on", one.data_set.name or one.data_set.uri),
        ("Rows", count(one.rows) if one.rows else ""),
        ("Positive label", one.positive_label),
        ("Threshold", number(one.threshold) if one.HasField("threshold") else ""),
        ("Method", one.method),
        ("Recorded", " by ".join(part for part in (time(one.record_time), one.recorded_by) if part)),
    ]


def _table(metrics: Mapping[str, Metric]) -> Table:
    known = [(name, metrics[name]) for name in _order(metrics)]
    if not any(one.HasField("interval") for _, one in known):
        return Table(["metric", "value", "better"], [[label(name), _value(one), _better(one)] for name, one in known])
    rows = [[label(name), _value(one), _interval(one), _better(one)] for name, one in known]
    return Table(["metric", "value", "interval", "better"], rows)


def _order(names: Iterable[str]) -> list[str]:
    """What most people look for comes first, the rest by name."""
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def _value(one: Metric) -> str:
    return f"{number(one.value)} {one.unit}".rstrip()


def _interval(one: Metric) -> str:
    if not one.HasField("interval"):
        return ""
    level, method = one.interval.level, one.interval.method
    named = ", ".join(part for part in (share(level) if level else "", method) if part)
    return f"{number(one.interval.low)} to {number(one.interval.high)}" + (f" ({named})" if named else "")


def _better(one: Metric) -> str:
    return "higher" if one.higher_is_better else "lower"


def _line(curve: Curve) -> Line:
    shape = _SHAPES[curve.kind]
    points = min(len(curve.x), len(curve.y))
    return Line(shape.title, shape.x, shape.y, curve.x[:points], curve.y[:points], curve.rows[:points], shape.diagonal)


def _points(curve: Curve) -> Table:
    shape = _SHAPES[curve.kind]
    head = [shape.x, shape.y, *(["rows"] if curve.rows else [])]
    columns: list[Sequence[str]] = [[number(one) for one in curve.x], [number(one) for one in curve.y]]
    if curve.rows:
        columns.append([count(one) for one in curve.rows])
    rows = [list(row) for row in zip(*columns, strict=False)]
    return Table(head, rows, f"{shape.title}: points", folded=True, points=True)


def _square(one: Evaluation) -> list[Sequence[int]]:
    width = len(one.confusion.labels)
    return [one.confusion.counts[start : start + width] for start in range(0, width * width, width)]


def _matrix(one: Evaluation) -> Matrix:
    return Matrix("Confusion matrix", one.confusion.labels, _square(one))


def _slices(one: Evaluation) -> list[Block]:
    if not one.slices:
        return []
    names = _order({name for part in one.slices for name in part.metrics})
    charts = []
    for name in names[:_MOST_DRAWN]:
        marks = [_mark("all rows", one.metrics[name])] if name in one.metrics else []
        parts = [part for part in one.slices if name in part.metrics]
        marks += [_mark(f"{part.column} = {part.value}", part.metrics[name]) for part in parts]
        charts.append(Marks(label(name), marks, _unit(part.metrics[name] for part in parts), name in one.metrics))
    rows: list[list[Value]] = [
        [f"{part.column} = {part.value}", count(part.rows), *(_short(part.metrics, name) for name in names)]
        for part in one.slices
    ]
    return [Group(charts), Table(["slice", "rows", *map(label, names)], rows, "Metrics by slice", folded=True)]


def _fairness(one: Fairness) -> Section:
    blocks: list[Block] = []
    if one.method or one.reference_group:
        known = [("Method", one.method), ("Compared with", one.reference_group)]
        blocks.append(Fields([row for row in known if row[1]]))
    if one.metrics:
        blocks.append(_table(one.metrics))
    names = _order({name for counts in one.groups.values() for name in counts.metrics})
    groups = sorted(one.groups)
    charts = [
        Marks(
            label(name),
            [_mark(group, one.groups[group].metrics[name]) for group in groups if name in one.groups[group].metrics],
            _unit(one.groups[group].metrics.get(name) for group in groups),
        )
        for name in names[:_MOST_DRAWN]
    ]
    if charts:
        blocks.append(Group(charts))
    blocks.append(_groups(one, names))
    if one.suppressed_groups:
        hidden = f"{one.suppressed_groups} groups of {count(one.suppressed_rows)} rows together are not shown"
        blocks.append(Text(f"{hidden}: groups of fewer than {one.minimum_rows} rows are not told apart."))
    return Section(f"Fairness over {one.attribute}", blocks)


def _groups(one: Fairness, names: Sequence[str]) -> Table:
    counted = any(counts.true_positives + counts.true_negatives for counts in one.groups.values())
    four = ("true_positives", "false_positives", "true_negatives", "false_negatives") if counted else ()
    rows: list[list[Value]] = []
    for group in sorted(one.group_rows):
        row: list[Value] = [group, count(one.group_rows[group])]
        if group in one.groups:
            row += [count(getattr(one.groups[group], name)) for name in four]
            row += [_short(one.groups[group].metrics, name) for name in names]
        rows.append(row + [""] * (2 + len(four) + len(names) - len(row)))
    return Table(["group", "rows", *map(label, (*four, *names))], rows, "Counts and rates by group", folded=bool(names))


def _mark(text: str, one: Metric) -> Mark:
    if not one.HasField("interval"):
        return Mark(text, one.value)
    return Mark(text, one.value, one.interval.low, one.interval.high)


def _unit(metrics: Iterable[Metric | None]) -> str:
    return next((one.unit for one in metrics if one is not None and one.unit), "")


def _short(metrics: Mapping[str, Metric], name: str) -> str:
    if name not in metrics:
        return ""
    one = metrics[name]
    held = f" ({number(one.interval.low)} to {number(one.interval.high)})" if one.HasField("interval") else ""
    return f"{_value(one)}{held}"
