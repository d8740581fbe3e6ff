"""Charts as SVG: drawn with the colours of the page, each with a title and a description for who cannot see it."""

import math
from collections.abc import Callable, Sequence

from modelog.pages.bars import bars
from modelog.pages.course import course
from modelog.pages.drawing import Drawn, safe, short, stroke, text
from modelog.pages.parts import Bars, Chart, Course, Line, Mark, Marks, Matrix
from modelog.pages.words import count, number

_ROW, _LABEL, _PLOT, _RIGHT = 24, 150, 210, 96
_SQUARE, _LEFT, _BELOW, _ABOVE = 220, 46, 40, 8


def chart(one: Chart, key: str) -> str:
    """key: makes ids of this chart unique in its page."""
    return drawn(one).svg(key)


def drawn(one: Chart) -> Drawn:
    match one:
        case Marks():
            return _marks(one)
        case Line():
            return _line(one)
        case Matrix():
            return _matrix(one)
        case Bars():
            return bars(one)
        case Course():
            return course(one)


def _marks(one: Marks) -> Drawn:
    """A line for each mark: a dot at its value, a stroke over its interval, the value in figures at the right."""
    low, high = _reach(one.marks, from_zero=one.from_zero)
    width, height = _LABEL + _PLOT + _RIGHT, _ROW * len(one.marks) + 30

    def place(value: float) -> float:
        return _LABEL + 8 + (value - low) / (high - low) * (_PLOT - 16)

    ends = [text(place(low), height - 8, number(low), "middle", "quiet")]
    ends += [text(place(high), height - 8, number(high), "middle", "quiet")]
    inner = [stroke(place(end), 4, place(end), height - 24, "grid") for end in (low, high)] + ends
    if one.against_first:
        inner.append(stroke(place(one.marks[0].value), 4, place(one.marks[0].value), height - 24, "beside"))
    for index, mark in enumerate(one.marks):
        inner += _mark(mark, 4 + _ROW * (index + 0.5), place, first=one.against_first and not index)
    told = "; ".join(f"{mark.label} {number(mark.value)}" for mark in one.marks)
    return Drawn(width, height, one.title, told, inner)


def _mark(mark: Mark, y: float, place: Callable[[float], float], *, first: bool) -> list[str]:
    kind = "first" if first else ""
    drawn = [text(_LABEL - 6, y + 4, short(mark.label), "end")]
    if mark.low is not None and mark.high is not None:
        drawn.append(stroke(place(mark.low), y, place(mark.high), y, f"reach {kind}".strip()))
    drawn.append(f'<circle cx="{place(mark.value):.1f}" cy="{y:.1f}" r="4" class="{f"dot {kind}".strip()}"/>')
    return [*drawn, text(_LABEL + _PLOT + 6, y + 4, number(mark.value))]


def _reach(marks: Sequence[Mark], *, from_zero: bool) -> tuple[float, float]:
    """The axis: over all values and intervals, from one round number to another; within 0..1 where all are."""
    ends = [end for mark in marks for end in (mark.value, mark.low, mark.high) if end is not None] or [0.0, 1.0]
    low, high = min([*ends, 0.0] if from_zero else ends), max(ends)
    wide = high - low or abs(high) * 0.2 or 1.0
    step = 10 ** math.floor(math.log10(wide))
    step /= 1 if wide / step > 5 else 2 if wide / step > 2 else 5
    inside = low >= 0 and high <= 1
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    if high <= low:
        low, high = (low - step, low) if inside and low >= 1 else (low, low + step)
    return (max(0.0, low), min(1.0, high)) if inside else (low, high)


def _line(one: Line) -> Drawn:
    """A curve in a square, with the line that it is compared with."""
    width, height = _LEFT + _SQUARE + 12, _ABOVE + _SQUARE + _BELOW

    def x_of(value: float) -> float:
        return _LEFT + value * _SQUARE

    def y_of(value: float) -> float:
        return _ABOVE + (1 - value) * _SQUARE

    inner = []
    for step in (0.0, 0.5, 1.0):
        inner += [stroke(x_of(step), y_of(0), x_of(step), y_of(1), "grid")]
        inner += [stroke(x_of(0), y_of(step), x_of(1), y_of(step), "grid")]
        inner += [text(x_of(step), y_of(0) + 15, number(step), "middle", "quiet")]
        inner += [text(_LEFT - 6, y_of(step) + 4, number(step), "end", "quiet")]
    inner.append(text(x_of(0.5), height - 6, one.x_title, "middle"))
    middle = y_of(0.5)
    inner.append(
        f'<text transform="translate(12 {middle:.1f}) rotate(-90)" text-anchor="middle">{safe(one.y_title)}</text>'
    )
    if one.diagonal:
        inner.append(stroke(x_of(0), y_of(0), x_of(1), y_of(1), "beside"))
    points = [(x_of(x), y_of(y)) for x, y in zip(one.x, one.y, strict=True)]
    inner.append(f'<polyline class="curve" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
    largest = max(one.sizes, default=0)
    for (x, y), rows in zip(points, one.sizes, strict=False):
        inner.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2 + 5 * (rows / largest) ** 0.5:.1f}" class="dot"/>')
    return Drawn(width, height, one.title, _told(one), inner)


def _told(one: Line) -> str:
    """What the curve looks like in a sentence: its value at the quarters."""
    parts = []
    for at in (0.25, 0.5, 0.75):
        nearest = min(zip(one.x, one.y, strict=True), key=lambda point: abs(point[0] - at), default=None)
        if nearest is not None:
            parts.append(f"{number(nearest[1])} at {number(nearest[0])}")
    beside = f", beside the diagonal of {one.diagonal}" if one.diagonal else ""
    return f"{one.y_title} over {one.x_title}: {', '.join(parts)}{beside}"


def _matrix(one: Matrix) -> Drawn:
    """Darker the larger a cell's share of its true label; counts in figures."""
    labels = len(one.labels)
    side = max(30, min(72, _SQUARE // max(labels, 1)))
    left, above = 110, 34
    width, height = left + side * labels + 8, above + side * labels + 26
    inner = [text(left + side * labels / 2, 12, "predicted", "middle", "quiet")]
    for index, label in enumerate(one.labels):
        cut = short(label)[: max(4, side // 7)]
        inner.append(text(left + side * (index + 0.5), above - 6, cut, "middle"))
        inner.append(text(left - 6, above + side * (index + 0.5) + 4, short(label)[:16], "end"))
    for row, counts in enumerate(one.counts):
        total = sum(counts) or 1
        for column, value in enumerate(counts):
            inner += _square(left + side * column, above + side * row, side, value, value / total)
    inner.append(text(width - 8, height - 8, "shade: share of the true label", "end", "quiet"))
    rows = zip(one.labels, one.counts, strict=False)
    told = "; ".join(
        f"{label}: " + ", ".join(f"{value} taken for {said}" for value, said in zip(counts, one.labels, strict=False))
        for label, counts in rows
    )
    return Drawn(width, height, one.title, told, inner)


def _square(x: float, y: float, side: int, value: int, part: float) -> list[str]:
    strength = 0.06 + 0.9 * part
    box = f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{side - 2}" height="{side - 2}" rx="3" class="cell" '
    kind = "over" if part > 0.5 else ""
    return [
        f'{box}fill-opacity="{strength:.2f}"/>',
        text(x + side / 2, y + side / 2 + 4, count(value), "middle", kind),
    ]
