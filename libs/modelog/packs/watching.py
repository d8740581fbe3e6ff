"""What monitoring saw: the values of checks over time, drawn as `monitors picture` draws them, and as a table."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from modelog.packs.parts import Sheet
from modelog.packs.reading import Reading
from modelog.packs.saying import choice, time
from modelog.packs.scope import within
from modelog.pages.parts import Chart
from modelog.pages.words import tail
from modelog.pictures.over_time import over_time, time_of

_MOST_CHARTS = 12
_HEAD = ("monitor", "check", "column", "version", "window", "ended", "value", "low", "high", "threshold", "outcome")


class Watched(NamedTuple):
    """charts: the first twelve; values: all points that were answered."""

    charts: list[Chart]
    values: Sheet


def watched(reading: Reading, project: str, names: Collection[str], **period: Any) -> Watched:
    """By the monitors of these endpoints or models. period: start_time and end_time of windows; else all."""
    charts: list[Chart] = []
    rows: list[list[str]] = []
    for monitor in reading.monitors(project):
        if within(monitor.endpoint, names):
            series = reading.series(monitor.name, **period)
            charts += [one.course for one in over_time(series, time_of(series, None, None))]
            rows += _rows(monitor.name, series)
    return Watched(charts[:_MOST_CHARTS], Sheet("checks", "Values of checks by window", _HEAD, rows, folded=True))


def _rows(monitor: str, series: Any) -> Iterator[list[str]]:
    for one in series.series:
        for point in one.points:
            value, low, high = (
                f"{getattr(point, name):.6g}" if point.HasField(name) else "" for name in ("value", "low", "high")
            )
            measured = [value, low, high, f"{point.threshold:.6g}", choice(point, "outcome")]
            yield [
                monitor,
                one.check,
                one.column,
                tail(one.version),
                str(point.window),
                time(point.end_time),
                *measured,
            ]
