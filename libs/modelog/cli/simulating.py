"""What alerts there would have been under other thresholds."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, number, tail
from modelog.cli.names import Name
from modelog.cli.state import Command, state_of, time_of
from modelog.cli.values import Pair

_AGO = re.compile(r"(\d+)([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_WORDS = {1: Cell("as it was"), 2: Cell("no longer", "yellow"), 3: Cell("newly", "red")}


@click.command(
    "simulate",
    cls=Command,
    method="monitoring.SimulateMonitor",
    short_help="What would have fired under other thresholds, checks or rules.",
    params=[
        click.Argument(["monitor"], type=Name("monitor")),
        click.Option(
            ["--thresholds", "file"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="YAML: `drift: 0.3` for each check, or whole `checks` and `rules` as `modelog apply` reads them.",
        ),
        click.Option(["--threshold"], type=Pair(click.FLOAT), multiple=True, help="CHECK=THRESHOLD. Repeat it."),
        click.Option(["--without-rules"], is_flag=True, help="As if the monitor had no rules."),
        click.Option(["--since"], required=True, help="From then on: 90d, 12h, 30m, or a time."),
    ],
)
@click.pass_context
def simulate(ctx: click.Context, /, **given: Any) -> int:
    """Judges the windows of the past again under other thresholds, checks or rules, and shows which alerts there were
    and would have been. Nothing is recorded.
    """
    from modelog.monitoring.v1.simulations_pb2 import SimulateMonitorRequest

    state = state_of(ctx)
    request = SimulateMonitorRequest(name=given["monitor"], without_rules=given["without_rules"])
    request.start_time.FromDatetime(_start(given["since"]))
    if given["file"] is not None:
        _read(given["file"], request)
    request.thresholds.update(dict(given["threshold"]))
    reply = state.call("monitoring.SimulateMonitor", request)
    if state.as_json:
        render.print_json(render.plain(reply))
    else:
        _show(reply)
    return 0


def _start(text: str) -> datetime:
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    return time_of(text, "--since", "say how long ago, like 90d, or since when: 2026-05-01T12:00:00Z")


def _read(path: Path, request: Any) -> None:
    from modelog.declare.documents import read_fields
    from modelog.declare.problems import Problems

    try:
        read_fields(path, request, ["checks", "rules", "thresholds"], alone="thresholds")
    except Problems as problems:
        raise click.UsageError(str(problems)) from problems


def _show(reply: Any) -> None:
    lines = [
        [
            _WORDS[one.simulated],
            one.rule or one.check,
            tail(one.version) if one.version else "all",
            one.segment,
            *_span(one.recorded if one.HasField("recorded") else None),
            *_span(one.simulated_span if one.HasField("simulated_span") else None),
            ", ".join(_action(one, action) for action in one.actions),
        ]
        for one in reply.alerts
    ]
    if lines:
        titles = ["fires", "cause", "version", "segment", "was open", "worst", "would be open", "worst", "then"]
        render.table(titles, lines)
    render.line(
        Cell(f"{reply.windows:,} windows: {reply.recorded_alerts} alerts were raised, "),
        Cell(f"{reply.simulated_alerts} would have been", "bold"),
    )
    if reply.expired_results:
        render.line(Cell(f"{reply.expired_results} results need profiles that are no longer kept", "yellow"))
    if reply.HasField("reaches_to"):
        render.line(Cell(f"only up to {reply.reaches_to.ToJsonString()}: go on with --since", "yellow"))


def _span(span: Any) -> tuple[str, str]:
    if span is None:
        return "", ""
    begin = f"window {span.from_window}" if span.from_window else "before"
    end = f"window {span.to_window}" if span.to_window else "replaced" if span.HasField("end_time") else "now"
    return f"{begin} to {end}", number(span.worst)


def _action(one: Any, action: int) -> str:
    field = one.DESCRIPTOR.fields_by_name["actions"]
    return str(field.enum_type.values_by_number[action].name).removeprefix("ACTION_").lower().replace("_", " ")
