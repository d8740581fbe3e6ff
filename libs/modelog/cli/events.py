"""Facts as others know them: printed, or fed to a command, as CloudEvents, CDEvents or OpenLineage events."""

import json
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from modelog.cli.failures import FAILED
from modelog.cli.log import FILTER, entry_of, line
from modelog.cli.state import Command, Noun, State, state_of
from modelog.cli.text import clean
from modelog.cli.verbs import fill

_FORMATS = ("text", "cloudevents", "cdevents", "openlineage")
_STANDING = (
    click.Option(
        ["--format", "form"],
        type=click.Choice(_FORMATS),
        help="For people, or one JSON object a line; facts without a counterpart are left out. [text; with --json"
        " or --exec cloudevents]",
    ),
    click.Option(["--exec", "command"], help="Feed this command, on its standard input."),
)
Told = Callable[[Any], Iterable[str]]


def _filters() -> list[click.Parameter]:
    from modelog.archive.v1.archive_service_pb2 import ReadFactsRequest

    return [field.parameter(ReadFactsRequest.DESCRIPTOR) for field in FILTER]


@click.command(
    "replay",
    cls=Command,
    short_help="What happened, from a revision on.",
    params=[
        click.Option(["--from", "from_revision"], type=click.IntRange(1), default=1, help="First revision. [1]"),
        click.Option(["--to", "to_revision"], type=click.IntRange(1), help="Last revision."),
        click.Option(["--follow", "-f"], is_flag=True, help="Go on with what happens from now, until Ctrl-C."),
        *_STANDING,
        *_filters(),
    ],
)
@click.pass_context
def _replay(ctx: click.Context, /, from_revision: int, to_revision: int | None, follow: bool, **values: Any) -> None:
    """What happened from a revision on, for people, as JSON of a format, or into a command."""
    _run(state_of(ctx), from_revision, to_revision or 0, follow, values)


@click.command(
    "tail",
    cls=Command,
    short_help="What happens from now on.",
    params=[
        click.Option(["--last"], type=click.IntRange(0), default=0, help="Begin so many revisions before now. [0]"),
        *_STANDING,
        *_filters(),
    ],
)
@click.pass_context
def _tail(ctx: click.Context, /, last: int, **values: Any) -> None:
    """What happens from now on, until Ctrl-C, for people, as JSON of a format, or into a command."""
    state = state_of(ctx)
    head = state.client().catch_up("archive")
    _run(state, max(1, head + 1 - last), 0, True, values)


def _run(state: State, first: int, last: int, follow: bool, values: dict[str, Any]) -> None:
    from modelog.archive.v1.archive_service_pb2 import ReadFactsRequest

    request = ReadFactsRequest()
    state.stub("archive.ReadFacts", request)
    fill(request, FILTER, values)
    chosen = request.filter if request.HasField("filter") else None
    command = values["command"]
    told = _format(state, values["form"] or ("cloudevents" if state.as_json or command else "text"))
    reader = state.client().subscribe(
        first, chosen, to_revision=last, follow=follow, patience_seconds=state.timeout, with_texts=True
    )
    with _output(command, flush=follow) as put:
        for entry in reader:
            for text in told(entry):
                put(text)


def _format(state: State, form: str) -> Told:
    """How an entry is told, one text a line; nothing where it has no counterpart."""
    if form == "text":
        return lambda entry: [line(entry_of(entry))]
    if form == "cloudevents":
        from modelog.exports.forms import cloud_event_of

        return lambda entry: [_json(cloud_event_of(entry))]
    if form == "openlineage":
        from modelog.openlineage import run_events

        return lambda entry: map(_json, run_events(entry.fact, entry.revision) if entry.fact else ())
    from modelog.cdevents import cd_event
    from modelog.sdk.around import ReadAround

    around = ReadAround(state.client())

    def delivered(entry: Any) -> Iterable[str]:
        made = cd_event(entry.fact, entry.revision, around) if entry.fact else None
        return [] if made is None else [_json(made)]

    return delivered


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@contextmanager
def _output(command: str | None, *, flush: bool) -> Iterator[Callable[[str], None]]:
    """Standard output, or that of a command, which is run without a shell and whose status counts."""
    if command is None:
        yield lambda text: print(text, flush=flush)
        return
    process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE)
    stdin = process.stdin
    assert stdin is not None

    def put(text: str) -> None:
        stdin.write(text.encode() + b"\n")
        if flush:
            stdin.flush()

    try:
        yield put
        stdin.close()
    except BrokenPipeError:
        click.echo("the command has stopped reading", err=True)
    finally:
        with suppress(BrokenPipeError):
            stdin.close()
        process.wait()
    if process.returncode:
        click.echo(clean(f"the command ended with {process.returncode}"), err=True)
        raise click.exceptions.Exit(FAILED)


events = Noun("events", help="What happens, as others know it.", commands=[_tail, _replay])
