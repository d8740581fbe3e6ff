"""Environments, endpoints, and what served where."""

from typing import Any

import click

from modelog.cli.environments import CHECKING, TERMS, terms
from modelog.cli.state import Noun, State
from modelog.cli.verbs import arg, opt, verb

environments = Noun(
    "environments",
    help="Where models run.",
    commands=[
        verb("list", "deployment.ListEnvironments", "The environments of a project.", arg("parent", "project")),
        verb("get", "deployment.GetEnvironment", "One environment.", arg("name", "environment")),
        verb(
            "define",
            "deployment.DefineEnvironment",
            "Create an environment, or give an existing one new terms.",
            arg("parent", "project"),
            arg("environment_id"),
            opt("description", "What people call it."),
            opt("driver", "What runs the replicas: process, or kubernetes where the installation has it."),
            opt("driver_settings", "Setting of the driver.", flag="--setting"),
            opt(
                "admitted_phases",
                "Phase of versions that may be deployed; production alone when none is given.",
                flag="--admit",
            ),
            opt("approvals_needed", "Approvals a version's stage needs.", flag="--approvals"),
            opt("protected", "Approver and deployer must differ."),
            extra=TERMS,
            prepare=terms,
        ),
        *CHECKING,
        verb("remove", "deployment.RemoveEnvironment", "Take an environment out of use.", arg("name", "environment")),
    ],
)


def _manifest(state: State, reply: Any) -> int | None:
    """The text itself, so that it can go into a file of a repository as it is."""
    from modelog.cli import render

    if state.as_json:
        return render.reply(reply, as_json=True)
    click.echo(reply.yaml, nl=False)
    return None


endpoints = Noun(
    "endpoints",
    help="Stable addresses, with their traffic.",
    commands=[
        verb("list", "deployment.ListEndpoints", "The endpoints of a project.", arg("parent", "project")),
        verb("get", "deployment.GetEndpoint", "One endpoint, with what it serves.", arg("name", "endpoint")),
        verb(
            "create",
            "deployment.CreateEndpoint",
            "Give an endpoint its address in an environment.",
            arg("parent", "project"),
            arg("endpoint_id"),
            arg("environment", "environment"),
            opt("description", "What people call it."),
            opt("replicas", "Replicas of each version."),
        ),
        verb(
            "manifest",
            "deployment.GetManifest",
            "What a cluster is asked for so that it serves what it serves, as YAML for GitOps.",
            arg("name", "endpoint"),
            show=_manifest,
        ),
        verb("remove", "deployment.RemoveEndpoint", "Take an endpoint away.", arg("name", "endpoint")),
    ],
)

serving = Noun(
    "serving",
    help="What ran where between two moments.",
    commands=[
        verb(
            "intervals",
            "deployment.ListServingIntervals",
            "What ran where, with what share, asked for and approved by whom; oldest first.",
            arg("parent", "project"),
            opt("endpoint", "Only of this endpoint.", kind="endpoint"),
            opt("version", "Only of this version.", kind="version"),
            opt("environment", "Only of this environment.", kind="environment"),
            opt("from_time", "What had not ended by then.", flag="--from"),
            opt("to_time", "What had begun before then.", flag="--to"),
        ),
    ],
)
