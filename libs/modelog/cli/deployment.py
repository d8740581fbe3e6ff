"""Environments and endpoints."""

from typing import Any

import click

from modelog.cli.environments import CHECKING, TERMS, terms
from modelog.cli.state import Noun, State
from modelog.cli.top import logs, show_status, top
from modelog.cli.traffic import UPDATE
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
            opt("traffic_policy", "How its requests are treated: a TrafficPolicy as JSON.", flag="--policy"),
        ),
        UPDATE,
        verb(
            "manifest",
            "deployment.GetManifest",
            "What a cluster is asked for so that it serves what it serves, as YAML for GitOps.",
            arg("name", "endpoint"),
            show=_manifest,
        ),
        verb("remove", "deployment.RemoveEndpoint", "Take an endpoint away.", arg("name", "endpoint")),
        verb(
            "status",
            "deployment.GetEndpointStatus",
            "Its versions and replicas as they are observed now.",
            arg("name", "endpoint"),
            show=show_status,
        ),
        top,
        logs,
        verb(
            "repairs",
            "deployment.ListRepairs",
            "Where the platform differed from the facts, and how it was put right; risk/- for all of a project.",
            arg("parent", "endpoint"),
            opt("from_time", "Recorded at or after.", flag="--since"),
            opt("to_time", "Recorded before.", flag="--until"),
        ),
    ],
)
