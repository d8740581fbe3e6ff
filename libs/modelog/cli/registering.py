"""Many versions from a file, one a line; the same file may be sent again and again until all of it is there."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import click
from google.protobuf import json_format

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.failures import CONFLICT
from modelog.cli.names import Name
from modelog.cli.progress import bar
from modelog.cli.state import Command, state_of
from modelog.cli.values import text_of
from modelog.registry.v1 import registry_service_pb2 as rpc

_SHOWN = 20


def _requests(file: Path, model: str, reason: str) -> list[rpc.RegisterVersionRequest]:
    """Every line, read and given an id that is the same whenever the line is sent from the same place of a file."""
    requests = []
    for number, line in enumerate(text_of("-" if str(file) == "-" else f"@{file}").splitlines(), 1):
        if not line.strip():
            continue
        try:
            request = json_format.Parse(line, rpc.RegisterVersionRequest())
        except json_format.ParseError as error:
            raise click.UsageError(f"{file}, line {number}: {error}") from error
        request.parent = Name("model").convert(request.parent, None, None) or model
        request.reason = request.reason or reason
        if not request.parent:
            raise click.UsageError(f"{file}, line {number}: say the model, in the line as `parent` or with --model")
        if not request.request_id:
            content = hashlib.sha256(f"{request.parent}\0{line.strip()}".encode()).hexdigest()
            request.request_id = f"line-{number}-{content[:40]}"
        requests.append(request)
    return requests


def _told(answers: list[Any]) -> None:
    """For people: what was refused, and how many versions each model has got."""
    refused = [(place, one) for place, one in enumerate(answers, 1) if one.refusal is not None]
    rows = [[str(place), one.request.parent, one.refusal.reason, one.refusal.message] for place, one in refused]
    if rows:
        render.table(["entry", "model", "reason", "message"], rows[:_SHOWN])
        if len(rows) > _SHOWN:
            click.echo(f"and {len(rows) - _SHOWN} more; --json tells all", err=True)
    made = Counter(one.request.parent for one in answers if one.refusal is None)
    last = {one.request.parent: one.name for one in answers if one.refusal is None}
    render.table(
        ["model", "versions", "last"], [[name, Cell(str(count), "green"), last[name]] for name, count in made.items()]
    )


@click.command(
    "register-many",
    cls=Command,
    method="registry.RegisterVersions",
    short_help="Register many versions from a file, one a line.",
    params=[
        click.Argument(["file"], type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)),
        click.Option(["--model"], type=Name("model"), default="", help="Of lines that do not say their `parent`."),
        click.Option(["--reason"], default="", help="Why; recorded with each fact."),
        click.Option(["--dry-run"], is_flag=True, help="Only say what would be accepted."),
    ],
)
@click.pass_context
def register_many(ctx: click.Context, /, file: Path, model: str, reason: str, dry_run: bool) -> int:
    """Register many versions from a file, one a line: each a RegisterVersionRequest as JSON, with the fields that
    `versions register` has (artifact, signature, hyperparameters, ...).

    Each line has an id of its own, made from what it says and where it stands, so the same file may be sent again
    after a break, or with lines added at its end: what was registered is answered as before. Exit status 4 when a line
    was refused.
    """
    state = state_of(ctx)
    requests = _requests(file, model, reason)
    for request in requests:
        request.validate_only = request.validate_only or dry_run
    state.stub("registry.RegisterVersions", rpc.RegisterVersionRequest())
    with bar(shown=not state.as_json) as told:
        progress = lambda done: told("registering", done, len(requests))  # noqa: E731 - two words, used once.
        answers = list(state.client().register_versions(requests, progress=progress))
    if state.as_json:
        for one in answers:
            render.print_json(_plain(one), line=True)
    else:
        _told(answers)
    return CONFLICT if any(one.refusal is not None for one in answers) else 0


def _plain(one: Any) -> dict[str, Any]:
    told = {"requestId": one.request.request_id, "name": one.name, "revision": one.revision}
    if one.refusal is not None:
        violations = [{"field": wrong.field, "description": wrong.description} for wrong in one.refusal.violations]
        told["refusal"] = {"reason": one.refusal.reason, "message": one.refusal.message, "violations": violations}
    return told
