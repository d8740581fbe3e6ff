"""Series of checks as charts over time, with alerts and deployments, and their numbers as tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from modelog.monitoring.v1 import types_pb2 as types
from modelog.monitoring.v1.pictures_pb2 import AlertEpisode, GetSeriesResponse, MetricSeries, SeriesPoint, TrafficChange
from modelog.pages.course import MOST_RUNS
from modelog.pages.parts import Course, Moment, Point, Run, Span, Table, Value
from modelog.pages.words import count, number, tail, time, word

_MOST_ROWS = 600  # Of one table.
_HALF_AN_HOUR = 1800.0
_ESTIMATES = "METHOD_ESTIMATED_"


class Time(NamedTuple):
    """What a chart shows, in seconds since 1970."""

    start: float
    end: float


class Drawn(NamedTuple):
    """A chart with its numbers. performance: it says how well a version does, not what it gets."""

    course: Course
    numbers: Table
    performance: bool


def time_of(reply: GetSeriesResponse, start: float | None, end: float | None) -> Time:
    """From the first window to the last, or as asked; never nothing."""
    points = [point for one in reply.series for point in one.points]
    first = min((point.start_time.ToMicroseconds() / 1e6 for point in points), default=0.0) if start is None else start
    last = max((point.end_time.ToMicroseconds() / 1e6 for point in points), default=first) if end is None else end
    return Time(first, last) if first < last else Time(first - _HALF_AN_HOUR, first + _HALF_AN_HOUR)


def over_time(reply: GetSeriesResponse, time: Time) -> Iterator[Drawn]:
    """A chart for each check; for each version too, where a check looks at columns."""
    versions = {one.version for one in reply.series}
    moments = deployments(reply.traffic, time)
    for _, found in groupby(sorted(reply.series, key=_chart_of), key=_chart_of):
        series = list(found)
        first = series[0]
        told = _most_telling(series)
        episodes = [one for one in reply.episodes if one.check == first.check and _shown(one, series)]
        by_column = bool(told[0].column)
        of = f", {tail_of(first.version)}" if by_column and len(versions) > 1 else ""
        left = f" ({len(told)} of {len(series)} columns)" if len(told) < len(series) else ""
        several = len({one.version for one in told}) > 1
        course = Course(
            title=f"{first.check}{of}{left}",
            y_title=method_of(first.method),
            runs=[Run(_label(one), [_point(point) for point in one.points]) for one in told],
            start=time.start,
            end=time.end,
            limit=_limits(told),
            spans=[_span(one, time, several) for one in episodes if _overlaps(one, time)],
            moments=moments,
            from_zero=not first.fails_below,
        )
        yield Drawn(course, _numbers(told, course.title), _is_performance(first))


def _chart_of(one: MetricSeries) -> tuple[str, int, str]:
    """What is drawn together: columns of one version, or versions."""
    return one.check, one.method, one.version if one.column or one.method == types.METHOD_DATASET_DRIFT else ""


def _most_telling(series: Sequence[MetricSeries]) -> Sequence[MetricSeries]:
    """What is said of all columns where it is; else the columns that failed most often, then those of the greatest
    values."""
    whole = [one for one in series if not one.column]
    if whole:
        return whole[-MOST_RUNS:]

    def worst(one: MetricSeries) -> tuple[int, float, str]:
        failed = sum(point.outcome == types.OUTCOME_FAILED for point in one.points)
        values = [abs(point.value) for point in one.points if point.HasField("value")]
        return -failed, -max(values, default=-1.0), one.column

    return sorted(series, key=worst)[:MOST_RUNS]


def _shown(episode: AlertEpisode, series: Sequence[MetricSeries]) -> bool:
    return any(one.version == episode.version for one in series)


def _overlaps(one: AlertEpisode, time: Time) -> bool:
    closed = one.close_time.ToMicroseconds() / 1e6 if one.HasField("close_time") else time.end
    return one.open_time.ToMicroseconds() / 1e6 <= time.end and closed >= time.start


def _span(one: AlertEpisode, time: Time, several: bool) -> Span:
    start = max(time.start, one.open_time.ToMicroseconds() / 1e6)
    end = one.close_time.ToMicroseconds() / 1e6 if one.HasField("close_time") else None
    label = f"alert {one.number}" + (f" ({tail_of(one.version)})" if several and one.version else "")
    return Span(label, start, None if end is None else min(end, time.end))


def _label(one: MetricSeries) -> str:
    return one.column or tail_of(one.version) or "all versions"


def tail_of(version: str) -> str:
    """`fraud/3` of `projects/risk/models/fraud/versions/3`."""
    return "/".join(tail(version).split("/")[1:]) if version else ""


def method_of(method: int) -> str:
    return word(types.Method.Name(types.Method.ValueType(method)), "METHOD_")


def outcome_of(outcome: int) -> str:
    return word(types.Outcome.Name(types.Outcome.ValueType(outcome)), "OUTCOME_")


def _point(one: SeriesPoint) -> Point:
    at = one.end_time.ToMicroseconds() / 1e6
    if not one.HasField("value"):
        return Point(at, None)
    low, high = (one.low, one.high) if one.HasField("low") and one.HasField("high") else (None, None)
    return Point(at, one.value, low, high, one.outcome == types.OUTCOME_FAILED)


def _limits(series: Iterable[MetricSeries]) -> list[tuple[float, float]]:
    """The thresholds, from each window that had another one than the one before."""
    known = sorted((one.end_time.ToMicroseconds() / 1e6, one.threshold) for told in series for one in told.points)
    return [one for place, one in enumerate(known) if not place or one[1] != known[place - 1][1]]


def deployments(changes: Iterable[TrafficChange], time: Time) -> list[Moment]:
    """When a version began to answer, and when it answered alone; the steps between are left out."""
    found: list[Moment] = []
    before: Mapping[str, int] = {}
    for one in changes:
        now = {share.version: share.percent for share in one.shares}
        at = one.time.ToMicroseconds() / 1e6
        for version, percent in now.items():
            if version not in before or (percent == 100 > before[version]):
                found.append(Moment(f"{tail_of(version)} {percent} %", at))
        if before and not now:
            found.append(Moment("nobody", at))
        before = now
    return [one for one in found if time.start <= one.at <= time.end]


def _is_performance(one: MetricSeries) -> bool:
    if one.track == types.TRACK_LABELS:
        return True
    return types.Method.Name(one.method).startswith(_ESTIMATES)


def _numbers(series: Sequence[MetricSeries], title: str) -> Table:
    """Newest first."""
    rows = [(point.end_time.ToMicroseconds(), _label(one), point) for one in series for point in one.points]
    rows.sort(key=lambda row: (-row[0], row[1]))
    cut = f", the newest {count(_MOST_ROWS)} of {count(len(rows))}" if len(rows) > _MOST_ROWS else ""
    held = any(point.HasField("low") for _, _, point in rows)
    head = ["window", "ended", "of", "value", *(["interval"] if held else []), "threshold", "outcome", "rows"]
    lines: list[list[Value]] = []
    for _, label, point in rows[:_MOST_ROWS]:
        value = number(point.value) if point.HasField("value") else ""
        interval = f"{number(point.low)} to {number(point.high)}" if point.HasField("low") else ""
        line: list[Value] = [str(point.window), time(point.end_time), label, value, *([interval] if held else [])]
        lines.append([*line, number(point.threshold), outcome_of(point.outcome), count(point.rows)])
    return Table(head, lines, f"Numbers of {title}{cut}", folded=True, points=True)
