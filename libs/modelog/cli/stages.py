"""Moving a version through its life: requests, reviews, changes of stage."""

from typing import Any

import click

from modelog.cli import delegations, render
from modelog.cli.names import Name
from modelog.cli.state import Noun, State, state_of
from modelog.cli.verbs import arg, opt, verb

_APPROVE, _REJECT = 1, 2


def _transition(state: State, request: Any, values: dict[str, Any]) -> None:
    """The number of the request that is meant: the version's newest unless said."""
    if not request.transition:
        version = _version(state, request.name)
        request.transition = version.transition.number
    if "decision" in values:
        request.decision = _REJECT if values["decision"] == "reject" else _APPROVE


def _version(state: State, name: str) -> Any:
    version = state.version(name)
    if not version.HasField("transition"):
        raise click.ClickException(f"nobody has asked to move {name}: see `modelog stages request`")
    return version


_DECISION = (
    click.Option(["--approve", "decision"], flag_value="approve", help="Yes."),
    click.Option(["--reject", "decision"], flag_value="reject", help="No: the request is rejected."),
)


def _decide(state: State, request: Any, values: dict[str, Any]) -> None:
    if values["decision"] is None:
        raise click.UsageError("say --approve or --reject")
    _transition(state, request, values)


stages = Noun(
    "stages",
    help="How far a version's life has come, and moving it on. `versions check` tells what is in the way.",
    commands=[
        verb(
            "change",
            "registry.ChangeStage",
            "Move a version to another stage.",
            arg("name", "version"),
            arg("to_stage"),
        ),
        verb(
            "request",
            "registry.RequestTransition",
            "Ask for reviews of a move to another stage.",
            arg("name", "version"),
            arg("to_stage"),
        ),
        verb(
            "withdraw",
            "registry.WithdrawTransition",
            "Take a request back.",
            arg("name", "version"),
            opt("transition", "Number of the request; the newest when not given."),
            prepare=_transition,
        ),
    ],
)

reviews = Noun(
    "reviews",
    help="Answers to a request to move a version on.",
    commands=[
        verb(
            "submit",
            "registry.SubmitReview",
            "Answer the open request of a version.",
            arg("name", "version"),
            opt("kind", "What was looked at.", required=True),
            opt("comment", "In your words."),
            opt("evidence", "Address of what you relied on."),
            opt("transition", "Number of the request; the newest when not given."),
            opt("delegated_by", "In whose place, when they delegated it to you.", flag="--for"),
            extra=_DECISION,
            prepare=_decide,
        ),
        *delegations.COMMANDS,
    ],
)
delegations.listing(reviews)


@reviews.command("list", short_help="The newest request of a version, and its reviews.")
@click.argument("name", type=Name("version"))
@click.pass_context
def _list(ctx: click.Context, name: str) -> None:
    """The newest request of a version, and its reviews."""
    state = state_of(ctx)
    transition = _version(state, name).transition
    if state.as_json:
        return render.print_json(render.plain(transition))
    if transition.reviews:
        render.items(transition.reviews, as_json=False)
    transition.ClearField("reviews")
    return render.details(transition)
