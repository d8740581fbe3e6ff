"""A report of a monitor: what changed, since when, and what was deployed meanwhile."""

from collections.abc import Iterable, Sequence

from modelog.monitoring.v1.pictures_pb2 import GetDistributionsResponse, GetSeriesResponse
from modelog.pages.drawing import time_word
from modelog.pages.parts import Block, Document, Group, Section, Table, Value
from modelog.pages.words import count, tail, time
from modelog.pictures.distributions import distributions
from modelog.pictures.over_time import Drawn, over_time, tail_of, time_of

_CLOSING = "Drawn from what modelog's monitoring has recorded. Shares are exact between the edges of the baseline."


def report(
    series: GetSeriesResponse,
    window: GetDistributionsResponse | None = None,
    *,
    name: str = "",
    start: float | None = None,
    end: float | None = None,
) -> Document:
    """name: of the monitor. start, end: what time to show, in seconds since 1970; that of the windows when None."""
    shown = time_of(series, start, end)
    drawn = list(over_time(series, shown))
    sections = [_charts("Performance over time", [one for one in drawn if one.performance])]
    if window is not None:
        sections.append(distributions(window))
    sections += [_charts("Drift and data over time", [one for one in drawn if not one.performance])]
    sections += [_alerts(series), _deployments(series)]
    windows = {point.window for one in series.series for point in one.points}
    open_alerts = sum(not one.HasField("close_time") for one in series.episodes)
    facts = [
        ("From", f"{time_word(shown.start)} UTC"),
        ("To", f"{time_word(shown.end)} UTC"),
        ("Windows", count(len(windows))),
        ("Alerts", f"{count(len(series.episodes))}, {count(open_alerts)} open" if series.episodes else "none"),
    ]
    return Document(
        title=f"Monitor {tail(name)}" if name else "Monitor",
        subtitle=series.endpoint,
        summary=_summary(series, drawn),
        facts=facts if windows else facts[2:],
        sections=[one for one in sections if one],
        closing=_CLOSING,
    )


def _summary(series: GetSeriesResponse, drawn: Sequence[Drawn]) -> str:
    if not drawn:
        return "No window was evaluated in this time, so there is nothing to show."
    told = ["Diamonds are windows that failed; shaded is when an alert was open; dotted lines are deployments."]
    thinned = any(len(one.points) < one.windows for one in series.series)
    if thinned:
        told.append("There are more windows than can be seen: of neighbours the least and the greatest are shown.")
    if series.HasField("reaches_back_to"):
        told.append(f"Windows that ended before {time(series.reaches_back_to)} are left out: there are too many.")
    return " ".join(told)


def _charts(title: str, drawn: Iterable[Drawn]) -> Section:
    found = list(drawn)
    blocks: list[Block] = [Group([one.course for one in found])] if found else []
    return Section(title, [*blocks, *(one.numbers for one in found)])


def _alerts(series: GetSeriesResponse) -> Section:
    rows: list[list[Value]] = [
        [
            str(one.number),
            one.check,
            tail_of(one.version),
            time(one.open_time),
            time(one.close_time) if one.HasField("close_time") else "open",
        ]
        for one in reversed(series.episodes)
    ]
    return Section("Alerts", [Table(["alert", "check", "version", "from", "to"], rows)] if rows else [])


def _deployments(series: GetSeriesResponse) -> Section:
    rows: list[list[Value]] = [
        [time(one.time), ", ".join(f"{tail_of(share.version)} {share.percent} %" for share in one.shares) or "nobody"]
        for one in reversed(series.traffic)
    ]
    return Section("Deployments", [Table(["since", "who answered"], rows)] if rows else [])
