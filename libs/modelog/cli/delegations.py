"""Reviews in somebody else's place."""

import click

from modelog.cli import render
from modelog.cli.names import Name
from modelog.cli.state import state_of
from modelog.cli.verbs import arg, opt, verb

COMMANDS = [
    verb(
        "delegate",
        "registry.DelegateReviews",
        "Let somebody else review in your place for a while.",
        arg("name", "project"),
        arg("delegate"),
        opt("expire_time", "Until when, at most 90 days from now.", flag="--until", required=True),
        opt("kind", "Only reviews of this kind."),
        opt("model", "Only of this model.", kind="model"),
    ),
    verb(
        "end-delegation",
        "registry.EndDelegation",
        "End a delegation before its time.",
        arg("name", "project"),
        arg("delegation"),
    ),
]


@click.pass_context
def _delegations(ctx: click.Context, project: str) -> None:
    """Who reviews in whose place, until when."""
    state = state_of(ctx)
    found = state.project(project).delegations
    return render.items(found, as_json=state.as_json)


def listing(noun: click.Group) -> None:
    """Adds `delegations` to a noun."""
    argument = click.argument("project", type=Name("project"))
    noun.command("delegations", short_help="Who reviews in whose place, until when.")(argument(_delegations))
