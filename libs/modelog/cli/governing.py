"""Verbs of versions about governance: why one cannot move, verdicts of the past, dependents, and the way back."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import cell, tail
from modelog.cli.failures import CONFLICT
from modelog.cli.state import State
from modelog.cli.text import clean
from modelog.cli.verbs import arg, opt, verb

_PASSED = 1
_NAMED = 5
_DOCUMENTATION = 2
# What a person types for the method of a next step; {name} is the short name, {gate} what failed.
_LINES = {
    "UpdateVersion": "modelog versions describe {name} {flag} '...'",
    "SetTag": "modelog versions tag {name} KEY VALUE",
    "RecordEvaluation": "modelog versions evaluate {name} EVALUATION --metric NAME=VALUE",
    "AnswerChecklist": "modelog checklists answer {name} {item} --done --evidence ADDRESS",
    "ResolveFinding": "modelog findings resolve {name} {number} --text '...'",
    "ConfirmFinding": "modelog findings confirm {name} {number}",
    "RequestTransition": "modelog stages request {name} {stage}",
    "SubmitReview": "modelog reviews submit {name} --kind {gate} --approve",
    "ReviewEmergency": "modelog emergencies review {project} NUMBER --justified",
}


def _why(state: State, reply: Any) -> int:
    """Every gate in a line; below each that failed, what to do next, the command for it, and who could."""
    if state.as_json:
        render.print_json(render.plain(reply))
        return 0 if reply.allowed else CONFLICT
    stage = str(click.get_current_context().params["to_stage"])
    out = render.console()
    word = "may move" if reply.allowed else "may not move"
    out.print(clean(f"{tail(reply.name)} {word} to {stage}"), style="bold green" if reply.allowed else "bold red")
    for gate in reply.gates:
        passed = gate.result == _PASSED
        source = f"  [{gate.source}]" if gate.source else ""
        mark, style = ("  ok      ", "green") if passed else ("  FAILED  ", "red")
        out.print(clean(f"{mark}{gate.name}: {gate.condition}{source}"), style=style)
        if not passed:
            _below(out, reply, gate, stage)
    out.print(f"policy of revision {reply.policy_revision}", style="dim")
    return 0 if reply.allowed else CONFLICT


def _below(out: Any, reply: Any, gate: Any, stage: str) -> None:
    out.print(clean(f"          because {gate.reason}"))
    for step in reply.next_steps:
        if (step.kind, step.gate, step.condition) != (gate.kind, gate.name, gate.condition):
            continue
        out.print(clean(f"          next: {step.text}"))
        if line := _line(step, tail(reply.name), stage):
            out.print(clean(f"          run:  {line}"))
        if step.permission:
            out.print(clean(f"          who:  {_who(step)}"))


def _line(step: Any, name: str, stage: str) -> str:
    return _LINES.get(step.method, "").format(
        name=name,
        gate=step.gate,
        flag="--" + step.gate.replace("_", "-") if step.kind == _DOCUMENTATION else "--TEXT",
        item=step.gate.removeprefix("checklist."),
        number=step.number,
        project=name.partition("/")[0],
        stage=stage,
    )


def _who(step: Any) -> str:
    if not step.principals:
        return f"nobody holds {step.permission} who is not barred; an administrator has to grant a role"
    return ", ".join(step.principals) + (" and others" if step.more else "")


def _what_if(_state: State, request: Any, values: dict[str, Any]) -> None:
    if values["policy_file"] is None and values["template"] is None:
        return
    if request.policy_revision or None not in (values["policy_file"], values["template"]):
        raise click.UsageError("say one of --policy-revision, --policy-file and --template")
    from modelog.cli.policies import read_message, shipped

    if values["template"] is not None:
        request.policy.CopyFrom(shipped(values["template"]).policy)
    else:
        read_message(values["policy_file"], request.policy)
    request.policy.SetInParent()


def _replayed(state: State, reply: Any) -> int:
    """What the verdict said beside what it comes to now; exit status 4 when they differ."""
    same = bool(reply.reproduced)
    if state.as_json:
        render.print_json(render.plain(reply))
        return 0 if same else CONFLICT
    verdict = reply.verdict
    policy = f"the policy of revision {reply.policy_revision}" if reply.policy_revision else "the given policy"
    out = render.console()
    moved = f"{tail(reply.name)} moved from {verdict.from_stage} to {verdict.to_stage} at revision {reply.revision}"
    out.print(clean(f"{moved}, by {verdict.decided_by}, under the policy of revision {verdict.policy_revision}"))
    if same:
        out.print(f"reproduced under {policy}: all {len(reply.gates)} gates agree", style="green")
        return 0
    out.print(f"under {policy} it {'may' if reply.allowed else 'may not'} move, and this differs:", style="yellow")
    render.table(["gate", "then", "now"], [[one.name, *_sides(one)] for one in reply.differences])
    return CONFLICT


def _sides(difference: Any) -> Iterator[str]:
    for side in ("before", "after"):
        gate = getattr(difference, side)
        if not difference.HasField(side):
            yield "not asked"
        else:
            yield cell(gate, "result").text + (f": {gate.reason}" if gate.reason else f": {gate.condition}")


def _dependents(state: State, reply: Any) -> None:
    """What hinders retiring first, then what only hangs on it."""
    if state.as_json:
        return render.print_json(render.plain(reply))
    lines = [["alias", one, "retiring"] for one in reply.aliases]
    lines += [["endpoint", tail(one), "retiring"] for one in reply.endpoints]
    lines += [["hold", tail(one), "retiring"] for one in reply.holds]
    lines += [["derived version", tail(one), ""] for one in reply.derived_versions]
    if not lines:
        return render.items([], as_json=False)
    render.table(["kind", "name", "hinders"], lines)
    if reply.more:
        click.echo(f"only the first {len(reply.derived_versions)} derived versions are shown", err=True)
    return None


def retired(state: State, reply: Any) -> None:
    """The reply, and on stderr what was derived from the version: it hinders nothing, but somebody may want to know."""
    from modelog.registry.v1.governance_pb2 import GetDependentsRequest
    from modelog.sdk import Refused

    dry = bool(click.get_current_context().params.get("validate_only"))
    render.reply(reply, as_json=state.as_json, dry=dry)
    try:
        derived = state.call("registry.GetDependents", GetDependentsRequest(name=reply.name)).derived_versions
    except Refused:
        return  # What was asked for is done, and not to know this takes nothing from it.
    if derived and not state.as_json:
        named = ", ".join(tail(one) for one in derived[:_NAMED])
        more = f" and {len(derived) - _NAMED} more" if len(derived) > _NAMED else ""
        click.echo(f"derived from it: {named}{more}", err=True)


def _deprecations(versions: Sequence[Any]) -> None:
    """What to use instead, and since when each should be gone."""
    of_deprecation = ("successor", "sunset_time", "deprecated_by", "message")
    paths = ("stage", *(f"deprecation.{one}" for one in of_deprecation))
    titles = ["version", "stage", "successor", "sunset", "deprecated by", "message"]
    render.table(titles, [[tail(one.name), *(cell(one, path) for path in paths)] for one in versions])


_TO = click.Option(["--to", "to_stage"], required=True, help="The stage it should come to.")
_IF = (
    click.Option(["--policy-file"], type=click.Path(path_type=Path), help="Under this policy instead, JSON."),
    click.Option(["--template"], help="Under a shipped policy instead."),
)


def _to(_state: State, request: Any, values: dict[str, Any]) -> None:
    request.to_stage = values["to_stage"]


def _to_and_what_if(state: State, request: Any, values: dict[str, Any]) -> None:
    _to(state, request, values)
    _what_if(state, request, values)


COMMANDS = [
    verb(
        "why",
        "registry.CheckTransition",
        "Why a version cannot move, what to do next, and who could; exit status 4 when it cannot.",
        arg("name", "version"),
        extra=(_TO,),
        prepare=_to,
        show=_why,
    ),
    verb(
        "replay-verdict",
        "registry.ReplayVerdict",
        "Judge a past move again, under the policy that applied or another; exit status 4 when it differs.",
        arg("name", "version"),
        opt("policy_revision", "Under the policy that the project had at this revision."),
        extra=(click.Option(["--to", "to_stage"], required=True, help="The stage it moved to."), *_IF),
        prepare=_to_and_what_if,
        show=_replayed,
    ),
    verb(
        "dependents",
        "registry.GetDependents",
        "Who depends on a version: aliases, endpoints, holds, derived versions.",
        arg("name", "version"),
        show=_dependents,
    ),
    verb(
        "deprecated",
        "registry.ListDeprecatedVersions",
        "Versions that should no longer be chosen; risk/- for all of a project.",
        arg("parent", "model"),
        opt("past_sunset", "Only those that should be retired by now."),
        tabulate=_deprecations,
    ),
    verb(
        "restore",
        "registry.RestoreVersion",
        "Bring a retired version back to the first stage; not by who made it.",
        arg("name", "version"),
    ),
]
