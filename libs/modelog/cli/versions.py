"""Versions: what was trained, and everything that is known about it."""

from pathlib import Path
from typing import Any

import click

from modelog.cli import artifacts, provenance, render
from modelog.cli.cells import Cell
from modelog.cli.comparison import compare
from modelog.cli.described import DOCUMENTATION, file_option, from_file
from modelog.cli.failures import CONFLICT
from modelog.cli.governing import COMMANDS as GOVERNING
from modelog.cli.governing import retired
from modelog.cli.registering import register_many
from modelog.cli.state import Noun, State
from modelog.cli.values import Pair
from modelog.cli.verbs import NARROWED, arg, opt, verb


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


_FILE = click.Argument(["file"], type=click.Path(exists=True, path_type=Path))
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
            *NARROWED,
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
            *DOCUMENTATION,
            extra=(_FILE, *artifacts.REGISTER),
            prepare=artifacts.register,
            show=artifacts.registered,
        ),
        register_many,
        verb(
            "describe",
            "registry.UpdateVersion",
            'Change what is written about a version; an empty text ("") clears it.',
            arg("name", "version"),
            *DOCUMENTATION,
            opt("documentation.properties", 'Free typed property: name={"number": 3}.', flag="--property"),
            extra=(file_option("Fields of Documentation"),),
            prepare=from_file("documentation", DOCUMENTATION),
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
        compare,
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
        verb("retire", "registry.RetireVersion", "End the life of a version.", arg("name", "version"), show=retired),
        *GOVERNING,
        *artifacts.COMMANDS,
        *provenance.COMMANDS,
    ],
)
