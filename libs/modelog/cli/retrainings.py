"""Retrainings and their queue, and proposals to retire."""

import os
import platform
import shlex
import subprocess
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.failures import FAILED
from modelog.cli.names import Name
from modelog.cli.state import Command, Noun, State, state_of
from modelog.cli.verbs import arg, opt, verb


@click.command(
    "claim",
    cls=Command,
    method="monitoring.ClaimRetraining",
    short_help="Take the next retraining from the queue, and train with --exec.",
    params=[
        click.Argument(["project"], type=Name("project")),
        click.Option(["--model"], type=Name("model"), default="", help="Only of this model."),
        click.Option(["--lease-seconds"], type=int, default=0, help="For so long it is yours without being started."),
        click.Option(["--exec", "command"], help="Start it, and run this: train.sh {version} {retraining}."),
    ],
)
@click.pass_context
def claim(ctx: click.Context, /, project: str, model: str, lease_seconds: int, command: str | None) -> int:
    """The severest retraining comes first, of these the oldest; nobody else gets it until the lease is over.

    With --exec it is started and the command run, without a shell: {version} and {retraining} in it are the names of
    both. `modelog versions register --answers` is the command's own business. A command that fails gives the
    retraining back to the queue, and this ends with a failure. Where none waits nothing is run.
    """
    from modelog.monitoring.v1.monitoring_service_pb2 import GetRetrainingRequest
    from modelog.monitoring.v1.retrainings_pb2 import ClaimRetrainingRequest

    state = state_of(ctx)
    asked = ClaimRetrainingRequest(parent=project, model=model, lease_seconds=lease_seconds)
    claimed = state.call("monitoring.ClaimRetraining", asked)
    if not claimed.name:
        if state.as_json:
            render.print_json({})
        else:
            click.echo("none waits", err=True)
        return 0
    read = GetRetrainingRequest(name=claimed.name)
    read.read.at_least = claimed.revision
    found = state.call("monitoring.GetRetraining", read)
    render.reply(found, as_json=state.as_json)
    return _train(state, found, command) if command else 0


def _train(state: State, found: Any, command: str) -> int:
    from modelog.monitoring.v1.monitoring_service_pb2 import StartRetrainingRequest
    from modelog.monitoring.v1.retrainings_pb2 import ReleaseRetrainingRequest

    run = f"{platform.node()}/{os.getpid()}"
    state.call("monitoring.StartRetraining", StartRetrainingRequest(name=found.name, run=run))
    words = [one.format(version=found.version, retraining=found.name) for one in shlex.split(command)]
    status = subprocess.run(words, check=False).returncode
    if not status:
        return 0
    reason = f"{words[0]} ended with {status}"
    state.call("monitoring.ReleaseRetraining", ReleaseRetrainingRequest(name=found.name, reason=reason))
    render.line(Cell(f"{reason}; {found.name} waits again", "red"))
    return FAILED


retrainings = Noun(
    "retrainings",
    help="Requests to train a version anew. `versions register --answers` answers one.",
    commands=[
        claim,
        verb(
            "extend",
            "monitoring.ExtendRetrainingClaim",
            "Hold a claim for longer.",
            arg("name", "retraining"),
            opt("lease_seconds", "For so long from now on."),
        ),
        verb(
            "release",
            "monitoring.ReleaseRetraining",
            "Give a retraining back to the queue; --reason is required.",
            arg("name", "retraining"),
        ),
        verb(
            "list",
            "monitoring.ListRetrainings",
            "Those of a monitor; risk/- for all of a project.",
            arg("parent", "monitor"),
        ),
        verb("get", "monitoring.GetRetraining", "One retraining, with what it rests on.", arg("name", "retraining")),
        verb(
            "request",
            "monitoring.RequestRetraining",
            "Ask for a version to be trained anew.",
            arg("parent", "monitor"),
            arg("version", "version"),
            opt("within_seconds", "By when it is to be answered."),
        ),
        verb(
            "start",
            "monitoring.StartRetraining",
            "Take a retraining.",
            arg("name", "retraining"),
            opt("run", "Where the training can be watched."),
        ),
        verb(
            "abandon",
            "monitoring.AbandonRetraining",
            "Give a retraining up; --reason is required.",
            arg("name", "retraining"),
        ),
    ],
)

retirements = Noun(
    "retirements",
    help="Proposals to retire versions that stay below their floor.",
    commands=[
        verb(
            "list",
            "monitoring.ListRetirements",
            "Those of a monitor; risk/- for all of a project.",
            arg("parent", "monitor"),
        ),
        verb("get", "monitoring.GetRetirement", "One proposal, with what it rests on.", arg("name", "retirement")),
        verb(
            "accept",
            "monitoring.AcceptRetirement",
            "Agree; then `modelog versions retire` does it.",
            arg("name", "retirement"),
        ),
        verb(
            "decline",
            "monitoring.DeclineRetirement",
            "Let the version stay; --reason is required.",
            arg("name", "retirement"),
        ),
    ],
)
