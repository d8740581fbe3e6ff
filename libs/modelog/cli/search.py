"""Search over projects, models and versions."""

from collections.abc import Sequence
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.state import State
from modelog.cli.verbs import opt, verb

_KINDS = {"project": 1, "model": 2, "version": 3}
_MODEL_PARTS = 2


def _asked(_state: State, request: Any, values: dict[str, Any]) -> None:
    request.query = " ".join(values["words"])
    request.kinds.extend(_KINDS[one] for one in dict.fromkeys(values["kinds"]))
    request.within = _place(values["place"])


def _place(text: str) -> str:
    """`risk` and `risk/fraud` in full; a full name is taken as it is."""
    if not text or text.startswith("projects/"):
        return text
    parts = text.split("/")
    if len(parts) > _MODEL_PARTS:
        raise click.BadParameter(f"{text!r} is no project and no model; write risk or risk/fraud", param_hint="--in")
    return "/".join(f"{collection}/{one}" for collection, one in zip(("projects", "models"), parts, strict=False))


def _found(results: Sequence[Any]) -> None:
    """A name, what it is, and the text that matched; *so* on paper as on a terminal."""
    rows: list[list[Cell | str]] = []
    for one in results:
        about = one.version.stage if one.HasField("version") else (one.model.details.title or one.project.title)
        pieces = (f"*{piece.text}*" if piece.matched else piece.text for piece in one.snippet)
        rows.append([one.name, about, "".join(pieces)])
    render.table(["name", "stage or title", "text"], rows)


search = verb(
    "search",
    "registry.Search",
    "Find models and versions by words, among which conditions may stand: card fraud stage = production.",
    opt("filter", "Conditions that hold besides: tags.team = risk AND metrics.auc >= 0.9."),
    extra=(
        click.Argument(["words"], nargs=-1),
        click.Option(["--kind", "kinds"], type=click.Choice(list(_KINDS)), multiple=True, help="Only these kinds."),
        click.Option(["--in", "place"], default="", metavar="PROJECT|MODEL", help="Only what lies in it."),
    ),
    prepare=_asked,
    tabulate=_found,
)
