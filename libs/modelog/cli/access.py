"""Questions about access: may somebody do something, and why; who may do what in a project."""

from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, tail, time
from modelog.cli.failures import FAILED
from modelog.cli.names import Name
from modelog.cli.state import Noun, State
from modelog.cli.values import ParamType
from modelog.cli.verbs import arg, verb

_KINDS = ("project", "model", "version")


class _Anywhere(ParamType):
    """A full name of anything, the short one of a project, model or version, or `-` for the whole installation."""

    name = "where"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text in ("", "-"):
            return ""
        depth = min(text.count("/"), len(_KINDS) - 1)
        return Name(_KINDS[depth]).convert(text, param, ctx)


def _where(_state: State, request: Any, values: dict[str, Any]) -> None:
    request.resource = values["where"]


def _answered(state: State, decision: Any) -> int:
    """The exit status is the answer."""
    if state.as_json:
        render.print_json(render.plain(decision))
    else:
        word = Cell("yes", "green") if decision.allowed else Cell("no", "red")
        rows: list[list[Cell | str]] = [[word, decision.reason]]
        if click.get_current_context().params["why"]:
            rows += [["", decision.explanation], *_evidence(decision)]
        render.table(["allowed", "why"], rows)
    return 0 if decision.allowed else FAILED


def _evidence(decision: Any) -> list[list[Cell | str]]:
    """What the answer rests on: the binding, and the states of access by their revisions."""
    rows: list[list[Cell | str]] = []
    if decision.HasField("binding"):
        one = decision.binding
        limit = f" for {tail(one.model)}" if one.model else ""
        since = f" since {time(one.grant_time)}" if one.HasField("grant_time") else ""
        until = f" until {time(one.expire_time)}" if one.HasField("expire_time") else ""
        rows.append(["binding", f"{one.principal} {one.role}{limit} in {decision.project}{since}{until}"])
    rows += [[name, f"as of revision {revision}"] for name, revision in sorted(decision.revisions.items())]
    return rows


can = verb(
    "can",
    "registry.CheckAccess",
    "Whether WHO may do WHAT (a permission) at WHERE; exit status 1 when not. With --at, at that moment.",
    arg("principal"),
    arg("permission"),
    extra=(
        click.Argument(["where"], type=_Anywhere(), required=False, default="-"),
        click.Option(["--why"], is_flag=True, help="Also by which role, and on which states it was decided."),
    ),
    prepare=_where,
    show=_answered,
)


def _reviewed(state: State, report: Any) -> None:
    """Who holds what, then what should be looked at."""
    if state.as_json:
        return render.print_json(render.plain(report))
    rows = [
        [one.principal, one.owner, place, binding.role, tail(binding.model), _by(binding), *_times(binding)]
        for place, among in ((report.project, report.principals), ("all projects", report.everywhere))
        for one in among
        for binding in one.bindings
    ]
    render.table(["principal", "owner", "in", "role", "model", "by", "since", "until"], rows)
    for one in report.role_proposals:
        click.echo(f"proposed: {one.role} for {one.principal}, by {one.proposed_by} on {time(one.propose_time)}")
    if report.findings:
        render.items(report.findings, as_json=False)
    click.echo(f"{report.project} of revision {report.revision}, judged at {time(report.time)}", err=True)
    return None


def _by(binding: Any) -> str:
    if binding.emergency:
        return f"emergency {binding.emergency}"
    return f"{binding.granted_by} and {binding.confirmed_by}" if binding.confirmed_by else str(binding.granted_by)


def _times(binding: Any) -> list[str]:
    return [time(getattr(binding, one)) if binding.HasField(one) else "" for one in ("grant_time", "expire_time")]


access = Noun(
    "access",
    help="Who may do what in a project, for whoever reviews it.",
    commands=[
        verb(
            "review",
            "registry.ReviewAccess",
            "Who holds which role since when and by whose grant, and what should be looked at.",
            arg("name", "project"),
            show=_reviewed,
        ),
    ],
)
