"""Pictures of a monitor: a report as a page, SVG or PNG; without a file, series as lines of the terminal."""

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, number, tail
from modelog.cli.names import Name
from modelog.cli.state import Command, State, state_of
from modelog.cli.text import clean
from modelog.cli.values import Time
from modelog.cli.verbs import arg, opt, verb

if TYPE_CHECKING:
    from modelog.monitoring.v1.pictures_pb2 import GetDistributionsResponse, GetSeriesResponse, MetricSeries

_HEIGHTS = "▁▂▃▄▅▆▇█"
_CHARACTERS = 40
_PREDICTIONS, _FAILED = 1, 2
_SUFFIXES = {".html": "html", ".htm": "html", ".svg": "svg", ".png": "png"}


@click.command(
    "picture",
    cls=Command,
    method="monitoring.GetSeries",
    short_help="Draw how columns changed, and checks over time, with alerts and deployments.",
    params=[
        click.Argument(["name"], type=Name("monitor")),
        click.Option(["--check", "checks"], multiple=True, help="Only this check. Repeat it."),
        click.Option(["--column", "columns"], multiple=True, help="Only this column. Repeat it."),
        click.Option(["--version"], type=Name("version"), help="Only of this version."),
        click.Option(["--segment"], default="", help="Of this segment, country=DE."),
        click.Option(["--from", "--since", "start"], type=Time(), help="Only windows that ended at or after this."),
        click.Option(["--to", "end"], type=Time(), help="Only windows that ended before this."),
        click.Option(["--window"], type=click.IntRange(1), help="Distributions of this window; else of the newest."),
        click.Option(["--alert"], type=click.IntRange(1), help="Distributions of the window that raised this alert."),
        click.Option(["--bins"], type=click.IntRange(1, 128), default=20, help="Parts of numbers; 20."),
        click.Option(
            ["--out"],
            type=click.Path(dir_okay=False, writable=True, path_type=Path),
            help="Into this file: .html for a report with tables, .svg or .png for chats and slides.",
        ),
    ],
)
@click.pass_context
def picture(ctx: click.Context, /, **given: Any) -> int:
    """Draws a monitor. An .html file is a report on one page, light or dark, without scripts and without requests, with
    the numbers beside each chart. Without --out the series are told as lines in the terminal.

    --at draws what was known then.
    """
    state, out = state_of(ctx), given["out"]
    if given["window"] and given["alert"]:
        raise click.UsageError("give --window or --alert, not both")
    if out is not None and out.suffix.lower() not in _SUFFIXES:
        raise click.UsageError(f"--out: name a file that ends with {', '.join(_SUFFIXES)}")
    series = _series(state, given)
    if out is None:
        _tell(state, series)
    else:
        window = _window(state, given, series)
        _write(out, _drawn(out, given, series, window))
        _told(state, out, series, window)
    return 0


def _series(state: State, given: dict[str, Any]) -> "GetSeriesResponse":
    from modelog.monitoring.v1.pictures_pb2 import GetSeriesRequest

    request = GetSeriesRequest(
        name=given["name"],
        checks=given["checks"],
        columns=given["columns"],
        version=given["version"] or "",
        segment=given["segment"],
    )
    for side, field in (("start", request.start_time), ("end", request.end_time)):
        if given[side]:
            field.FromDatetime(given[side])
    reply: GetSeriesResponse = state.call("monitoring.GetSeries", request)
    return reply


def _window(state: State, given: dict[str, Any], series: "GetSeriesResponse") -> "GetDistributionsResponse | None":
    """Of the window asked for, or the newest one of predictions; None when there is none."""
    from modelog.monitoring.v1.pictures_pb2 import GetDistributionsRequest

    seen = [point.window for one in series.series if one.track == _PREDICTIONS for point in one.points]
    request = GetDistributionsRequest(name=given["name"], columns=given["columns"], bins=given["bins"])
    if given["alert"]:
        request.alert = given["alert"]
    elif given["window"] or seen:
        request.window = given["window"] or max(seen)
    else:
        return None
    reply: GetDistributionsResponse = state.call("monitoring.GetDistributions", request)
    return reply


def _drawn(
    out: Path, given: dict[str, Any], series: "GetSeriesResponse", window: "GetDistributionsResponse | None"
) -> bytes:
    from modelog.pictures import NoPng, report
    from modelog.pictures import render as rendered

    start, end = (given[side].timestamp() if given[side] else None for side in ("start", "end"))
    document = report(series, window, name=given["name"], start=start, end=end)
    try:
        return rendered(document, _SUFFIXES[out.suffix.lower()])
    except NoPng as error:
        raise click.UsageError(f"{error}; .svg and .html need nothing more") from error


