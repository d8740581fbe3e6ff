"""`modelog deploy fraud@3 --to prod/fraud-eu`: a version onto an endpoint, by the names people use."""

from typing import Any

import click

from modelog.cli.rollouts import OPTIONS, started, strategy_of
from modelog.cli.settings import default_project
from modelog.cli.state import Command, State, state_of
from modelog.cli.values import find, type_of
from modelog.deployment.v1.deployment_service_pb2 import (
    CreateEndpointRequest,
    GetEndpointRequest,
    RequestRolloutRequest,
)
from modelog.sdk.errors import NotFound


def project_of(state: State, *named: str) -> str:
    """The project that was named, that of MODELOG_PROJECT, or the only one there is."""
    if (found := next((one for one in named if one), "") or default_project()) != "":
        return found.removeprefix("projects/")
    from modelog.registry.v1.registry_service_pb2 import ListProjectsRequest

    listed = state.call("registry.ListProjects", ListProjectsRequest(page_size=2)).projects
    if len(listed) == 1:
        return str(listed[0].name).removeprefix("projects/")
    raise click.UsageError("say in which project: risk/fraud@3, --project risk, or MODELOG_PROJECT")


def _parts(version: str) -> tuple[str, str, str]:
    """(project or nothing, model, number or alias) of `fraud@3`, `risk/fraud@3`, `risk/fraud/3` or the full name."""
    if version.startswith("projects/"):
        ids = version.split("/")
        if len(ids) == 6 and ids[2::2] == ["models", "versions"]:
            return ids[1], ids[3], ids[5]
    model, at, wanted = version.rpartition("@")
    if not at:
        model, _, wanted = version.rpartition("/")
    project, _, model = model.rpartition("/")
    if not model or not wanted or "/" in project:
        raise click.UsageError(f"{version!r} names no version; write fraud@3, risk/fraud@3 or fraud@champion")
    return project, model, wanted


def _version(state: State, project: str, model: str, wanted: str) -> str:
    """The version's full name; an alias is looked up now."""
    name = f"projects/{project}/models/{model}"
    if wanted.isdecimal():
        return f"{name}/versions/{wanted}"
    from modelog.registry.v1.registry_service_pb2 import GetModelRequest

    aliases = state.call("registry.GetModel", GetModelRequest(name=name)).aliases
    if wanted not in aliases:
        known = ", ".join(sorted(aliases)) or "none"
        raise click.UsageError(f"{project}/{model} has no alias {wanted!r}; there are: {known}")
    return str(aliases[wanted].version)


def _place(to: str) -> tuple[str, str, str]:
    """(project, environment, endpoint), each as far as it was named: `prod/fraud-eu`, `risk/prod/fraud-eu`."""
    ids = to.split("/")
    if not all(ids) or len(ids) > 3:
        raise click.UsageError(f"{to!r} names no endpoint; write ENVIRONMENT/ENDPOINT, prod/fraud-eu for example")
    return tuple([""] * (3 - len(ids)) + ids)  # type: ignore[return-value]


def _endpoint(state: State, project: str, environment: str, endpoint: str, values: dict[str, Any]) -> str:
    """The endpoint's full name; it is in that environment, or is made there when that was asked for."""
    name = f"projects/{project}/endpoints/{endpoint}"
    try:
        found = state.call("deployment.GetEndpoint", GetEndpointRequest(name=name))
    except NotFound:
        if not values["create"]:
            raise click.UsageError(f"there is no endpoint {project}/{endpoint}; make it with --create") from None
        if not environment:
            raise click.UsageError("say in which environment it is made: --to ENVIRONMENT/ENDPOINT") from None
        request = CreateEndpointRequest(
            parent=f"projects/{project}",
            endpoint_id=endpoint,
            environment=f"projects/{project}/environments/{environment}",
            replicas=values["replicas"] or 0,
            validate_only=values["validate_only"],
        )
        made = state.call("deployment.CreateEndpoint", request)
        if not values["validate_only"] and not state.as_json:
            click.echo(f"{made.name}: made, answers at {made.address}")
        return name
    there = found.environment.rpartition("/")[2]
    if environment and there != environment:
        raise click.UsageError(f"{project}/{endpoint} is in {there}, not in {environment}")
    return name


def _deploy(**values: Any) -> int | None:
    state = state_of(click.get_current_context())
    in_version, model, wanted = _parts(values["version"])
    in_place, environment, endpoint = _place(values["to"])
    project = project_of(state, values["project"] or "", in_version, in_place)
    for other in (in_version, in_place):
        if other and other != project:
            raise click.UsageError(f"a version and its endpoint are in one project, not in {project} and {other}")
    request = RequestRolloutRequest(version=_version(state, project, model, wanted), reason=values["reason"] or "")
    request.request_id, request.validate_only = values["request_id"] or "", values["validate_only"]
    if values["strategy"] is not None:
        request.strategy.CopyFrom(values["strategy"])
    strategy_of(state, request, values)
    request.parent = _endpoint(state, project, environment, endpoint, values)
    return started(state, state.call("deployment.RequestRollout", request))


deploy = Command(
    "deploy",
    params=[
        click.Argument(["version"], metavar="MODEL@VERSION"),
        click.Option(["--to"], required=True, metavar="ENVIRONMENT/ENDPOINT", help="Where it shall serve."),
        click.Option(["--project"], help="The project, where neither name says it; else MODELOG_PROJECT."),
        click.Option(["--create"], is_flag=True, help="Make the endpoint when there is none."),
        click.Option(["--replicas"], type=int, help="With --create: replicas of each version."),
        *OPTIONS,
        click.Option(
            ["--strategy"],
            type=type_of(find(RequestRolloutRequest.DESCRIPTOR, "strategy")),
            help="A whole Strategy as JSON.",
        ),
        click.Option(["--reason"], help="Why; recorded with the fact."),
        click.Option(["--request-id"], help="Repeat a lost request under its id."),
        click.Option(["--dry-run", "validate_only"], is_flag=True, help="Only say whether it would be accepted."),
    ],
    callback=_deploy,
    help="Let a version take over an endpoint: modelog deploy fraud@3 --to prod/fraud-eu --canary 5,25,50 --watch",
    short_help="Let a version take over an endpoint, by short names, and watch it.",
)
