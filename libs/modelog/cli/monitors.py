"""Monitors: what is watched, what it is compared with, what was seen; and outcomes that become known later."""

import csv
from pathlib import Path
from typing import Any

import click

from modelog.cli import baselines, pictures, predictions, simulating
from modelog.cli.state import Noun, State
from modelog.cli.values import Pair
from modelog.cli.verbs import arg, opt, verb

# As people type them behind --check; everything else about a check is left at its default.
_METHODS = {
    name: number
    for number, name in enumerate(
        "psi kolmogorov-smirnov accuracy missing-share error-rate volume wasserstein jensen-shannon hellinger"
        " kullback-leibler chi-square total-variation l-infinity drift dataset-drift out-of-range-share unseen-share"
        " invalid-share constant duplicate-share schema freshness precision recall f1 roc-auc pr-auc log-loss brier"
        " calibration-error mae rmse mape r2".split(),
        start=1,
    )
}
_METHODS |= {
    "balanced-accuracy": 45,
    "matthews-correlation": 46,
    "macro-f1": 47,
    "estimated-mae": 52,
    "estimated-rmse": 53,
    "ndcg": 58,
    "domain-classifier": 80,
    "pca-reconstruction": 81,
    "mmd": 82,
    "outlier-share": 83,
    "latency-quantile": 92,
    "saturation": 93,
}
_RETRAIN = 1
_CSV = click.Path(exists=True, dir_okay=False, path_type=Path)
_WATCHED = (
    opt("window.size_rows", "Rows in a window.", flag="--window-rows"),
    opt("window.size_seconds", "Or its length by event time.", flag="--window-seconds"),
    opt("window.step_rows", "A window ends after every so many rows, and overlaps those before.", flag="--step-rows"),
    opt("window.step_seconds", "The same by event time.", flag="--step-seconds"),
    opt("window.lateness_seconds", "How long after its end a window still takes rows.", flag="--lateness-seconds"),
    opt("window.segment_columns", "Judge the rows of each value of this column apart too.", flag="--segment"),
    opt("window.versions_together", "Judge all versions that answer as one.", flag="--versions-together"),
    opt("window.compare_with", "What windows are compared with; the baseline by default.", flag="--compare-with"),
    opt("window.baseline_windows", "So many windows before it, with earlier-windows.", flag="--baseline-windows"),
    opt("window.sample_rows", "Keep so many rows of each window, for checks that compare rows.", flag="--sample-rows"),
    opt("window.sample_days", "Keep them for so many days.", flag="--sample-days"),
    opt("checks", "A whole Check as JSON.", flag="--checks"),
    opt("rules", "A whole AlertRule as JSON.", flag="--rules"),
    opt("description", "What people call it."),
    opt("prediction_column", "The output that labels are compared with."),
)
_CHECKS = (
    click.Option(
        ["--check", "short_checks"],
        type=Pair(click.FLOAT),
        multiple=True,
        help=f"METHOD=THRESHOLD with METHOD one of {', '.join(_METHODS)}.",
    ),
    click.Option(
        ["--retrain"], type=click.Choice(list(_METHODS)), multiple=True, help="This check asks for retraining."
    ),
)


def _checks(_state: State, request: Any, values: dict[str, Any]) -> None:
    """Adds the checks given in short."""
    for method, threshold in values["short_checks"]:
        if method not in _METHODS:
            raise click.UsageError(f"--check: {method!r} is none of {', '.join(_METHODS)}")
        check = request.checks.add(id=method, method=_METHODS[method], threshold=threshold)
        if method in values["retrain"]:
            check.actions.append(_RETRAIN)
    if "monitor_id" in values and not request.checks:
        raise click.UsageError("say what to check: --check psi=0.2 or --checks @FILE")
    if "monitor_id" not in values and request.checks and "checks" not in request.update_mask.paths:
        request.update_mask.paths.append("checks")


