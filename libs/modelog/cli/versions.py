"""Versions: what was trained, and everything that is known about it."""

from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, tail
from modelog.cli.failures import CONFLICT
from modelog.cli.registering import register_many
from modelog.cli.state import Noun, State
from modelog.cli.values import Pair
from modelog.cli.verbs import arg, opt, verb

_DOCUMENTATION = (
    opt("documentation.summary", "In one paragraph."),
    opt("documentation.architecture", "How it is built."),
    opt("documentation.intended_use", "What it may be used for, and what not."),
    opt("documentation.assumptions", "What has to hold for its answers to be right."),
    opt("documentation.limitations", "Where it is known to fail."),
    opt("documentation.ethical_considerations", "Whom it may harm and what was done about it."),
    opt("documentation.caveats", "What else a user should know."),
)


def _register(_state: State, request: Any, values: dict[str, Any]) -> None:
    """The artifact, copied to where the services read it unless it is kept elsewhere, and the code that made it."""
    from modelog.sdk import git_source, upload_artifact
    from modelog.sdk.artifacts import describe_artifact

    path, kind = values["file"], values["artifact_format"] or ""
    if values["uri"]:
        request.artifact.CopyFrom(describe_artifact(path, values["uri"], artifact_format=kind))
    elif values["validate_only"]:
        request.artifact.CopyFrom(describe_artifact(path, "cas:sha256/unknown", artifact_format=kind))
        request.artifact.uri = f"cas:sha256/{request.artifact.sha256}"
    else:
        request.artifact.CopyFrom(upload_artifact(path, artifact_format=kind))
    if values["code"]:
        request.source.CopyFrom(git_source(values["code"]))


def _evaluate(_state: State, request: Any, values: dict[str, Any]) -> None:
    for name, higher in (("metrics", True), ("losses", False)):
        for key, number in values[name]:
            request.evaluation.metrics[key].value = number
            request.evaluation.metrics[key].higher_is_better = higher
    if not request.HasField("evaluation"):
        raise click.UsageError("say what was measured: --metric, --loss or --evaluation")


def _checked(state: State, reply: Any) -> int:
    """Every gate; the exit status says whether the version may move."""
    if state.as_json:
        render.print_json(render.plain(reply))
    else:
        render.items(reply.gates, as_json=False)
        word = Cell("allowed", "green") if reply.allowed else Cell("not allowed", "red")
        render.table(["outcome", "policy of revision"], [[word, str(reply.policy_revision)]])
    return 0 if reply.allowed else CONFLICT


def _compared(state: State, reply: Any) -> None:
    """One column a version; the best of a metric is marked."""
    if state.as_json:
        return render.print_json(render.plain(reply))
    rows: list[list[Cell | str]] = [[field.path, *field.values] for field in reply.fields]
    for metric in reply.metrics:
        row: list[Cell | str] = [metric.path]
        for name, one in zip(reply.names, metric.values, strict=True):
            text = f"{one.value:g}" if one.HasField("value") else ""
            row.append(Cell(f"{text} best", "green") if name in metric.best else text)
        rows.append(row)
    return render.table(["", *(tail(name) for name in reply.names)], rows)


_FILE = click.Argument(["file"], type=click.Path(exists=True, dir_okay=False, path_type=Path))
_REGISTER = (
    click.Option(["--format", "artifact_format"], help="Else the file's suffix."),
    click.Option(["--uri"], help="Where the file is kept, when the services shall not get a copy of it."),
    click.Option(["--code"], type=click.Path(exists=True), help="The training code: its git commit is recorded."),
)
_NUMBER = Pair(click.FLOAT)
_EVALUATE = (
    click.Option(["--metric", "metrics"], type=_NUMBER, multiple=True, help="auc=0.91; higher is better."),
    click.Option(["--loss", "losses"], type=_NUMBER, multiple=True, help="mae=2.1; lower is better."),
)

versions = Noun(
    "versions",
    help="Trained artifacts: register, describe, evaluate, compare, retire.",
    commands=[
        verb(
            "list",
            "registry.ListVersions",
            "The versions of a model; risk/- for all of a project.",
            arg("parent", "model"),
        ),
        verb("get", "registry.GetVersion", "One version, with all that is known about it.", arg("name", "version")),
        verb(
            "register",
            "registry.RegisterVersion",
            "Register a trained artifact as the next version of a model.",
            arg("parent", "model"),
            opt("signature", "What goes in and what comes out, a Signature as JSON."),
            opt("training_data", "A DataSet as JSON.", flag="--data"),
            opt("hyperparameters", "Setting of the training.", flag="--param"),
            opt("framework", "For example scikit-learn 1.9."),
            opt("parent_version", "The version it was derived from.", kind="version"),
            opt("answers", "The retraining it answers.", kind="retraining"),
            opt("author", "Who trained it; the caller when not given."),
            opt("tags", "Label: key=value.", flag="--tag"),
            opt("origin", "Where it was before, an Origin as JSON; for importers."),
            *_DOCUMENTATION,
            extra=(_FILE, *_REGISTER),
            prepare=_register,
        ),
        register_many,
        verb(
            "describe",
            "registry.UpdateVersion",
            'Change what is written about a version; an empty text ("") clears it.',
            arg("name", "version"),
            *_DOCUMENTATION,
            opt("documentation.properties", 'Free typed property: name={"number": 3}.', flag="--property"),
        ),
        verb(
            "evaluate",
            "registry.RecordEvaluation",
            "Record a measurement of a version, replacing an earlier one of the same id.",
            arg("name", "version"),
            arg("evaluation_id"),
            opt("evaluation", "A whole Evaluation as JSON, with slices and fairness."),
            opt("evaluation.data_set.name", "What it was measured on.", flag="--data-set"),
            opt("evaluation.method", "How it was measured."),
            opt("happen_time", "When it was measured, if long before; for importers.", flag="--happened"),
            extra=_EVALUATE,
            prepare=_evaluate,
        ),
        verb(
            "check",
            "registry.CheckTransition",
            "Whether a version could move to a stage now; exit status 4 when not.",
            arg("name", "version"),
            arg("to_stage"),
            show=_checked,
        ),
        verb(
            "compare",
            "registry.CompareVersions",
            "What differs between versions, and which is better in each metric.",
            arg("names", "version"),
            opt("include_equal", "Also what is the same in all."),
            show=_compared,
        ),
        verb("tag", "registry.SetTag", "Label a version.", arg("name", "version"), arg("key"), arg("value")),
        verb("untag", "registry.RemoveTag", "Take a label away.", arg("name", "version"), arg("key")),
        verb(
            "deprecate",
            "registry.DeprecateVersion",
            "Say that a version should no longer be chosen; it goes on serving.",
            arg("name", "version"),
            opt("successor", "What to use instead.", kind="version"),
            opt("message", "For people."),
            opt("sunset_time", "When it is meant to be retired.", flag="--sunset"),
        ),
        verb("retire", "registry.RetireVersion", "End the life of a version.", arg("name", "version")),
    ],
)
