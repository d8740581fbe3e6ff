"""The records of access: who was refused, and who read history."""

from collections.abc import Sequence
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, enum, tail, time
from modelog.cli.verbs import opt, verb

_TITLES = ("time", "who", "for", "verdict", "reason", "method", "resources", "client")


def row(entry: Any) -> list[Cell | str]:
    """A record in a line, or what stands in the place of one."""
    if entry.missing:
        return ["", "", "", Cell(f"{entry.missing} missing", "red"), "", "", "", ""]
    if not entry.HasField("record"):
        return ["", "", "", Cell("unreadable", "red"), "", entry.service, "", ""]
    record = entry.record
    return [
        time(record.recorded_at),
        record.principal.id or Cell("unknown", "dim"),
        ", ".join(one.id for one in record.on_behalf_of),
        enum(record.DESCRIPTOR.fields_by_name["verdict"], record.verdict),
        record.reason,
        record.method.rpartition("/")[2],
        ", ".join(map(tail, record.resources)),
        record.client_address,
    ]


def _table(entries: Sequence[Any]) -> None:
    render.table(_TITLES, [row(entry) for entry in entries])


def _asked(_state: Any, request: Any, values: dict[str, Any]) -> None:
    request.parent = values["within"] or ""
    if values["refused"]:
        request.verdict = (
            request.DESCRIPTOR.fields_by_name["verdict"].enum_type.values_by_name["VERDICT_REFUSED"].number
        )


log = verb(
    "log",
    "archive.ListAccessRecords",
    "Who was refused, and who read history, newest first; in a project or below a resource, by its full name, when one"
    " is named.",
    opt("principal", "Only calls of this principal, or for it."),
    opt("method", "Only calls of this method, GetHistory."),
    opt("service", "Only calls of this service."),
    opt("reason", "Only for this reason, NOT_GRANTED."),
    opt("from_time", "Recorded at or after.", flag="--since"),
    opt("to_time", "Recorded before.", flag="--until"),
    opt("ascending", "Oldest first.", flag="--oldest-first"),
    extra=(
        click.Argument(["within"], metavar="[RESOURCE]", required=False),
        click.Option(["--refused"], is_flag=True, help="Only calls that were refused."),
    ),
    prepare=_asked,
    tabulate=_table,
)