def _outcomes(_state: State, request: Any, values: dict[str, Any]) -> None:
    columns = _columns(values["file"])
    beside = [*values["sensitive"], *([values["query"]] if values["query"] else [])]
    if missing := {values["id_column"], *beside} - set(columns):
        raise click.UsageError(f"{values['file']} has no column {', '.join(sorted(missing))}")
    if len(columns) != 2 + len(beside):
        raise click.UsageError(
            f"{values['file']} needs two columns, {values['id_column']} and the label;"
            " name others by --sensitive, --query"
        )
    request.prediction_ids.extend(columns.pop(values["id_column"]))
    for name in values["sensitive"]:
        request.sensitive.add(name=name, strings=columns.pop(name))
    if values["query"]:
        request.queries.extend(columns.pop(values["query"]))
    ((name, texts),) = columns.items()
    _fill(request.labels, texts)
    request.labels.name = name


def _columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        columns: dict[str, list[str]] = {name: [] for name in reader.fieldnames or ()}
        for row in reader:
            if None in row or None in row.values():
                raise click.UsageError(f"{path}: line {reader.line_num} has not one value a column")
            for name, text in row.items():
                columns[name].append(text)
    return columns


def _fill(column: Any, texts: list[str]) -> None:
    try:
        column.numbers.extend([float(text) if text else float("nan") for text in texts])
    except ValueError:
        column.strings.extend(texts)


monitors = Noun(
    "monitors",
    help="What is watched on an endpoint, and what was seen.",
    commands=[
        verb("list", "monitoring.ListMonitors", "The monitors of a project.", arg("parent", "project")),
        verb("get", "monitoring.GetMonitor", "One monitor, with where its checks stand.", arg("name", "monitor")),
        verb(
            "create",
            "monitoring.CreateMonitor",
            "Begin to watch an endpoint.",
            arg("parent", "project"),
            arg("monitor_id"),
            arg("endpoint", "endpoint"),
            *_WATCHED,
            extra=_CHECKS,
            prepare=_checks,
        ),
        verb(
            "update",
            "monitoring.UpdateMonitor",
            "Change what is watched; checks, or the window, are replaced as a whole.",
            arg("name", "monitor"),
            *_WATCHED,
            extra=_CHECKS,
            prepare=_checks,
        ),
        verb("pause", "monitoring.PauseMonitor", "Stop evaluating windows.", arg("name", "monitor")),
        verb("resume", "monitoring.ResumeMonitor", "Evaluate windows again.", arg("name", "monitor")),
        *baselines.commands,
        simulating.simulate,
        verb(
            "windows",
            "monitoring.ListWindows",
            "What each check said about each window, newest first.",
            arg("parent", "monitor"),
            opt("version", "Only of this version.", kind="version"),
            opt("check", "Only of this check."),
            opt("column", "Only of this column."),
            opt("start_time", "Only windows that ended at or after this.", flag="--from"),
            opt("end_time", "Only windows that ended before this.", flag="--to"),
        ),
        verb(
            "reevaluate",
            "monitoring.ReevaluateWindow",
            "Compute a window again and compare it with what was recorded.",
            arg("name", "monitor"),
            arg("window"),
        ),
        *pictures.commands,
        *predictions.commands,
    ],
)

outcomes = Noun(
    "outcomes",
    help="What turned out to be true of predictions.",
    commands=[
        verb(
            "record",
            "monitoring.RecordOutcomes",
            "Tell the true values of earlier predictions from a CSV file of two columns.",
            arg("endpoint", "endpoint"),
            extra=(
                click.Argument(["file"], type=_CSV),
                click.Option(["--id-column"], default="prediction_id", show_default=True, help="Ids of predictions."),
                click.Option(["--sensitive"], multiple=True, help="This column is counted by group, and kept nowhere."),
                click.Option(["--query"], help="The query of each row, for NDCG; all rows of a query in one file."),
            ),
            prepare=_outcomes,
        ),
    ],
)
