"""Exports: a project as a file for `apply`; facts and states as Parquet or JSON Lines for other tools."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.audit import report_of
from modelog.cli.declare import export as project
from modelog.cli.failures import UNVERIFIED
from modelog.cli.log import FILTER
from modelog.cli.names import Name
from modelog.cli.progress import bar
from modelog.cli.state import Command, Noun, State, moment, state_of
from modelog.cli.values import text_of
from modelog.cli.verbs import fill

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Argument(["folder"], type=click.Path(file_okay=False, path_type=Path))
_SIGN = (
    click.Option(["--key"], type=_FILE, help="Private key (PEM) that signs the manifest; see `keys make`."),
    click.Option(["--password-file"], type=_FILE, help="Holds the password of the key."),
)
_FORMATS = ("parquet", "cloudevents", "jsonl")


class _Exports(Noun):
    """`modelog export PROJECT` is short for `modelog export project PROJECT`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [one for one in args if not one.startswith("-")]
        if words and words[0] not in self.commands:
            args = ["project", *args]
        return super().parse_args(ctx, args)


class _Unverified(click.ClickException):
    """The log is not what was signed."""

    exit_code = UNVERIFIED


def _request() -> Any:
    from modelog.archive.v1.archive_service_pb2 import ReadFactsRequest

    return ReadFactsRequest


@click.command(
    "facts",
    cls=Command,
    short_help="Every fact, to Parquet by day and service or to JSON Lines.",
    params=[
        _FOLDER,
        click.Option(
            ["--format", "form"],
            type=click.Choice(_FORMATS),
            default="parquet",
            show_default=True,
            help="Parquet, CloudEvents as JSON Lines in zstd, or plain JSON Lines.",
        ),
        click.Option(["--from", "from_revision"], type=click.IntRange(1), default=1, help="First revision. [1]"),
        *_SIGN,
        *(field.parameter(_request().DESCRIPTOR) for field in FILTER),
    ],
)
@click.pass_context
def _facts(ctx: click.Context, /, folder: Path, form: str, from_revision: int, **values: Any) -> None:
    """Write facts to a folder, up to the newest signed root of the log; run again, it adds what is new.

    Exit status 7, and nothing added, when the log does not lead to that root, or not from what was exported before.

    `export verify` checks the folder offline. With a filter the facts are verified one by one, but not that none is
    missing.
    """
    from modelog.exports import WrongLog, export_facts

    state = state_of(ctx)
    if state.at:
        raise click.UsageError("--at is for states: export facts with --until, or export views")
    request = _request()()
    fill(request, FILTER, values)
    chosen = request.filter if request.HasField("filter") else None
    key = _key(values["key"], values["password_file"])
    try:
        with _watched(state, "facts") as told:
            done = export_facts(
                state.client(), folder, form, from_revision=from_revision, filter=chosen, key=key, progress=told
            )
    except WrongLog as wrong:
        raise _Unverified(str(wrong)) from wrong
    manifest = done.manifest
    if state.as_json:
        told_plain = {"folder": str(folder), "newRows": done.rows, "newFiles": done.files, "rows": manifest.rows}
        return render.print_json(told_plain | {"position": str(manifest.to_revision)})
    more = f"{done.rows} new facts in {done.files} files" if done.rows else "nothing new"
    return click.echo(f"{folder}: {more}; {manifest.rows} in all, up to revision {manifest.to_revision}")


@click.command(
    "views",
    cls=Command,
    short_help="The state of every kind of resource as Parquet tables.",
    params=[
        _FOLDER,
        click.Option(["--project", "projects"], type=Name("project"), multiple=True, help="Only these projects."),
        *_SIGN,
    ],
)
@click.pass_context
def _views(
    ctx: click.Context, folder: Path, projects: tuple[str, ...], key: Path | None, password_file: Path | None
) -> None:
    """Write the state of everything to a folder, a table for each kind; --at tells the past. What was there goes."""
    from modelog.exports import export_views

    state = state_of(ctx)
    then, state.at = moment(state.at) if state.at else 0, ""
    client = state.client()
    with _watched(state, "tables") as told:
        done = export_views(
            client,
            folder,
            then or client.catch_up("registry"),
            projects=projects,
            key=_key(key, password_file),
            progress=told,
        )
    if state.as_json:
        tables = {Path(one.path).stem: one.rows for one in done.files}
        return render.print_json(
            {"folder": str(folder), "revision": str(done.to_revision), "tables": tables, "omitted": list(done.omitted)}
        )
    render.table(["table", "rows", "file"], [[Path(one.path).stem, str(one.rows), one.path] for one in done.files])
    for one in done.omitted:
        click.echo(f"left out, for you may not read it: {one}", err=True)
    return None


@click.command(
    "verify",
    cls=Command,
    short_help="Check an exported folder offline.",
    params=[
        click.Argument(["folder"], type=click.Path(exists=True, file_okay=False, path_type=Path)),
        click.Option(["--log-key"], metavar="VKEY|@FILE", help="The log's public key, from a place you trust."),
        click.Option(["--key", "keys"], type=_FILE, multiple=True, help="Public key (PEM) that signed the manifest."),
    ],
)
@click.pass_context
def _verify(ctx: click.Context, folder: Path, log_key: str | None, keys: tuple[Path, ...]) -> int:
    """Check an exported folder offline: files, order, each fact, signed root; exit status 7 when it does not hold."""
    from modelog.exports import verify_export
    from modelog.provenance.keys import public_key

    state = state_of(ctx)
    trusted = [public_key(one.read_text()) for one in keys]
    vkey = (text_of(log_key or "").split() or [""])[0]
    with _watched(state, "facts") as told:
        report = verify_export(folder, log_key=vkey, keys=trusted, progress=told)
    return report_of(
        state, report, f"{report.entries} rows of revisions {report.from_revision} to {report.to_revision}"
    )


def _key(path: Path | None, password_file: Path | None) -> Any:
    if path is None:
        return None
    from modelog.provenance.keys import private_key

    password = password_file.read_text().rstrip("\n") if password_file else ""
    return private_key(path.read_bytes(), password)


@contextmanager
def _watched(state: State, what: str) -> Iterator[Callable[[int, int], None]]:
    with bar(shown=not state.as_json) as told:
        yield lambda done, total: told(what, done, total)


export = _Exports(
    "export",
    help="A project as a file for `apply` (`export PROJECT`), and facts and states for other tools.",
    commands=[project, _facts, _views, _verify],
)
