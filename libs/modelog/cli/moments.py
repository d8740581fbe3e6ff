"""Other moments than now: any read as of one, everything at one as files, and what differs between two."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.names import Name
from modelog.cli.state import Command, Noun, State, moment, state_of
from modelog.cli.verbs import verb

# Rows of one table: what is printed needs no more memory than that, however much has changed.
_ROWS = 500
_CELL_CHARACTERS = 60
_STYLES = {"created": "green", "changed": "", "removed": "red"}


class _Forwarding(Command):
    """Takes whatever follows the moment as it is: options there belong to the command that is run."""

    allow_interspersed_args = False
    ignore_unknown_options = True


@click.command(
    "at",
    cls=_Forwarding,
    params=[
        click.Argument(["when"], metavar="MOMENT"),
        click.Argument(["words"], metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED),
    ],
)
@click.pass_context
def at(ctx: click.Context, when: str, words: tuple[str, ...]) -> Any:
    """Any command that reads, as of MOMENT: a revision, a time or a date, which is its beginning (UTC).

    \b
        modelog at 2026-03-01T12:00 versions list risk/fraud
        modelog at 4711 inbox risk
    """
    moment(when, "MOMENT")
    state_of(ctx).at = when
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    name, command, rest = root.command.resolve_command(root, list(words))
    if command is None or name == "at":
        raise click.UsageError("say one moment, then the command that is to be read as of it")
    with command.make_context(name, rest, parent=root) as inner:
        return command.invoke(inner)


def _located(state: State, when: str, option: str) -> Any:
    """The revision of a moment, and when it was recorded; of the end of the log when none is said."""
    from modelog.sdk.moments import located

    client = state.client(past=True)
    if not when:
        return located(client)
    with client.as_of(moment(when, option)) as then:
        return located(then)


_PROJECT = click.Option(["--project"], type=Name("project"), default="", help="Only of this project.")


@click.command(
    "export",
    cls=Command,
    params=[click.Argument(["target"], type=click.Path(path_type=Path)), _PROJECT],
    short_help="Everything as of one moment, into a folder or a .tar.",
    method="state.ListStates",
)
@click.pass_context
def _export(ctx: click.Context, target: Path, project: str) -> None:
    """Every resource of every service as of --at MOMENT (now without), into the folder TARGET, or one file when it ends
    in .tar: JSON Lines by kind, a manifest with digests, and the checkpoint that covers the moment.

    Asked again for the same moment, whenever and by whomever, it is the same bytes.
    """
    from modelog.sdk.state_bundle import write_state

    state = state_of(ctx)
    found = _located(state, state.at, "--at")
    if not found.revision:
        raise click.UsageError("nothing had been recorded by then; say a later moment")
    written = write_state(state.client(past=True), found, target, project)
    if state.as_json:
        files = [one._asdict() for one in written.files]
        return render.print_json(
            {"revision": str(written.revision), "checkpointSize": str(written.checkpoint_size), "files": files}
        )
    render.table(["file", "resources"], [[one.path, str(one.resources)] for one in written.files])
    click.echo(
        f"as of revision {written.revision}, covered by the checkpoint of {written.checkpoint_size} facts", err=True
    )
    return None


state = Noun(
    "state",
    help="Everything as of one moment: which revision a time is, and all of it as files.",
    commands=[
        verb(
            "moment",
            "archive.LocateMoment",
            "The revision of a time, or the time of a revision, by --at; the end of the log without.",
        ),
        _export,
    ],
)


@click.command(
    "changes",
    cls=Command,
    method="state.ListChanges",
    params=[
        click.Option(["--from", "since"], metavar="MOMENT", required=True, help="The earlier revision, time or date."),
        click.Option(["--to", "upto"], metavar="MOMENT", default="", help="The later one. [now, or --at]"),
        _PROJECT,
        click.Option(["--names-only"], is_flag=True, help="Without the fields."),
    ],
)
@click.pass_context
def changes(ctx: click.Context, since: str, upto: str, project: str, names_only: bool) -> None:
    """What differs between two moments, over every resource of every service: created, changed (each field before and
    after), removed. With --json one resource a line."""
    from modelog.sdk.moments import changes_between

    state = state_of(ctx)
    first, last = _located(state, since, "--from"), _located(state, upto or state.at, "--to")
    if first.revision > last.revision:
        raise click.UsageError(f"--from is later than --to: revision {first.revision} and {last.revision}")
    found = changes_between(state.client(past=True), first.revision, last.revision, project)
    if state.as_json:
        for one in found:
            fields = [] if names_only else [part._asdict() for part in one.fields]
            render.print_json({**one._asdict(), "revision": str(one.revision), "fields": fields}, line=True)
        return
    _print(found, names_only)
    click.echo(f"from revision {first.revision} to {last.revision}", err=True)


def _print(found: Iterable[Any], names_only: bool) -> None:
    rows = _rows(found, names_only)
    titles = ["what", "kind", "resource"] + ([] if names_only else ["field", "before", "after"])
    while part := list(islice(rows, _ROWS)):
        render.table(titles, part)


def _rows(found: Iterable[Any], names_only: bool) -> Iterator[list[Cell | str]]:
    """A row for each field that changed; of what began or ended the resource alone says it."""
    for one in found:
        head: list[Cell | str] = [Cell(one.what, _STYLES[one.what]), one.kind, one.name]
        if names_only:
            yield head
        elif one.what == "changed" and one.fields:
            yield from ([*head, part.path, _short(part.before), _short(part.after)] for part in one.fields)
        else:
            yield [*head, "", "", ""]


def _short(text: str) -> str:
    return text if len(text) <= _CELL_CHARACTERS else f"{text[:_CELL_CHARACTERS]}…"
