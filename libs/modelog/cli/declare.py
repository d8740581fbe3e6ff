"""`modelog apply`, `diff` and `export`: resources as files kept in git. Nothing here removes anything."""

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.names import Name
from modelog.cli.state import Command, State, state_of

if TYPE_CHECKING:
    from modelog.declare import Document, Plan, Planned, Problems
    from modelog.declare.difference import Change

# How often a plan is made anew because others wrote in between.
_ATTEMPTS = 10
_LONGEST_PAUSE_SECONDS = 0.5
_FAILED, _WOULD_CHANGE = 1, 2
_SIGNS = {"create": Cell("+", "green"), "update": Cell("~", "yellow"), "unchanged": Cell("=", "dim")}
_MOST_CHARACTERS = 160


class _NotThere(click.ClickException):
    exit_code = 3


class _Contended(click.ClickException):
    exit_code = 4


class _Detailed(Command):
    """In a dry run, status 2 says that there would be changes and nothing else: what is wrong is status 1."""

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        dry = self.name == "diff" or "--dry-run" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if not dry:
                raise
            error.show(sys.stderr)
            raise click.exceptions.Exit(_FAILED) from error


_FILES = click.option(
    "-f",
    "--file",
    "files",
    type=click.Path(path_type=Path, allow_dash=True),
    multiple=True,
    required=True,
    help="A YAML file, a folder of them, or - for standard input.",
)
_ONLY = click.option(
    "--only", multiple=True, metavar="KIND|NAME", help="Only resources of this kind, or this one: Model, risk/fraud."
)
_UNMANAGED = click.option("--show-unmanaged", is_flag=True, help="Also list what lives there and no file declares.")


@click.command("apply", cls=_Detailed)
@_FILES
@_ONLY
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show the plan; exit status 2 when there are changes.")
@_UNMANAGED
@click.option("--reason", default="", help="Why; recorded before the file and its commit.")
@click.pass_context
def apply(
    ctx: click.Context,
    files: tuple[Path, ...],
    only: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    show_unmanaged: bool,
    reason: str,
) -> int:
    """Make projects, models, environments, endpoints and monitors what files say.

    The plan is shown first, value by value. What a file does not say is left as it is, and nothing is ever removed.
    Applied again, the same files change nothing. With --dry-run: 0 nothing would change, 2 something would, 1 and 3
    to 7 it could not be found out.
    """
    state = state_of(ctx)
    _separate(only, show_unmanaged)
    if state.at and not dry_run:
        raise click.UsageError("--at is for reads; apply writes")
    if dry_run:
        return _dry(state, files, only, show_unmanaged)
    if not yes and (state.as_json or not sys.stdin.isatty() or Path("-") in files):
        raise click.UsageError("say --yes, for nobody can be asked here; --dry-run shows what would change")
    return _guarded(state, lambda: _apply(state, files, only, yes, show_unmanaged, reason))


@click.command("diff", cls=_Detailed)
@_FILES
@_ONLY
@_UNMANAGED
@click.pass_context
def diff(ctx: click.Context, files: tuple[Path, ...], only: tuple[str, ...], show_unmanaged: bool) -> int:
    """What `apply` would change, as `apply --dry-run` shows it: exit status 0 nothing, 2 something, else failed.

    With --at, how the files differ from what was there then.
    """
    _separate(only, show_unmanaged)
    return _dry(state_of(ctx), files, only, show_unmanaged)


@click.command("project", cls=Command)
@click.argument("project", type=Name("project"))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write here, not to the terminal."
)
@click.pass_context
def export(ctx: click.Context, project: str, output: Path | None) -> None:
    """A project and what lives in it as a file for `apply`, now or as of --at; applied, it changes nothing."""
    from modelog.declare.exporting import dump, export_project

    state = state_of(ctx)
    documents = export_project(project, state.call)
    if not documents:
        raise _NotThere(f"there is no {project}")
    if state.as_json:
        return render.print_json(documents)
    text = dump(documents)
    if output is None:
        return click.echo(text, nl=False)
    output.write_text(text, encoding="utf-8")
    return click.echo(f"{len(documents)} resources written to {output}", err=True)


def _separate(only: Sequence[str], show_unmanaged: bool) -> None:
    if only and show_unmanaged:
        raise click.UsageError("--only and --show-unmanaged: what --only leaves out is not unmanaged; choose one")


def _dry(state: State, files: Sequence[Path], only: Sequence[str], show_unmanaged: bool) -> int:
    from modelog.cli.failures import USAGE, tell
    from modelog.sdk.errors import Refused

    def planned() -> int:
        documents = _documents(files, only)
        plan = _plan(state, documents)
        _show(state, plan, _unmanaged(state, documents, show_unmanaged), ())
        return _WOULD_CHANGE if plan.changed else 0

    try:
        return _guarded(state, planned)
    except (Refused, click.UsageError) as error:
        status = tell(error, as_json=state.as_json, debug=state.debug)
        return _FAILED if status == USAGE else status


