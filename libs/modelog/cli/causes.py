"""Why something happened, and the difference that each fact made."""

from collections.abc import Iterator
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.log import TITLES, row
from modelog.cli.state import State
from modelog.cli.text import clean
from modelog.cli.verbs import opt, verb

_TIES = {
    1: "caused by",
    2: "decided on",
    3: "refers to",
    4: "after",
    5: "asked for together with",
}


def _tree(state: State, reply: Any) -> None:
    """Each fact below the one it explains."""
    if state.as_json:
        return render.print_json(render.plain(reply))
    below: dict[int, list[int]] = {}
    for number, node in enumerate(reply.nodes):
        below.setdefault(node.parent, []).append(number)
    for number, depth in _walk(below, -1, 0):
        node = reply.nodes[number]
        told = [one.text if isinstance(one, Cell) else one for one in row(node.entry)]
        revision, when, resource, what, actor = (" ".join(one.split()) for one in told)
        tie = f"{_TIES[node.kind]} " if node.kind else ""
        click.echo(clean(f"{'   ' * depth}{tie}{resource}: {what}  [{revision}, {when}, {actor}]"))
    if reply.truncated:
        click.echo("there is more: ask for one of these facts by --revision, or for more by --depth", err=True)
    return None


def _walk(below: dict[int, list[int]], parent: int, depth: int) -> Iterator[tuple[int, int]]:
    for number in below.get(parent, ()):
        yield number, depth
        yield from _walk(below, number, depth + 1)


def _named(_state: Any, request: Any, values: dict[str, Any]) -> None:
    request.name = values["resource"]


why = verb(
    "why",
    "archive.ExplainFact",
    "Why the last thing that happened to a resource, by its full name, happened: the facts that led to it, as a tree.",
    opt("revision", "Another fact of it than its last."),
    opt("depth", "How far back, in causes of causes. [12]"),
    extra=(click.Argument(["resource"]),),
    prepare=_named,
    show=_tree,
)


def differences(state: State, request: Any) -> None:
    """A page of history with what each fact changed in its resource: field by field, before and after."""
    from modelog.sdk.changes import changes_of

    request.page_size = request.page_size or 100
    reply = state.call("archive.GetHistory", request)
    for one in changes_of(state.client(past=True), reply.entries):
        fields = [] if one.fields is None else one.fields
        if state.as_json:
            changes = None if one.fields is None else [part._asdict() for part in fields]
            render.print_json({**render.plain(one.entry), "changes": changes}, line=True)
            continue
        render.table(TITLES, [row(one.entry)])
        render.table(["field", "before", "after"], [[part.path, part.before, part.after] for part in fields])
    if reply.next_page_token:
        click.echo(f"only the first {len(reply.entries)} facts are shown; go on with --from", err=True)
