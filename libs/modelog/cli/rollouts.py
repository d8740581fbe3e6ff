"""Rollouts: changes of what an endpoint serves."""

from typing import Any

import click

from modelog.cli import strategies
from modelog.cli.environments import APPROVING
from modelog.cli.names import Name
from modelog.cli.state import Noun, State, state_of
from modelog.cli.verbs import arg, opt, verb
from modelog.cli.watch import watch


def strategy_of(_state: State, request: Any, values: dict[str, Any]) -> None:
    """Puts the strategy that the options describe into the request; exactly one kind."""
    strategies.fill(request.strategy, values)


# How a version takes over, for every command that starts a rollout.
OPTIONS = (
    *strategies.options(),
    click.Option(["--watch"], is_flag=True, help="Show its progress until it ends; exit status 1 when it goes back."),
)


def started(state: State, reply: Any) -> int | None:
    """Shows the reply, or with --watch what becomes of the rollout."""
    from modelog.cli import render

    ctx = click.get_current_context()
    if not ctx.params["watch"] or ctx.params["validate_only"]:
        return render.reply(reply, as_json=state.as_json, dry=ctx.params["validate_only"])
    return watch(state, reply.name)


rollouts = Noun(
    "rollouts",
    help="Changes of what an endpoint serves.",
    commands=[
        verb(
            "list",
            "deployment.ListRollouts",
            "The rollouts of an endpoint; risk/- for all of a project.",
            arg("parent", "endpoint"),
        ),
        verb("get", "deployment.GetRollout", "One rollout.", arg("name", "rollout")),
        verb(
            "start",
            "deployment.RequestRollout",
            "Let a version take over an endpoint.",
            arg("parent", "endpoint"),
            arg("version", "version"),
            opt("strategy", "A whole Strategy as JSON."),
            extra=OPTIONS,
            prepare=strategy_of,
            show=started,
        ),
        verb("pause", "deployment.PauseRollout", "Hold a rollout at its present share.", arg("name", "rollout")),
        verb("resume", "deployment.ResumeRollout", "Let a paused rollout go on.", arg("name", "rollout")),
        *APPROVING,
        verb(
            "rollback",
            "deployment.RollBack",
            "Bring back what an endpoint served before.",
            arg("parent", "endpoint"),
        ),
    ],
)


@rollouts.command("watch", short_help="Show a rollout's progress until it ends.", method="deployment.WatchRollout")
@click.argument("name", type=Name("rollout"))
@click.pass_context
def _watch(ctx: click.Context, name: str) -> int:
    """Show a rollout's progress until it ends; exit status 1 when it goes back or fails."""
    return watch(state_of(ctx), name)
