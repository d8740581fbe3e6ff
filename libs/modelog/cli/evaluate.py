"""Measure predictions here, and record what came out."""

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, number
from modelog.cli.names import Name
from modelog.cli.state import Command, State, state_of
from modelog.cli.values import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelog.registry.v1.types_pb2 import Evaluation

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TASKS = ("binary-classification", "multiclass-classification", "regression")


@click.command(cls=Command, short_help="Measure predictions here and record the result.")
@click.argument("version", type=Name("version"))
@click.argument("file", type=_FILE)
@click.option("--label", default="label", show_default=True, help="Column of what is true.")
@click.option("--prediction", default="", help="Column of what was predicted.")
@click.option(
    "--score", multiple=True, help="Column of scores, probabilities if all are 0..1; of many labels cat=p_cat."
)
@click.option("--positive", default="", help="The label that is looked for.")
@click.option("--threshold", type=float, default=0.5, show_default=True, help="Positive from this score on.")
@click.option("--slice", "slices", multiple=True, help="Column to measure by; a+b for combinations.")
@click.option("--sensitive", multiple=True, help="Column of groups to compare; only counts of it are kept.")
@click.option("--reference", type=Pair(), multiple=True, help="Group the others are compared with: sex=f.")
@click.option("--min-group", type=click.IntRange(0), default=10, show_default=True, help="Smaller groups are left out.")
@click.option("--task", type=click.Choice(_TASKS), help="Else found out from the columns.")
@click.option("--level", type=float, default=0.95, show_default=True, help="Confidence of the intervals.")
@click.option("--unit", default="", help="Unit of the labels, for example EUR.")
@click.option("--id", "evaluation_id", default="", help="Else the file's name.")
@click.option("--no-record", is_flag=True, help="Measure and show only; no service is called.")
@click.option("--reason", default="", help="Why; recorded with the fact.")
@click.option("--etag", default="", help="Only if the version still has this generation.")
@click.option("--request-id", default="", help="Repeat a lost request under its id.")
@click.option("--dry-run", is_flag=True, help="Only say whether it would be accepted.")
@click.pass_context
def evaluate(ctx: click.Context, /, version: str, file: Path, **values: Any) -> None:
    """Measure predictions here and record the result as an evaluation of a version.

    FILE has a column of labels, and of predictions or scores: .csv, .tsv, .npz, or .parquet with pyarrow. The rows stay
    here; sensitive columns leave nothing but counts of their groups.
    """
    state = state_of(ctx)
    measured = _measured(state, file, values)
    identifier = values["evaluation_id"] or re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")[:63] or "holdout"
    reply = None
    if not values["no_record"]:
        reply = _record(state, version, identifier, measured, values)
    if state.as_json:
        told = {"name": version, "evaluationId": identifier, "evaluation": render.plain(measured)}
        return render.print_json(told | ({"revision": str(reply.revision)} if reply is not None else {}))
    show(measured)
    if reply is not None:
        render.reply(reply, as_json=False, dry=values["dry_run"])
    return None


def _measured(state: State, file: Path, values: Mapping[str, Any]) -> "Evaluation":
    try:
        from modelog.evaluate import Choices
        from modelog.evaluate.files import Roles, measure_file
    except ImportError as error:
        raise click.ClickException(f"{error.name} is missing: pip install 'modelog[evaluate]'") from error
    roles = Roles(
        label=values["label"],
        prediction=values["prediction"],
        **_scores(values["score"]),
        slices=values["slices"],
        sensitive=values["sensitive"],
    )
    with _progress(quiet=state.as_json) as hear:
        choices = Choices(
            task=values["task"] or "",
            positive=values["positive"],
            threshold=values["threshold"],
            level=values["level"],
            minimum_rows=values["min_group"],
            reference=dict(values["reference"]),
            unit=values["unit"],
            progress=hear,
        )
        return measure_file(file, roles, choices)


def _scores(given: tuple[str, ...]) -> dict[str, Any]:
    """One column, or one for each label."""
    if len(given) == 1 and "=" not in given[0]:
        return {"score": given[0]}
    pairs = [one.partition("=") for one in given]
    if wrong := [one for one, equals, column in pairs if not (one and equals and column)]:
        raise click.UsageError(f"--score {wrong[0]}: of several labels say LABEL=COLUMN")
    return {"scores": {label: column for label, _, column in pairs}}


@contextmanager
def _progress(*, quiet: bool) -> "Iterator[Callable[[str, int, int], None]]":
    """A bar on a person's terminal, and nothing elsewhere."""
    from rich.progress import Progress

    console = render.console(stderr=True)
    with Progress(console=console, disable=quiet or not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda what, done, total: bar.update(task, description=what or "done", completed=done, total=total)


def _record(state: State, version: str, identifier: str, measured: "Evaluation", values: Mapping[str, Any]) -> Any:
    from modelog.registry.v1.registry_service_pb2 import RecordEvaluationRequest

    request = RecordEvaluationRequest(
        name=version,
        evaluation_id=identifier,
        evaluation=measured,
        reason=values["reason"],
        etag=values["etag"],
        request_id=values["request_id"],
        validate_only=values["dry_run"],
    )
    return state.call("registry.RecordEvaluation", request)


def show(told: "Evaluation") -> None:
    """Metrics with their intervals, then slices, then groups."""
    rows = told.rows
    lines = [[name, *_cells(told.metrics[name])] for name in sorted(told.metrics)]
    render.table([f"all {rows} rows", "value", "interval", "better"], lines)
    if told.slices:
        names = sorted({name for part in told.slices for name in part.metrics})
        lines = [[f"{one.column} = {one.value}", str(one.rows), *_values(one.metrics, names)] for one in told.slices]
        click.echo()
        render.table(["slice", "rows", *names], lines)
    for one in told.fairness:
        names = sorted({name for counts in one.groups.values() for name in counts.metrics})
        lines = [
            [group, str(one.groups[group].rows), *_values(one.groups[group].metrics, names)]
            for group in sorted(one.groups)
        ]
        click.echo()
        render.table([one.attribute, "rows", *names], lines)
        if one.suppressed_groups:
            click.echo(f"{one.suppressed_groups} groups of {one.suppressed_rows} rows together are left out", err=True)
        if one.metrics:
            click.echo()
            compared = [(name, _cells(one.metrics[name])) for name in sorted(one.metrics)]
            lines = [[name, value, better] for name, (value, _, better) in compared]
            render.table([f"over {one.attribute}", "value", "better"], lines)


def _cells(metric: Any) -> list[Cell | str]:
    interval = metric.interval
    held = f"{number(interval.low)} to {number(interval.high)}" if metric.HasField("interval") else ""
    return [f"{number(metric.value)} {metric.unit}".strip(), held, "higher" if metric.higher_is_better else "lower"]


def _values(metrics: Any, names: list[str]) -> list[str]:
    return [number(metrics[name].value) if name in metrics else "" for name in names]