def _apply(state: State, files: Sequence[Path], only: Sequence[str], yes: bool, show_unmanaged: bool, more: str) -> int:
    from modelog.declare import Changed, Written, apply_plan
    from modelog.declare.provenance import reason_for

    documents, reason, facts = _documents(files, only), reason_for(files, more), list[Written]()
    for _ in range(_ATTEMPTS):
        plan = _plan(state, documents)
        if not state.as_json:
            _show(state, plan, _unmanaged(state, documents, show_unmanaged), ())
        if plan.changed and not yes:
            click.confirm("Apply?", abort=True, err=True)
        try:
            facts += apply_plan(plan, state.call, reason=reason, tell=lambda one: _told(state, one))
        except Changed as changed:
            facts += changed.written
            click.echo(f"{changed}; planning again", err=True)
            sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # Two who apply at once do not stay in step.
            continue
        if state.as_json:
            _show(state, plan, _unmanaged(state, documents, show_unmanaged), facts)
        return 0
    raise _Contended("others keep changing what the files declare; try again later")


def _documents(files: Sequence[Path], only: Sequence[str]) -> "list[Document]":
    """What the files declare; of that only these kinds and names."""
    from modelog.declare import read_files
    from modelog.declare.kinds import short_name

    found = read_files(files, standard_input=sys.stdin.read() if Path("-") in files else "")
    for one in only:
        if not any(one in (document.kind.word, document.name, short_name(document.name)) for document in found):
            raise click.UsageError(f"--only: no file declares {one!r}; write a kind like Model, or a name")
    return [
        document
        for document in found
        if not only or {document.kind.word, document.name, short_name(document.name)} & set(only)
    ]


def _plan(state: State, documents: "Sequence[Document]") -> "Plan":
    from modelog.declare import make_plan

    return make_plan(documents, state.call, check=not state.at)


def _unmanaged(state: State, documents: "Sequence[Document]", wanted: bool) -> list[tuple[str, str]]:
    from modelog.declare import unmanaged

    return unmanaged(documents, state.call) if wanted else []


def _guarded(state: State, run: Any) -> int:
    """Runs it; all that is wrong with the files is told a line each."""
    from modelog.declare import Problems

    try:
        status: int = run()
    except Problems as found:
        return _wrong(state, found)
    return status


def _wrong(state: State, found: "Problems") -> int:
    from modelog.cli.text import clean

    if state.as_json:
        problems = [one._asdict() for one in found.problems]
        error = {"reason": "INVALID_FILES", "message": str(found), "problems": problems}
        click.echo(json.dumps({"error": error}), err=True)
    else:
        for one in found.problems:
            click.echo(clean(f"error: {one}"), err=True)
    return _FAILED


def _told(state: State, one: Any) -> None:
    if not state.as_json:
        render.line(Cell(f"{one.name}: {one.method.partition('.')[2]}, revision {one.revision}"))


def _show(state: State, plan: "Plan", others: Sequence[tuple[str, str]], facts: Sequence[Any]) -> None:
    """The plan for people: what differs, and a count of the rest; or all of it as JSON."""
    if state.as_json:
        return render.print_json(
            {
                "resources": [_plain(one) for one in plan.resources],
                "unmanaged": [{"kind": kind, "name": name} for kind, name in others],
                "facts": [{"name": one.name, "method": one.method, "revision": one.revision} for one in facts],
            }
        )
    for planned in plan.changed:
        _show_one(planned)
    for kind, name in others:
        render.line(Cell("?", "cyan"), Cell(f" {kind} {name}"), Cell("  in no file; left as it is", "dim"))
    words = {"create": "to create", "update": "to change", "unchanged": "unchanged"}
    return render.line(Cell(", ".join(f"{plan.count(action)} {text}" for action, text in words.items())))


def _show_one(planned: "Planned") -> None:
    document = planned.document
    where = Cell(f"  {document.file}:{document.line}", "dim")
    render.line(_SIGNS[planned.action], Cell(f" {document.kind.word} {document.name}", "bold"), where)
    for change in planned.changes:
        render.line(*_change(change))
    for note in planned.notes:
        render.line(Cell(f"    {note}", "yellow"))


def _change(change: "Change") -> list[Cell]:
    before, after = change.before, change.after
    if before is None or after is None:
        sign, value = (Cell("    +", "green"), after) if before is None else (Cell("    -", "red"), before)
        return [sign, Cell(f" {change.path}: {_cut(value or '')}")]
    same = next((at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
    return [Cell("    ~", "yellow"), Cell(f" {change.path}: {_cut(before, same)} -> {_cut(after, same)}")]


def _cut(text: str, since: int = 0) -> str:
    """A long text shortened around where it begins to differ."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    begin = max(0, min(since - _MOST_CHARACTERS // 4, len(text) - _MOST_CHARACTERS))
    end = begin + _MOST_CHARACTERS
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"


def _plain(planned: "Planned") -> dict[str, Any]:
    document = planned.document
    return {
        "kind": document.kind.word,
        "name": document.name,
        "action": planned.action,
        "file": document.file,
        "line": document.line,
        "changes": [
            {"path": change.path, "before": change.before, "after": change.after} for change in planned.changes
        ],
        "notes": list(planned.notes),
    }
