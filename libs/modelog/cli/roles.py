"""Who may do what in a project: roles, accounts for jobs, and roles taken in an emergency."""

from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, tail, time
from modelog.cli.names import Name
from modelog.cli.state import Noun, State, state_of
from modelog.cli.verbs import arg, opt, verb

_MODEL = opt("model", "Only for this model.", kind="model")


def _told(state: State, reply: Any) -> None:
    """A proposal is no grant yet, which nobody should overlook."""
    render.reply(reply, as_json=state.as_json, dry=not reply.revision)
    if reply.state == 2 and not state.as_json:
        click.echo("proposed: a second administrator has to grant the same", err=True)


roles = Noun(
    "roles",
    help="Who may do what. What leads into production takes two administrators to grant.",
    commands=[
        verb(
            "grant",
            "registry.GrantRole",
            "Give a role to a principal, or confirm that another administrator gave it.",
            arg("name", "project"),
            arg("principal"),
            arg("role"),
            _MODEL,
            opt("expire_time", "Until when.", flag="--until"),
            show=_told,
        ),
        verb(
            "revoke",
            "registry.RevokeRole",
            "Take a role away, or withdraw what was only proposed.",
            arg("name", "project"),
            arg("principal"),
            arg("role"),
            _MODEL,
        ),
        verb(
            "define",
            "registry.DefineRole",
            "Define a role of the project's own, or replace what it consists of.",
            arg("name", "project"),
            arg("role"),
            opt("definition.permissions", "For example registry.tags.set.", flag="--permission", required=True),
            opt("definition.description", "What it is for."),
        ),
        verb(
            "remove",
            "registry.RemoveRole",
            "Remove a role of the project's own that nobody holds.",
            arg("name", "project"),
            arg("role"),
        ),
    ],
)


@roles.command("list", short_help="Who holds which role, and what waits for a second administrator.")
@click.argument("name", type=Name("project"), metavar="PROJECT")
@click.pass_context
def _roles(ctx: click.Context, name: str) -> None:
    """Who holds which role, and what waits for a second administrator."""
    state = state_of(ctx)
    project = state.project(name)
    if state.as_json:
        parts = ("roles", "roleProposals", "roleDefinitions")
        return render.print_json({part: value for part, value in render.plain(project).items() if part in parts})
    rows = [_binding(one) for one in project.roles]
    for one in project.role_proposals:
        by = f"{one.proposed_by}, to be confirmed"
        rows.append([one.principal, Cell(one.role, "yellow"), tail(one.model), by, *_times(one, "propose_time")])
    render.table(["principal", "role", "model", "by", "since", "until"], rows)
    if project.role_definitions:
        own = project.role_definitions.items()
        render.table(["own role", "permissions"], [[role, " ".join(one.permissions)] for role, one in sorted(own)])
    return None


def _binding(one: Any) -> list[Cell | str]:
    by = f"{one.granted_by} and {one.confirmed_by}" if one.confirmed_by else one.granted_by
    by = f"emergency {one.emergency}" if one.emergency else by
    style = "red" if one.emergency else ""
    return [one.principal, Cell(one.role, style), tail(one.model), by, *_times(one, "grant_time")]


def _times(one: Any, since: str) -> list[Cell | str]:
    """Since when and until when."""
    return [time(getattr(one, since)), time(one.expire_time) if one.HasField("expire_time") else ""]


accounts = Noun(
    "accounts",
    help="Accounts for jobs, each owned by a person who answers for it.",
    commands=[
        verb(
            "register",
            "registry.RegisterServiceAccount",
            "Register an account, or give it another description or owner.",
            arg("name", "project"),
            arg("account"),
            opt("owner", "The person who owns it, users/ada.", required=True),
            opt("description", "What it is for."),
        ),
        verb(
            "remove",
            "registry.RemoveServiceAccount",
            "Remove an account with all its roles, for good.",
            arg("name", "project"),
            arg("account"),
        ),
    ],
)


@accounts.command("list", short_help="The accounts of a project, and who owns them.")
@click.argument("name", type=Name("project"), metavar="PROJECT")
@click.pass_context
def _accounts(ctx: click.Context, name: str) -> None:
    """The accounts of a project, and who owns them."""
    state = state_of(ctx)
    project = state.project(name)
    if state.as_json:
        return render.print_json(render.plain(project)["serviceAccounts"])
    rows = [
        [account, one.owner, one.description, time(one.register_time), "removed" if one.HasField("remove_time") else ""]
        for account, one in sorted(project.service_accounts.items())
    ]
    return render.table(["account", "owner", "description", "since", ""], rows)


def _verdict(_state: State, request: Any, values: dict[str, Any]) -> None:
    if values["verdict"] is None:
        raise click.UsageError("say --justified or --unjustified")
    request.justified = values["verdict"] == "justified"


_VERDICT = (
    click.Option(["--justified", "verdict"], flag_value="justified", help="It was right to take the role."),
    click.Option(["--unjustified", "verdict"], flag_value="unjustified", help="It was not."),
)

emergencies = Noun(
    "emergencies",
    help="Roles taken for an hour without being granted. Left without review for a day, they stop approvals.",
    commands=[
        verb(
            "declare",
            "registry.DeclareEmergency",
            "Take a role, in person; say why by --reason.",
            arg("name", "project"),
            arg("role"),
            opt("duration", "For how long, at most 1h.", flag="--for", required=True),
        ),
        verb(
            "review",
            "registry.ReviewEmergency",
            "Say whether it was right to take a role; one that still runs ends.",
            arg("name", "project"),
            arg("emergency"),
            opt("comment", "In your words."),
            extra=_VERDICT,
            prepare=_verdict,
        ),
    ],
)


@emergencies.command("list", short_help="The emergencies of a project, newest last.")
@click.argument("name", type=Name("project"), metavar="PROJECT")
@click.pass_context
def _emergencies(ctx: click.Context, name: str) -> None:
    """The emergencies of a project, newest last."""
    state = state_of(ctx)
    render.items(state.project(name).emergencies, as_json=state.as_json)
