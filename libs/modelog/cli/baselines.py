"""What windows are compared with, the thresholds found on the way, and what a window saw."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, number
from modelog.cli.names import Name
from modelog.cli.state import Command, State, state_of, time_of
from modelog.cli.values import Pair
from modelog.cli.verbs import arg, opt, verb

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ROOM = 1.2  # Rows behind the first thousands may be longer.
_BAR = 20
_MOST_COLUMNS = 10


_IMPORTANCE = click.Option(
    ["--importance"],
    type=Pair(click.FLOAT),
    multiple=True,
    help="COLUMN=WEIGHT: how much a column counts in explanations. Repeat it.",
)


@click.command(
    "baseline",
    cls=Command,
    method="monitoring.CaptureBaseline",
    short_help="Compare windows with a file (.parquet, .csv, .tsv), or with windows of a period, from now on.",
    params=[
        click.Argument(["monitor"], type=Name("monitor")),
        click.Argument(["file"], type=_FILE, required=False),
        click.Option(["--output", "outputs"], multiple=True, help="This column is an output of the model. Repeat it."),
        click.Option(["--label"], default="", help="This one is what turned out to be true, which calibrates scores."),
        click.Option(["--from", "start"], help="In place of a file: windows that ended after this."),
        click.Option(["--to", "end"], help="Windows that ended at or before this; now, when not given."),
        click.Option(["--version"], type=Name("version"), default="", help="Windows of this version."),
        click.Option(["--chunk-rows"], type=int, default=0, help="Rows of a chunk; those of a window by default."),
        click.Option(["--sample-rows"], type=int, default=0, help="Keep so many rows, for checks that compare rows."),
        click.Option(["--outlier-share"], type=float, default=0.0, help="Count this share of the rows as outliers."),
        _IMPORTANCE,
        click.Option(["--description"], default="", help="What it is made from; the file's name when not given."),
        click.Option(["--reason"], default="", help="Why; recorded with the fact."),
        click.Option(["--dry-run"], is_flag=True, help="Only say what thresholds it would give."),
    ],
)
@click.pass_context
def baseline(ctx: click.Context, /, **given: Any) -> int | None:
    """Windows are compared with a file of training data, or with windows that were judged before. Thresholds that are
    to fit are found on the way, and for every check how often it will fail by chance. A file that is larger than what
    a baseline takes is thinned evenly, and its description tells how.
    """
    state = state_of(ctx)
    if (given["file"] is None) == (given["start"] is None):
        raise click.UsageError("give a file (.parquet, .csv or .tsv), or a period with --from")
    fields = {
        "description": given["description"],
        "chunk_rows": given["chunk_rows"],
        "importances": dict(given["importance"]),
        "reason": given["reason"],
        "validate_only": given["dry_run"],
    }
    if given["file"] is None:
        return _thresholds(state, state.call("monitoring.CaptureBaseline", _of_period(given, fields)))
    from modelog.sdk.baselines import baseline_requests

    columns, of = _columns(given["file"])
    fields["description"] = fields["description"] or f"{given['file'].name}{of}"
    try:
        requests = list(
            baseline_requests(
                columns, monitor=given["monitor"], outputs=given["outputs"], label=given["label"], **fields
            )
        )
    except ValueError as error:
        raise click.UsageError(f"{given['file']}: {error}") from error
    requests[0].values.sample_rows, requests[0].values.outlier_share = given["sample_rows"], given["outlier_share"]
    replies = state.client().monitoring.StreamBaseline(iter(requests))
    return _thresholds(state, next(iter(replies)))


def _of_period(given: dict[str, Any], fields: dict[str, Any]) -> Any:
    from modelog.monitoring.v1.monitoring_service_pb2 import CaptureBaselineRequest

    request = CaptureBaselineRequest(name=given["monitor"], **fields)
    request.reference.version = given["version"]
    request.reference.start_time.FromDatetime(time_of(given["start"], "--from"))
    request.reference.end_time.FromDatetime(time_of(given["end"], "--to") if given["end"] else datetime.now(UTC))
    return request


def _columns(path: Path) -> tuple[dict[str, Any], str]:
    """The columns, and in words which rows they hold where the file has more than a baseline takes."""
    from modelog.sdk.baselines import MOST_BYTES
    from modelog.sdk.chunks import chunks
    from modelog.sdk.columns import columns_of

    every, taken, seen, total = 0, dict[str, list[Any]](), 0, 0
    try:
        for chunk in chunks(path):
            parts, total = columns_of(chunk.columns), chunk.total
            if not every:
                row_bytes = sum(one.size for one in parts) / max(1, len(parts[0]))
                every = max(1, math.ceil(row_bytes * total * _ROOM / MOST_BYTES))
            for one in parts:
                taken.setdefault(one.name, []).extend(one.values()[-seen % every :: every])
            seen += len(parts[0])
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from error
    if not taken:
        raise click.UsageError(f"{path} holds no rows")
    return taken, f", one in {every} of {total:,} rows" if every > 1 else ""


def _thresholds(state: State, reply: Any) -> int | None:
    if state.as_json:
        return render.reply(reply, as_json=True)
    render.line(Cell(f"{reply.name} is compared with {reply.digest[:12]} from revision {reply.revision} on"))
    if reply.thresholds:
        lines = [
            [
                one.check,
                _fitting(one.fitting),
                number(one.threshold),
                f"{number(one.least)} to {number(one.greatest)}",
                f"{one.failed_chunks} of {one.chunks}",
                f"{one.false_alarm_share:.1%} ({one.false_alarm_share_low:.1%} to {one.false_alarm_share_high:.1%})",
                number(one.false_alerts_in_1000_windows),
                number(one.false_alerts_in_1000_windows * one.windows_in_30_days / 1000)
                if one.windows_in_30_days
                else "",
            ]
            for one in reply.thresholds
        ]
        titles = ["check", "threshold", "is", "chunks had", "failed", "windows failing by chance"]
        render.table([*titles, "false alerts in 1,000 windows", "in 30 days"], lines)
    return None


def _fitting(fitting: int) -> str:
    return {2: "by deviations", 3: "by quantile"}.get(fitting, "given")


def _explained(state: State, reply: Any) -> int | None:
    if state.as_json:
        return render.reply(reply, as_json=True)
    by = "weights of columns" if reply.weighted else "all columns alike"
    render.line(Cell(f"{reply.check.id}: {reply.rows:,} rows beside {reply.baseline_rows:,}, {by}", "bold"))
    lines = []
    for one in reply.columns[:_MOST_COLUMNS]:
        result = one.result
        share = Cell("#" * round(one.contribution * _BAR), "red" if result.outcome == 2 else "")
        p_value = number(result.p_value) if result.HasField("p_value") else ""
        means = f"{number(one.mean_before)} > {number(one.mean_after)}" if one.HasField("mean_after") else ""
        lines.append([result.column, f"{one.contribution:.0%}", share, number(result.statistic), p_value, means])
        changed = sorted(one.parts, key=lambda part: -abs(part.after - part.before))[:3]
        lines += [["", "", f"  {part.part}", f"{part.before:.1%} > {part.after:.1%}", "", ""] for part in changed]
    render.table(["column", "explains", "", "statistic", "p-value", "mean"], lines)
    if len(reply.columns) > _MOST_COLUMNS:
        render.line(Cell(f"{len(reply.columns) - _MOST_COLUMNS} more columns with --json"))
    return None


def _weights(_state: State, request: Any, values: dict[str, Any]) -> None:
    request.importances.update(dict(values["importance"]))


commands = [
    baseline,
    verb(
        "explain",
        "monitoring.ExplainWindow",
        "Which columns moved in a window, how far, and how their parts changed.",
        arg("name", "monitor"),
        arg("window"),
        opt("check", "Of this check; of the first that failed when not given."),
        extra=(_IMPORTANCE,),
        prepare=_weights,
        show=_explained,
    ),
]
