"""Values over time: a line each with the interval it may lie in, the limit, what failed, alerts and deployments."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from modelog.pages.drawing import (
    LETTER,
    Drawn,
    Scale,
    box,
    short,
    stroke,
    text,
    tick_words,
    ticks,
    time_ticks,
    time_word,
    upright,
)
from modelog.pages.parts import Course, Moment, Point, Run
from modelog.pages.words import number

_LEFT, _PLOT, _RIGHT, _HEIGHT, _BELOW = 66, 520, 170, 190, 42
_ROW, _MOST_ROWS, _LINE = 14, 3, 15
_HUES = 6
_FEW = 2  # Bands of more would hide each other.
_MOST_DOTS = 80  # Of one run; more would hide its line.
MOST_RUNS = _HUES


def course(one: Course) -> Drawn:
    """At most six runs; the caller says which."""
    runs = [_finite(run) for run in one.runs[:_HUES]]
    moments, rows = _rows(one, Scale(one.start, one.end, _LEFT, _LEFT + _PLOT))
    above = 10 + _ROW * rows
    marks = ticks(*_reach(one, runs))
    x = Scale(one.start, one.end, _LEFT, _LEFT + _PLOT)
    y = Scale(marks[0], marks[-1], above + _HEIGHT, above)
    inner = [*_spans(one, x, y), *_axes(one, marks, x, y), *moments, *_span_names(one, x, y), *_limit(one, x, y)]
    for hue, run in enumerate(runs):
        inner += _run(run, hue, x, y, faint=len(runs) > _FEW)
    if not any(point.value is not None for run in runs for point in run.points):
        inner.append(text(_LEFT + _PLOT / 2, above + _HEIGHT / 2, "no values in this time", "middle", "quiet"))
    inner += _labels(runs, y)
    return Drawn(_LEFT + _PLOT + _RIGHT, above + _HEIGHT + _BELOW, one.title, _told(one, runs), inner)


def _finite(run: Run) -> Run:
    """Without what is no number."""
    held = [one if one.value is not None and math.isfinite(one.value) else Point(one.at, None) for one in run.points]
    return Run(run.label, [Point(p.at, p.value, _number(p.low), _number(p.high), p.bad) for p in held])


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _reach(one: Course, runs: Sequence[Run]) -> tuple[float, float]:
    told = [(point.value, point.low, point.high) for run in runs for point in run.points]
    ends = [end for three in told for end in three if end is not None]
    ends += [limit for _, limit in one.limit if math.isfinite(limit)]
    ends += [0.0] if one.from_zero or not ends else []
    low, high = min(ends), max(ends)
    return (low, high) if low < high else (min(0.0, low), high or 1.0)


def _spans(one: Course, x: Scale, y: Scale) -> Iterator[str]:
    """When alerts were open; a short one is seen all the same."""
    for span in one.spans:
        left, right = x.at(span.start), x.at(one.end if span.end is None else span.end)
        left = min(left, x.end - 2)
        yield box(left, y.end, max(2.0, right - left), y.begin - y.end, "firing")


def _span_names(one: Course, x: Scale, y: Scale) -> Iterator[str]:
    """As many as have room."""
    free = -math.inf
    for span in sorted(one.spans, key=lambda span: span.start):
        width = LETTER * len(span.label)
        start = min(x.at(span.start) + 3, x.end - width)
        if start >= free:
            yield text(start, y.end + 12, span.label, kind="tag")
            free = start + width + 6


def _axes(one: Course, marks: Sequence[float], x: Scale, y: Scale) -> Iterator[str]:
    for mark, words in zip(marks, tick_words(marks), strict=True):
        yield stroke(x.begin, y.at(mark), x.end, y.at(mark), "grid")
        yield text(x.begin - 6, y.at(mark) + 4, words, "end", "quiet")
    for at, words in time_ticks(one.start, one.end):
        yield stroke(x.at(at), y.begin, x.at(at), y.begin + 4, "grid")
        yield text(x.at(at), y.begin + 17, words, "middle", "quiet")
    between = f"{time_word(one.start)} to {time_word(one.end)} UTC"
    yield text(x.begin, y.begin + 34, between, kind="quiet")
    yield upright(13, (y.begin + y.end) / 2, short(one.y_title, 30))


def _rows(one: Course, x: Scale) -> tuple[list[str], int]:
    """Deployments: a line each from above to below, and its name in the first row that has room, or none."""
    made, free = list[str](), list[float]()
    shown = sorted((one for one in one.moments), key=lambda moment: moment.at)
    placed: list[tuple[Moment, int | None]] = []
    for moment in shown:
        left = x.at(moment.at)
        right = left + LETTER * len(short(moment.label)) + 16
        row = next((place for place, until in enumerate(free) if left >= until), None)
        if row is None and len(free) < _MOST_ROWS:
            free.append(0.0)
            row = len(free) - 1
        if row is not None:
            free[row] = right
        placed.append((moment, row))
    above = 10 + _ROW * len(free)
    for moment, row in placed:
        left = x.at(moment.at)
        top = above if row is None else 10 + _ROW * row - 6
        made.append(stroke(left, top, left, above + _HEIGHT, "deployed"))
        if row is not None:
            words, y = short(moment.label), 10 + _ROW * row
            beyond = left + LETTER * len(words) > _LEFT + _PLOT + _RIGHT
            made.append(
                f'<polygon class="tint-5" points="{left - 4:.1f},{y - 6} {left + 4:.1f},{y - 6} {left:.1f},{y}"/>'
            )
            made.append(text(left - 7 if beyond else left + 7, y + 2, words, "end" if beyond else "start"))
    return made, len(free)


def _limit(one: Course, x: Scale, y: Scale) -> Iterator[str]:
    known = [(at, limit) for at, limit in one.limit if math.isfinite(limit)]
    if not known:
        return
    points = [f"{x.at(known[0][0]):.1f},{y.at(known[0][1]):.1f}"]
    for (_, before), (at, limit) in pairwise(known):
        if limit != before:
            points += [f"{x.at(at):.1f},{y.at(before):.1f}", f"{x.at(at):.1f},{y.at(limit):.1f}"]
    points[0] = f"{x.begin:.1f},{y.at(known[0][1]):.1f}"
    points.append(f"{x.end:.1f},{y.at(known[-1][1]):.1f}")
    yield f'<polyline class="limit" points="{" ".join(points)}"/>'


def _run(run: Run, hue: int, x: Scale, y: Scale, *, faint: bool) -> Iterator[str]:
    """The line breaks where there was no value; a value alone is a dot."""
    dots = len(run.points) <= _MOST_DOTS
    for piece in _pieces(run.points):
        yield from _band(piece, hue, x, y, "faint" if faint else "band")
        if len(piece) > 1:
            points = " ".join(f"{x.at(one.at):.1f},{y.at(one.value or 0.0):.1f}" for one in piece)
            yield f'<polyline class="run hue-{hue}" points="{points}"/>'
    for one in run.points:
        if one.value is None:
            continue
        left, top = x.at(one.at), y.at(one.value)
        if one.bad:
            corners = [(left, top - 6), (left + 6, top), (left, top + 6), (left - 6, top)]
            yield f'<polygon class="bad" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}"/>'
        elif dots:
            yield f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" class="tint-{hue}"/>'


def _pieces(points: Sequence[Point]) -> Iterator[list[Point]]:
    piece: list[Point] = []
    for one in points:
        if one.value is None:
            if piece:
                yield piece
            piece = []
        else:
            piece.append(one)
    if piece:
        yield piece


def _band(piece: Sequence[Point], hue: int, x: Scale, y: Scale, kind: str) -> Iterator[str]:
    held = [
        (x.at(one.at), y.at(one.low), y.at(one.high)) for one in piece if one.low is not None and one.high is not None
    ]
    if len(held) == 1:
        left, low, high = held[0]
        yield stroke(left, low, left, high, f"run hue-{hue}")
    elif held:
        ring = [(left, high) for left, _, high in held] + [(left, low) for left, low, _ in reversed(held)]
        yield f'<polygon class="{kind} tint-{hue}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in ring)}"/>'


def _labels(runs: Sequence[Run], y: Scale) -> Iterator[str]:
    """The name of each line at its end, moved apart where they would lie on each other, and the newest value."""
    if not runs:
        return
    last = [next((one.value for one in reversed(run.points) if one.value is not None), None) for run in runs]
    wanted = [y.begin if value is None else y.at(value) for value in last]
    places = sorted(range(len(runs)), key=lambda place: wanted[place])
    tops: list[float] = []
    for place in places:
        tops.append(max(wanted[place], tops[-1] + _LINE) if tops else max(wanted[place], y.end + 4))
    beyond = max(0.0, tops[-1] - (y.begin + 4))
    for order, place in enumerate(places):
        top = max(y.end + 4 + _LINE * order, tops[order] - beyond)
        left = _LEFT + _PLOT + 8
        yield stroke(left, top, left + 18, top, f"run hue-{place}")
        value = last[place]
        words = short(runs[place].label, 16)
        yield text(left + 23, top + 4, words if value is None else f"{words} {number(value)}")


def _told(one: Course, runs: Sequence[Run]) -> str:
    parts = []
    for run in runs:
        there = [point for point in run.points if point.value is not None]
        values = [point.value for point in there if point.value is not None]
        if not values:
            parts.append(f"{run.label}: no values")
            continue
        failed = sum(point.bad for point in there)
        ends = f"{number(values[0])} at first, {number(values[-1])} at last"
        reach = f"{number(min(values))} to {number(max(values))}"
        parts.append(f"{run.label}: {len(values)} values, {ends}, from {reach}, {failed} failed")
    if one.limit:
        parts.append(f"threshold {number(one.limit[-1][1])}")
    parts += [span.label for span in one.spans[:10]]
    parts += [f"{moment.label} at {time_word(moment.at)}" for moment in one.moments[:10]]
    return f"{one.y_title} from {time_word(one.start)} to {time_word(one.end)} UTC. {'; '.join(parts)}."
