"""What reviewers found about versions, and what checklists ask of them."""

from typing import Any

import click

from modelog.cli import render
from modelog.cli.names import Name
from modelog.cli.state import Noun, State, state_of
from modelog.cli.verbs import arg, opt, verb

_SHOWN = opt("evidence", "Address of something that shows it.")

findings = Noun(
    "findings",
    help="What reviewers found about versions; severe ones block moves until settled.",
    commands=[
        verb(
            "raise",
            "registry.RaiseFinding",
            "Record what you found.",
            arg("name", "version"),
            opt("severity", "How much it matters.", required=True),
            opt("title", "In a few words.", required=True),
            opt("text", "What it is."),
            opt("kind", "What was looked at.", required=True),
            _SHOWN,
        ),
        verb(
            "resolve",
            "registry.ResolveFinding",
            "Say how a finding was resolved; what its makers say, somebody else confirms.",
            arg("name", "version"),
            arg("finding"),
            opt("text", "How.", required=True),
            _SHOWN,
        ),
        verb(
            "confirm",
            "registry.ConfirmFinding",
            "Confirm that a finding is resolved as its answer says.",
            arg("name", "version"),
            arg("finding"),
        ),
        verb(
            "accept",
            "registry.AcceptFinding",
            "Accept a finding as it is, for good or until a time.",
            arg("name", "version"),
            arg("finding"),
            opt("text", "Why.", required=True),
            opt("expire_time", "Until when.", flag="--until"),
            _SHOWN,
        ),
        verb(
            "reopen",
            "registry.ReopenFinding",
            "Open a finding again that is not settled after all.",
            arg("name", "version"),
            arg("finding"),
            opt("text", "Why.", required=True),
        ),
    ],
)


def _answer(_state: State, request: Any, values: dict[str, Any]) -> None:
    if not values["result"]:
        raise click.UsageError("say --done or --not-applicable")
    request.result = 1 if values["result"] == "done" else 2


checklists = Noun(
    "checklists",
    help="What a policy wants gone through, and the answers.",
    commands=[
        verb(
            "answer",
            "registry.AnswerChecklist",
            "Answer an item for the present content of a version.",
            arg("name", "version"),
            arg("item"),
            opt("comment", "In your words; why, where it is not applicable."),
            _SHOWN,
            extra=(
                click.Option(["--done", "result"], flag_value="done", help="What it asks for was done."),
                click.Option(["--not-applicable", "result"], flag_value="not", help="It does not concern it."),
            ),
            prepare=_answer,
        ),
    ],
)


@findings.command("list", short_help="The findings of a version.")
@click.argument("name", type=Name("version"))
@click.option("--unsettled", is_flag=True, help="Only those that are open or wait for a confirmation.")
@click.pass_context
def _list(ctx: click.Context, name: str, unsettled: bool) -> None:
    """The findings of a version, oldest first."""
    state = state_of(ctx)
    found = [one for one in state.version(name).findings if not unsettled or one.state in (1, 2)]
    return render.items(found, as_json=state.as_json)


@checklists.command("list", short_help="What a policy asks of a version, and how it was answered.")
@click.argument("name", type=Name("version"))
@click.pass_context
def _items(ctx: click.Context, name: str) -> None:
    """Every item that the project's policy asks of versions of this model, with the answer that counts, if any."""
    from fnmatch import fnmatchcase

    state = state_of(ctx)
    version = state.version(name)
    project = state.project("/".join(name.split("/")[:2]))
    model = name.split("/")[3]
    rules = [
        rule
        for rule in project.policy.rules
        if not rule.model_ids or any(fnmatchcase(model, pattern) for pattern in rule.model_ids)
    ]
    asked = {item.id: (rule.to_stage, item) for rule in rules for item in rule.checklist}
    if state.as_json:
        answers = {key: render.plain(answer) for key, answer in sorted(version.checklist.items())}
        items = [{"to_stage": stage, "item": render.plain(item)} for stage, item in asked.values()]
        return render.print_json({"items": items, "answers": answers})
    lines = [[key, stage, item.text, _told(version, item), item.source] for key, (stage, item) in asked.items()]
    return render.table(["item", "to", "text", "answer", "source"], lines)


def _told(version: Any, item: Any) -> str:
    """The answer in a few words; `versions why` says more about one that does not count."""
    if item.id not in version.checklist:
        return "-"
    answer = version.checklist[item.id]
    word = "done" if answer.result == 1 else "not applicable"
    stale = answer.content_revision != version.content_revision or answer.text != item.text
    return f"{word} by {answer.answered_by}{' (stale: answer it again)' if stale else ''}"
