"""The log, read: what happened to a resource, and replaying everything from a revision on."""

from collections.abc import Sequence
from typing import Any

import click

from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from modelog.cli import render
from modelog.cli.cells import Cell, is_set, summary, time
from modelog.cli.state import Command, state_of
from modelog.cli.text import clean
from modelog.cli.verbs import fill, opt, verb
from modelog.sdk.facts import Entry, event_of

_FILTER = (
    opt("filter.event_types", "Only this kind of fact, StageChanged.", flag="--type"),
    opt("filter.actors", "Only what this principal did.", flag="--actor"),
    opt("filter.services", "Only facts of this service.", flag="--service"),
    opt("filter.projects", "Only facts of this project.", kind="project", flag="--project"),
    opt("filter.correlation_id", "Only what followed from one outside request."),
    opt("filter.happened_before", "Only what was recorded later than it happened.", flag="--backdated"),
    opt("filter.from_time", "Recorded at or after.", flag="--since"),
    opt("filter.to_time", "Recorded before.", flag="--until"),
)
_MOST_CHARACTERS = 100
TITLES = ("revision", "time", "resource", "fact", "actor")


def entry_of(entry: Entry) -> types.HistoryEntry:
    """A message of the log as history shows it."""
    made = types.HistoryEntry(revision=entry.revision, subject=entry.subject)
    if entry.fact is None or not entry.fact.resource:
        made.unreadable = entry.payload
    else:
        made.fact.CopyFrom(entry.fact)
        made.event_type = entry.fact.event.type_url.rpartition("/")[2]
    return made


def row(entry: Any) -> list[Cell | str]:
    """Revision, time, resource, what happened in a few words, and who did it."""
    if not entry.HasField("fact"):
        return [str(entry.revision), "", entry.subject, Cell("unreadable", "red"), ""]
    fact = entry.fact
    reason = f" “{fact.reason}”" if fact.reason else ""
    return [str(entry.revision), time(fact.recorded_at), fact.resource, _what(fact) + reason, fact.actor.id]


def line(entry: Any) -> str:
    """The same as one line of text."""
    texts = [one.text if isinstance(one, Cell) else one for one in row(entry)]
    texts += [f"happened {before.text}"] if (before := happened(entry)).text else []
    return clean("  ".join(" ".join(text.split()) for text in texts)).rstrip()


def happened(entry: Any) -> Cell:
    """When it happened, where that is not when it was recorded; marked, for nobody but the importer answers for it."""
    fact = entry.fact
    return Cell(time(fact.happened_at), "yellow") if fact.HasField("happened_at") else Cell("")


def _what(fact: Any) -> str:
    """The kind of fact and what can be said of it in a few words."""
    kind = fact.event.type_url.rpartition(".")[2]
    event = event_of(fact)
    said = []
    for field in event.DESCRIPTOR.fields if event else ():
        short = summary(field, getattr(event, field.name)) if is_set(event, field) else None
        if short and len(short.text) <= _MOST_CHARACTERS:
            said.append(f"{field.name}={short.text}")
    told = " ".join([kind, *said])
    return told if len(told) <= _MOST_CHARACTERS else told[: _MOST_CHARACTERS - 1] + "…"


def _table(entries: Sequence[Any]) -> None:
    """With a column more where something was recorded later than it happened."""
    if any(entry.fact.HasField("happened_at") for entry in entries):
        render.table([*TITLES, "happened"], [[*row(entry), happened(entry)] for entry in entries])
    else:
        render.table(TITLES, [row(entry) for entry in entries])


def _whole(state: Any, request: Any, values: dict[str, Any]) -> None:
    request.name = values["resource"] or ""
    request.below = request.below or not request.name
    if values["diff"]:
        from modelog.cli.causes import differences

        differences(state, request)
        raise click.exceptions.Exit(0)


history = verb(
    "history",
    "archive.GetHistory",
    "What happened to a resource, by its full name; to everything when none is named.",
    opt("below", "Also to everything below that name."),
    *_FILTER,
    opt("from_revision", "First revision.", flag="--from"),
    opt("to_revision", "Last revision.", flag="--to"),
    opt("descending", "Newest first.", flag="--newest-first"),
    extra=(
        click.Argument(["resource"], required=False),
        click.Option(["--diff"], is_flag=True, help="With the fields that each fact changed, before and after."),
    ),
    prepare=_whole,
    tabulate=_table,
)


@click.command(
    "replay",
    cls=Command,
    params=[
        click.Option(["--from", "from_revision"], type=click.IntRange(1), default=1, help="First revision. [1]"),
        click.Option(["--to", "to_revision"], type=click.IntRange(1), help="Last revision."),
        click.Option(["--follow", "-f"], is_flag=True, help="Go on with what happens from now, until Ctrl-C."),
        *(field.parameter(rpc.ReadFactsRequest.DESCRIPTOR) for field in _FILTER),
    ],
)
@click.pass_context
def replay(ctx: click.Context, /, from_revision: int, to_revision: int | None, follow: bool, **values: Any) -> None:
    """The facts of the log from a revision on; with --json one a line."""
    state = state_of(ctx)
    request = rpc.ReadFactsRequest()
    state.stub("archive.ReadFacts", request)
    fill(request, _FILTER, values)
    reader = state.client().subscribe(
        from_revision,
        request.filter if request.HasField("filter") else None,
        to_revision=to_revision or 0,
        follow=follow,
        patience_seconds=state.timeout,
        with_texts=True,
    )
    for entry in reader:
        if state.as_json:
            render.print_json(render.plain(entry_of(entry)), line=True)
        else:
            print(line(entry_of(entry)), flush=follow)
