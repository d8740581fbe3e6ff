"""What ran where: intervals as a list, as a picture over time, and who answered at one moment."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, tail
from modelog.cli.names import Name
from modelog.cli.state import Command, Noun, State, common_options, moment, state_of
from modelog.cli.values import Time
from modelog.cli.verbs import Field, arg, fill, opt, verb
from modelog.deployment.v1.deployment_service_pb2 import ListServingIntervalsRequest

_COLUMNS = 60
# Eighths of a line, by how much of the traffic a version had within a column.
_HEIGHTS = " ▁▂▃▄▅▆▇█"

FILTERS = (
    opt("endpoint", "Only of this endpoint.", kind="endpoint"),
    opt("version", "Only of this version.", kind="version"),
    opt("model", "Only of versions of this model.", kind="model"),
    opt("environment", "Only of this environment.", kind="environment"),
)
_BETWEEN = (
    opt("from_time", "What had not ended by then.", flag="--from"),
    opt("to_time", "What had begun before then.", flag="--to"),
)


def bars(
    intervals: Iterable[Any], start: datetime, end: datetime, columns: int = _COLUMNS
) -> dict[tuple[str, str], str]:
    """By (endpoint, version): one character a column, as high as the version's mean share within the column's time.

    An empty version stands for nobody. What had no share in a column, however short, is blank there; what had one is
    never blank, so that the shortest shift can be seen.
    """
    width = (end - start) / columns
    shares: dict[tuple[str, str], list[float]] = {}
    for one in intervals:
        begin = max(one.from_time.ToDatetime(tzinfo=UTC), start)
        until = min(one.to_time.ToDatetime(tzinfo=UTC) if one.HasField("to_time") else end, end)
        if until <= begin:
            continue
        line = shares.setdefault((one.endpoint, one.version), [0.0] * columns)
        percent = one.percent if one.version else 100
        for column in range(int((begin - start) / width), min(int((until - start) / width) + 1, columns)):
            left, right = start + column * width, start + (column + 1) * width
            overlap = (min(until, right) - max(begin, left)) / width
            line[column] += max(overlap, 0.0) * percent
    return {key: "".join(_height(share) for share in line) for key, line in shares.items()}


def _height(percent: float) -> str:
    most = len(_HEIGHTS) - 1
    return _HEIGHTS[0] if percent <= 0 else _HEIGHTS[max(min(round(percent / 100 * most), most), 1)]


def _timeline(**values: Any) -> None:
    state = state_of(click.get_current_context())
    request = ListServingIntervalsRequest(parent=values["parent"], include_gaps=True)
    fill(request, [*FILTERS, *_BETWEEN], values)
    found = _all(state, request)
    if state.as_json or not found:
        return render.items(found, as_json=state.as_json)
    now = datetime.now(UTC)
    start = values["from_time"] or min(one.from_time.ToDatetime(tzinfo=UTC) for one in found)
    end = values["to_time"] or now
    if end <= start:
        raise click.UsageError("--to has to be later than --from")
    lines: list[list[Cell | str]] = []
    for (endpoint, version), drawn in sorted(bars(found, start, end).items()):
        style = "" if version else "red"
        lines.append([tail(endpoint), Cell(tail(version) or "nobody", style), Cell(f"{drawn}|", style or "cyan")])
    render.table(["endpoint", "version", f"{start:%Y-%m-%d %H:%M:%SZ}  to  {end:%Y-%m-%d %H:%M:%SZ}"], lines)
    return None


def _all(state: State, request: Any) -> Sequence[Any]:
    from modelog.sdk import pages

    request.page_size = 500
    return list(pages(state.stub("deployment.ListServingIntervals", request), request))


def _answered(ctx: click.Context, **values: Any) -> None:
    """Who answered at one moment: every share that had begun by then and had not ended."""
    if ctx.invoked_subcommand is not None:
        return
    state = state_of(ctx)
    when = _when(state, values["moment"])
    request = ListServingIntervalsRequest(parent=_parent(state, values), include_gaps=True)
    fill(request, FILTERS, values)
    request.from_time.FromDatetime(when)
    request.to_time.FromDatetime(when + timedelta(microseconds=1))
    found = _all(state, request)
    if not (state.as_json or found):
        click.echo(f"nothing was there to serve at {when:%Y-%m-%d %H:%M:%SZ}", err=True)
        return
    render.items(found, as_json=state.as_json, tabulate=_table)


def _when(state: State, text: str) -> datetime:
    """`--at` behind the noun or before it; now when neither is given."""
    asked = moment(text or state.at) if text or state.at else datetime.now(UTC)
    if isinstance(asked, int):
        raise click.UsageError("--at takes a time here, like 2026-05-01T12:00")
    state.at = ""  # What is known now of that moment, not what was known then.
    return asked


def _parent(state: State, values: dict[str, Any]) -> str:
    named = [values[name] for name in ("project", "model", "version", "endpoint", "environment") if values[name]]
    if named:
        return "/".join(str(named[0]).split("/")[:2])
    from modelog.cli.deploy import project_of

    return f"projects/{project_of(state)}"


def _table(intervals: Sequence[Any]) -> None:
    render.table(
        ["endpoint", "version", "share", "ready", "since", "until", "asked for by", "approved by", "why"],
        [
            [
                tail(one.endpoint),
                Cell(tail(one.version) or "nobody", "" if one.version else "red"),
                f"{one.percent} %",
                str(one.ready_replicas) if one.version else "",
                f"{one.from_time.ToDatetime():%Y-%m-%d %H:%M:%SZ}",
                f"{one.to_time.ToDatetime():%Y-%m-%d %H:%M:%SZ}" if one.HasField("to_time") else "",
                " for ".join([one.requested_by, *one.on_behalf_of]),
                ", ".join(one.approved_by),
                one.cause,
            ]
            for one in intervals
        ],
    )


def _option(field: Field) -> click.Parameter:
    return field.parameter(ListServingIntervalsRequest.DESCRIPTOR)


serving = Noun(
    "serving",
    help="What ran where: at one moment with --at TIME, or between two with `intervals` and `timeline`.",
    invoke_without_command=True,
    callback=click.pass_context(_answered),
    params=[
        click.Option(["--at", "moment"], default="", metavar="TIME", help="The moment. [now]"),
        click.Option(["--project"], type=Name("project"), help="The project, where no other name says it."),
        *(_option(field) for field in FILTERS),
        *(one for one in common_options() if one.name != "at"),
    ],
    commands=[
        verb(
            "intervals",
            "deployment.ListServingIntervals",
            "What ran where, with what share, asked for and approved by whom; oldest first.",
            arg("parent", "project"),
            *FILTERS,
            *_BETWEEN,
            opt("clip", "Cut off what lies outside of --from and --to."),
            opt("include_gaps", "Also when nobody served.", flag="--gaps"),
            opt("descending", "Newest first.", flag="--newest-first"),
        ),
        Command(
            "timeline",
            params=[
                click.Argument(["parent"], type=Name("project"), metavar="PROJECT"),
                *(_option(field) for field in FILTERS),
                click.Option(["--from", "from_time"], type=Time(), help="Where it begins. [the first share]"),
                click.Option(["--to", "to_time"], type=Time(), help="Where it ends. [now]"),
            ],
            callback=_timeline,
            help="Who had how much of the traffic over time, drawn.",
            short_help="Who had how much of the traffic over time, drawn.",
        ),
    ],
)
