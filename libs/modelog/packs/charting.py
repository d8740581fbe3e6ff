"""Charts of packs: shares of traffic over time, measured values by version, and how many facts came when."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelog.packs.saying import second_of
from modelog.pages.course import MOST_RUNS
from modelog.pages.parts import Course, Mark, Marks, Point, Run, Span
from modelog.pages.words import tail
from modelog.sdk.facts import Entry

_MOST_CHARTS = 6
_LENGTHS = {60.0: "a minute", 600.0: "in ten minutes", 3600.0: "an hour", 86400.0: "a day", 604800.0: "a week"}
_MOST_BUCKETS = 80


def seconds(value: Any) -> float:
    return float(value.ToNanoseconds()) / 1e9


def shares(intervals: Iterable[Any], end: float, alerts: Iterable[Any] = ()) -> list[Course]:
    """Who answered with which share, a chart for each endpoint; shaded is when an alert was open. end: of the chart."""
    by_endpoint: dict[str, list[Any]] = defaultdict(list)
    for one in intervals:
        if one.version:
            by_endpoint[one.endpoint].append(one)
    open_then = list(alerts)
    made = []
    for endpoint, several in sorted(by_endpoint.items())[:_MOST_CHARTS]:
        start = min(seconds(one.from_time) for one in several)
        spans = [
            Span(f"alert {one.check}", seconds(one.create_time), _ended(one))
            for one in open_then
            if one.endpoint == endpoint and seconds(one.create_time) < end
        ]
        runs = [Run(tail(version).partition("/")[2], _steps(held, end)) for version, held in _by_version(several)]
        title = f"Share of the traffic of {tail(endpoint)}"
        made.append(
            Course(title, "percent", runs[-MOST_RUNS:], start, max(end, start + 1), spans=spans, from_zero=True)
        )
    return made


def _by_version(several: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    """In the order in which they first answered."""
    found: dict[str, list[Any]] = {}
    for one in sorted(several, key=lambda one: one.from_revision):
        found.setdefault(one.version, []).append(one)
    return list(found.items())


def _steps(held: Sequence[Any], end: float) -> list[Point]:
    """Level while an interval lasts, and nothing between two that do not follow each other."""
    points: list[Point] = []
    for one in held:
        start, until = seconds(one.from_time), seconds(one.to_time) if one.HasField("to_time") else end
        if points and points[-1].at < start:
            points.append(Point(points[-1].at, None))
        points += [Point(start, float(one.percent)), Point(max(start, until), float(one.percent))]
    return points


def _ended(alert: Any) -> float | None:
    return seconds(alert.resolve_time) if alert.HasField("resolve_time") else None


def measured(versions: Sequence[Any]) -> list[Marks]:
    """Each metric of each evaluation side by side for the versions that have it, with its interval."""
    found: dict[tuple[str, str], list[Mark]] = defaultdict(list)
    for version in versions:
        for evaluation in sorted(version.evaluations):
            metrics = version.evaluations[evaluation].metrics
            for name in sorted(metrics):
                found[evaluation, name].append(_mark(version.name.rpartition("/")[2], metrics[name]))
    return [Marks(f"{name} ({evaluation})", marks) for (evaluation, name), marks in sorted(found.items())][
        :_MOST_CHARTS
    ]


def _mark(version: str, metric: Any) -> Mark:
    held = metric.interval if metric.HasField("interval") else None
    low, high = (held.low, held.high) if held else (None, None)
    return Mark(f"version {version}", metric.value, low, high)


def happened(title: str, several: Mapping[str, Sequence[Entry]], start: float, end: float) -> Course:
    """How many facts came in each minute, hour, day or week, whichever fits the time from the first of them on."""
    begin = max(start, min([second_of(entries[0]) for entries in several.values() if entries], default=start))
    whole = max(end - begin, 1.0)
    length = next((one for one in _LENGTHS if whole / one <= _MOST_BUCKETS), whole / _MOST_BUCKETS)
    runs = [Run(label, _counted(entries, begin, begin + whole, length)) for label, entries in several.items()]
    title_of_axis = f"facts {_LENGTHS.get(length, '')}".rstrip()
    return Course(title, title_of_axis, runs, begin, begin + whole, from_zero=True)


def _counted(entries: Sequence[Entry], start: float, end: float, length: float) -> list[Point]:
    counts = [0] * max(1, -int(-(end - start) // length))
    for entry in entries:
        place = int((second_of(entry) - start) // length)
        if 0 <= place < len(counts):
            counts[place] += 1
    middle = start + length / 2
    return [Point(min(middle + place * length, end), float(number)) for place, number in enumerate(counts)]
