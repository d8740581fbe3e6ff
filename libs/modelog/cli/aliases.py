"""Aliases: movable pointers to versions, their history and their way back."""

from collections.abc import Sequence
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import enum, tail, time
from modelog.cli.names import Name
from modelog.cli.state import Noun, state_of
from modelog.cli.verbs import arg, opt, verb


def _moves(moves: Sequence[Any]) -> None:
    """From and to as numbers of the model, for its name is what was asked for."""
    kind = moves[0].DESCRIPTOR.fields_by_name["kind"]
    render.table(
        ["revision", "time", "alias", "move", "from", "to", "by", "reason"],
        [
            [
                str(one.revision),
                time(one.move_time),
                one.alias,
                enum(kind, one.kind),
                _number(one.from_version),
                _number(one.to_version),
                one.moved_by,
                one.reason,
            ]
            for one in moves
        ],
    )


def _number(version: str) -> str:
    return version.rpartition("/")[2] or "-"


aliases = Noun(
    "aliases",
    help="Movable pointers to versions: assign, swap, roll back. A policy can protect one.",
    commands=[
        verb(
            "assign",
            "registry.AssignAlias",
            "Point an alias to a version of the model.",
            arg("name", "model"),
            arg("alias"),
            arg("version", "version"),
        ),
        verb("remove", "registry.RemoveAlias", "Take an alias away.", arg("name", "model"), arg("alias")),
        verb(
            "swap",
            "registry.SwapAliases",
            "Let two aliases change places, in one fact.",
            arg("name", "model"),
            arg("alias"),
            arg("other_alias"),
        ),
        verb(
            "rollback",
            "registry.RollBackAlias",
            "Put back the version an alias pointed to before; done twice it goes back two moves.",
            arg("name", "model"),
            arg("alias"),
        ),
        verb(
            "history",
            "registry.ListAliasMoves",
            "How the aliases of a model have moved: who, when, why; newest first.",
            arg("parent", "model"),
            opt("alias", "Only of this alias."),
            tabulate=_moves,
        ),
    ],
)


@aliases.command("list", short_help="The aliases of a model, and where each can be rolled back to.")
@click.argument("name", type=Name("model"))
@click.pass_context
def _list(ctx: click.Context, name: str) -> None:
    """The aliases of a model, and where each can be rolled back to."""
    from modelog.registry.v1.registry_service_pb2 import GetModelRequest

    state = state_of(ctx)
    found = sorted(state.call("registry.GetModel", GetModelRequest(name=name)).aliases.items())
    if state.as_json:
        return render.print_json({alias: render.plain(one) for alias, one in found})
    if not found:
        return render.items([], as_json=False)
    rows = [[alias, tail(one.version), _back(one), time(one.assign_time), one.assigned_by] for alias, one in found]
    return render.table(["alias", "version", "rolls back to", "since", "by"], rows)


def _back(alias: Any) -> str:
    return str(alias.former_versions[-1]) if alias.former_versions else "-"