def _write(out: Path, made: bytes) -> None:
    """Whole or not at all."""
    part = out.with_name(f".{out.name}.part")
    part.write_bytes(made)
    part.replace(out)


def _told(state: State, out: Path, series: "GetSeriesResponse", window: "GetDistributionsResponse | None") -> None:
    windows = len({point.window for one in series.series for point in one.points})
    expired = list(window.expired_profiles) if window is not None else []
    number_of = window.window.number if window is not None else 0
    if state.as_json:
        told = {"file": str(out), "windows": windows, "distributionsOf": str(number_of), "expiredProfiles": expired}
        return render.print_json(told)
    gone = f"; no distributions: the profiles of window {number_of} are no longer kept" if expired else ""
    return click.echo(clean(f"{out}: {windows} windows, {len(series.episodes)} alerts{gone}"))


def _tell(state: State, series: "GetSeriesResponse") -> None:
    if state.as_json:
        return render.print_json(render.plain(series))
    if not series.series:
        return click.echo("no window was evaluated in this time", err=True)
    ended = [point.end_time.ToDatetime(tzinfo=UTC) for one in series.series for point in one.points]
    between = f"{min(ended):%Y-%m-%d %H:%M} to {max(ended):%Y-%m-%d %H:%M}"
    titles = ["check", "column", "version", between, "newest", "fails"]
    return render.table(titles, [_line(one) for one in series.series])


def _line(one: "MetricSeries") -> Sequence[Cell | str]:
    newest = next((point for point in reversed(one.points) if point.HasField("value")), None)
    value = Cell("")
    if newest is not None:
        value = Cell(number(newest.value), "red" if newest.outcome == _FAILED else "green")
    limit = f"{'below' if one.fails_below else 'above'} {number(one.points[-1].threshold)}"
    return [one.check, one.column, tail(one.version), Cell(sparkline(one)), value, limit]


def _choose(_state: State, _request: Any, values: dict[str, Any]) -> None:
    if (values["window"] is None) is (values["alert"] is None):
        raise click.UsageError("say which window: --window or --alert")


def _show(state: State, reply: Any) -> None:
    """For people: each column with its parts, a bar for the share before and one for the share after."""
    if state.as_json:
        return render.print_json(render.plain(reply))
    from modelog.pages.words import percent
    from modelog.pictures.distributions import labels

    if reply.expired_profiles:
        click.echo(f"the profiles of window {reply.window.number} are no longer kept", err=True)
    rows: list[Sequence[Cell | str]] = []
    for one in reply.columns:
        missing = f"missing {percent(one.missing_before)} to {percent(one.missing_after)}"
        rows.append([Cell(one.column, "bold"), "", "", f"{percent(one.distance)} moved, {missing}"])
        for label, part in zip(labels(one.parts), one.parts, strict=True):
            both = f"{_bar(part.before)}|{_bar(part.after)}"
            rows.append([f"  {label}", percent(part.before), percent(part.after), Cell(both, "cyan")])
    render.table(["part", "before", "after", ""], rows)
    return None


def _bar(share: float, characters: int = 20) -> str:
    """Never empty where there is something, so that the least share can be seen."""
    return ("█" * max(round(share * characters), 1 if share else 0)).ljust(characters)


def sparkline(one: "MetricSeries", characters: int = _CHARACTERS) -> str:
    """The newest windows, a character each, from the least value to the greatest; a gap where there was none."""
    shown = [point.value if point.HasField("value") else None for point in one.points[-characters:]]
    there = [value for value in shown if value is not None]
    if not there:
        return " " * len(shown)
    most = max(map(abs, there)) or 1.0  # Divided by it first: the span of two large values is no number.
    low, wide = min(there) / most, max(there) / most - min(there) / most
    steps = len(_HEIGHTS) - 1
    return "".join(" " if one is None else _HEIGHTS[round((one / most - low) / (wide or 1) * steps)] for one in shown)


commands = [
    picture,
    verb(
        "distributions",
        "monitoring.GetDistributions",
        "Columns of a window beside what it was compared with, by their parts.",
        arg("name", "monitor"),
        opt("window", "Of this window."),
        opt("alert", "Of the window that raised this alert."),
        opt("columns", "Only this column. Repeat it.", flag="--column"),
        opt("most_columns", "So many that changed most; 20."),
        opt("bins", "Parts of numbers; 20."),
        opt("most_categories", "So many categories apart; 12."),
        prepare=_choose,
        show=_show,
    ),
]
