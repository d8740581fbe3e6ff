"""What windows are compared with, the thresholds found on the way, and what a window saw."""

from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, number
from modelog.cli.state import State
from modelog.cli.values import Pair
from modelog.cli.verbs import arg, opt, verb

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOST_BYTES = 3_500_000  # A call carries four mebibytes.
_BAR = 20
_MOST_COLUMNS = 10


def _baseline(_state: State, request: Any, values: dict[str, Any]) -> None:
    """Columns of a file, or the windows of a period."""
    request.importances.update(dict(values["importance"]))
    if values["file"] is None:
        if not request.HasField("reference"):
            raise click.UsageError("give a file (.parquet, .csv or .tsv), or a period with --from and --to")
        return
    if request.HasField("reference"):
        raise click.UsageError("give a file or a period, not both")
    outputs, label = set(values["output"]), values["label"]
    columns, of = _columns(values["file"])
    named = {one.name: one for one in columns}
    for option, wanted in (("--output", outputs), ("--label", {label} if label else set())):
        if missing := wanted - named.keys():
            raise click.UsageError(f"{option}: {values['file']} has no column {', '.join(sorted(missing))}")
    for column in columns:
        if column.name == label:
            request.values.labels.CopyFrom(column)
        else:
            (request.values.outputs if column.name in outputs else request.values.inputs).append(column)
    request.description = request.description or f"{values['file'].name}{of}"


def _columns(path: Path) -> tuple[list[Any], str]:
    """The columns, and in words which rows they hold where the file has more than a call carries."""
    from modelog.sdk.chunks import chunks
    from modelog.sdk.columns import columns_of

    every, taken, seen, total = 0, dict[str, list[Any]](), 0, 0
    try:
        for chunk in chunks(path):
            parts, total = columns_of(chunk.columns), chunk.total
            if not every:
                row_bytes = sum(one.size for one in parts) / max(1, len(parts[0]))
                every = max(1, -(-int(row_bytes * total) // _MOST_BYTES))
            for one in parts:
                taken.setdefault(one.name, []).extend(one.values()[-seen % every :: every])
            seen += len(parts[0])
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from error
    if not taken:
        raise click.UsageError(f"{path} holds no rows")
    whole = columns_of(taken)
    of = f", every {every}th of {total:,} rows" if every > 1 else ""
    return [one.rows(0, len(one)) for one in whole], of


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


_IMPORTANCE = click.Option(
    ["--importance"],
    type=Pair(click.FLOAT),
    multiple=True,
    help="COLUMN=WEIGHT: how much a column counts in explanations. Repeat it.",
)


def _weights(_state: State, request: Any, values: dict[str, Any]) -> None:
    request.importances.update(dict(values["importance"]))


commands = [
    verb(
        "baseline",
        "monitoring.CaptureBaseline",
        "Compare windows with a file (.parquet, .csv, .tsv), or with windows of a period, from now on.",
        arg("name", "monitor"),
        opt("description", "What it is made from; the file's name when not given."),
        opt("chunk_rows", "Rows of the chunks that thresholds are fitted on; as many as a window has by default."),
        opt("reference.start_time", "In place of a file: windows that ended after this.", flag="--from"),
        opt("reference.end_time", "Windows that ended at or before this.", flag="--to"),
        opt("reference.version", "Windows of this version.", kind="version", flag="--version"),
        extra=(
            click.Argument(["file"], type=_FILE, required=False),
            click.Option(["--output"], multiple=True, help="This column is an output of the model."),
            click.Option(["--label"], help="This one is what turned out to be true, which calibrates scores."),
            _IMPORTANCE,
        ),
        prepare=_baseline,
        show=_thresholds,
    ),
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
