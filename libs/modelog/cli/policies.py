"""Policies and lifecycles as documents: shipped templates, files, and what a project has."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from google.protobuf import json_format

from modelog.cli import render
from modelog.cli.names import Name
from modelog.cli.state import Noun, State, state_of
from modelog.cli.values import text_of
from modelog.cli.verbs import arg, verb

_FILE = click.Option(
    ["--file", "-f", "file"], type=click.Path(path_type=Path, allow_dash=True), help="JSON; - for stdin."
)


def read_message(path: Path, message: Any) -> Any:
    """A message from a file with its fields as JSON; a template's file may be taken as it is."""
    try:
        said = json.loads(text_of("-" if str(path) == "-" else f"@{path}"))
        if isinstance(said, dict) and isinstance(said.get("policy"), dict):
            said = said["policy"]
        return json_format.ParseDict(said, message)
    except (OSError, ValueError, json_format.ParseError) as error:
        name = message.DESCRIPTOR.name
        raise click.UsageError(f"{path} holds no {name} as JSON: {error}; see `modelog policies show`") from error


def shipped(name: str) -> Any:
    """A template; UsageError, naming those there are, for another name."""
    from modelog.sdk.templates import template

    try:
        return template(name)
    except KeyError as error:
        raise click.UsageError(str(error.args[0])) from error


def _policy(_state: State, request: Any, values: dict[str, Any]) -> None:
    if (values["template"] is None) == (values["file"] is None):
        raise click.UsageError("say --template NAME or --file FILE; `modelog policies templates` lists what is shipped")
    if values["template"] is not None:
        request.policy.CopyFrom(shipped(values["template"]).policy)
    else:
        read_message(values["file"], request.policy)
    request.policy.SetInParent()  # One without rules is a policy too.


def _lifecycle(_state: State, request: Any, values: dict[str, Any]) -> None:
    if values["file"] is None:
        raise click.UsageError("say --file FILE; `modelog --json lifecycles get PROJECT` writes one to begin with")
    read_message(values["file"], request.lifecycle)


policies = Noun(
    "policies",
    help="What versions must meet to move, as a document.",
    commands=[
        verb(
            "set",
            "registry.SetPolicy",
            "Replace a project's policy by a shipped template or a file.",
            arg("name", "project"),
            extra=(click.Option(["--template"], help="A shipped one; `policies templates` lists them."), _FILE),
            prepare=_policy,
        ),
    ],
)

lifecycles = Noun(
    "lifecycles",
    help="The stages of a project's versions, as a document.",
    commands=[
        verb(
            "set",
            "registry.SetLifecycle",
            "Replace the stages of a project's versions by those of a file.",
            arg("name", "project"),
            extra=(_FILE,),
            prepare=_lifecycle,
        ),
    ],
)


@policies.command("templates", short_help="The policies that are shipped.")
@click.pass_context
def _templates(ctx: click.Context) -> None:
    """The policies that are shipped, to begin with."""
    from modelog.sdk.templates import template, template_names

    found = [template(name) for name in template_names()]
    if state_of(ctx).as_json:
        return render.print_json([{"name": one.name, "title": one.title, "source": one.source} for one in found])
    lines = [[one.name, one.title, str(len(one.policy.rules)), one.source] for one in found]
    return render.table(["name", "title", "rules", "source"], lines)


@policies.command("show", short_help="What a shipped policy asks for, and where each requirement comes from.")
@click.argument("template")
@click.pass_context
def _show(ctx: click.Context, template: str) -> None:
    """What a shipped policy asks for; with --json a document for `policies set --file`."""
    one = shipped(template)
    if state_of(ctx).as_json:
        return render.print_json(_document(one.policy))
    render.table(["template", "title"], [[one.name, one.title]])
    print(f"\n{one.about}\nsource: {one.source}\n")
    return _tell(one.policy)


@policies.command("get", short_help="A project's policy.")
@click.argument("project", type=Name("project"))
@click.pass_context
def _get(ctx: click.Context, project: str) -> None:
    """A project's policy; with --json a document for `policies set --file`."""
    state = state_of(ctx)
    found = state.project(project)
    if state.as_json:
        return render.print_json(_document(found.policy))
    if not found.policy.rules:
        return render.items([], as_json=False)
    return _tell(found.policy)


@lifecycles.command("get", short_help="A project's stages.")
@click.argument("project", type=Name("project"))
@click.pass_context
def _get_lifecycle(ctx: click.Context, project: str) -> None:
    """A project's stages; with --json a document for `lifecycles set --file`."""
    state = state_of(ctx)
    lifecycle = state.project(project).lifecycle
    if state.as_json:
        return render.print_json(_document(lifecycle))
    return render.rows(lifecycle.stages)


def _document(message: Any) -> dict[str, Any]:
    """Only what is said, under the names that the protos give it."""
    made: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return made


def _tell(policy: Any) -> None:
    """A table of requirements for each move."""
    for rule in policy.rules:
        origin = f"from {rule.from_stage} " if rule.from_stage else ""
        models = f" (models {', '.join(rule.model_ids)})" if rule.model_ids else ""
        print(f"{origin}to {rule.to_stage}{models}")
        render.table(["", "requirement", "source"], list(_requirements(rule)))
        print()


def _requirements(rule: Any) -> Sequence[list[str]]:
    lines = [["document", field, rule.sources.get(field, "")] for field in rule.required_documentation]
    lines += [["gate", f"{gate.name}: {gate.expression}", rule.sources.get(gate.name, "")] for gate in rule.gates]
    lines += [["checklist", f"{item.id}: {item.text}{_terms(item)}", item.source] for item in rule.checklist]
    for one in rule.required_reviews:
        kind = _word(one, "kind")
        role = f" by holders of {one.role}" if one.role else ""
        lines.append(["review", f"{kind} x {one.count}{role}", rule.sources.get(f"review.{kind}", "")])
    if rule.findings_block_from:
        lines.append(["findings", f"none of {_word(rule, 'findings_block_from')} or above unsettled", ""])
    if rule.approval_valid_seconds:
        lines.append(["approvals", f"count for {rule.approval_valid_seconds / 86_400:g} days", ""])
    return lines


def _terms(item: Any) -> str:
    terms = ["evidence"] if item.evidence_required else []
    terms += [f"by {item.role}"] if item.role else []
    terms += ["not by makers"] if item.not_by_makers else []
    return f" ({', '.join(terms)})" if terms else ""


def _word(message: Any, field: str) -> str:
    from modelog.cli.cells import cell

    return cell(message, field).text
