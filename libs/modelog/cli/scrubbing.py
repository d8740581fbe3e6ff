"""Comparing everything that holds facts, and all views of all services with what the log makes of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.failures import UNAVAILABLE, UNVERIFIED
from modelog.cli.state import Command, State, state_of
from modelog.sdk.settings import SERVICES

_Row = list[Cell | str]


@click.command("scrub", cls=Command, method="archive.Scrub")
@click.option("--last", is_flag=True, help="How the last comparison in the background ended.")
@click.pass_context
def scrub(ctx: click.Context, last: bool) -> int:
    """Compare log, copy, tree, checkpoints, and the views of all services.

    Exit status: 7 when anything differs, 6 when a service could not be asked.
    """
    from modelog.archive.v1.evidence_requests_pb2 import ScrubRequest

    state = state_of(ctx)
    state.client()
    stores = _ended(state.call("archive.Scrub", ScrubRequest(last=last)), dots=not state.as_json)
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        views = dict(zip(SERVICES, pool.map(lambda service: _views(state, service, last), SERVICES), strict=True))
    if state.as_json:
        told = {service: _plain(one) for service, one in views.items()}
        render.print_json(render.plain(stores) | {"views": told})
    else:
        _tell(stores, views)
    answered = [one for one in views.values() if not isinstance(one, Exception)]
    if stores.findings or any(one.finding_count or one.alarm_reason for one in answered):
        return UNVERIFIED
    return 0 if len(answered) == len(SERVICES) else UNAVAILABLE


def _views(state: State, service: str, last: bool) -> Any:
    """The comparison of a service, or why there is none."""
    from modelog.sdk.errors import NotConfigured, Refused
    from modelog.status.v1.comparisons_pb2 import CompareViewsRequest

    try:
        return _ended(state.client().status(service).CompareViews(CompareViewsRequest(last=last))).comparison
    except (Refused, NotConfigured) as error:
        return error


def _ended(replies: Any, *, dots: bool = False) -> Any:
    """The last reply of a stream that tells how far it has come."""
    reply = None
    for reply in replies:
        if dots and not reply.done:
            click.echo(".", nl=False, err=True)
    if reply is None or not reply.done:
        raise click.ClickException("the comparison was broken off; try again")
    return reply


def _plain(comparison: Any) -> dict[str, Any]:
    return {"error": str(comparison)} if isinstance(comparison, Exception) else render.plain(comparison)


def _tell(stores: Any, views: dict[str, Any]) -> None:
    found = [*_store_rows(stores), *(row for service, one in views.items() for row in _view_rows(service, one))]
    if found:
        render.table(["where", "finding", "revision", "resource", "what differs"], found)
    size, checkpoints = stores.summary.size, stores.summary.checkpoint_count
    compared = f"{size} facts and {checkpoints} checkpoints" if stores.summary.HasField("end_time") else ""
    rows: list[_Row] = [["log, copy, tree, signed roots", *_outcome(compared, bool(stores.findings))]]
    for service, one in views.items():
        if isinstance(one, Exception):
            rows.append([f"views of {service}", Cell("NOT COMPARED", "red"), str(one)])
            continue
        compared = f"{one.row_count} rows of {one.table_count} tables at revision {one.revision}"
        told = compared if one.HasField("end_time") else ""
        rows.append([f"views of {service}", *_outcome(told, bool(one.finding_count or one.alarm_reason))])
    render.table(["stores", "outcome", "what was compared"], rows)


def _outcome(compared: str, different: bool) -> _Row:
    if not compared:
        return ["", "nothing was compared in the background yet"]
    return [Cell("DIFFERENT", "red") if different else Cell("the same", "green"), compared]


def _store_rows(reply: Any) -> Iterator[_Row]:
    stores = reply.DESCRIPTOR.fields_by_name["findings"].message_type.fields_by_name["store"].enum_type.values_by_number
    for one in reply.findings:
        revisions = str(one.revision or "")
        if one.last_revision > one.revision:
            revisions += f"-{one.last_revision}"
        store = stores[one.store].name.removeprefix("EVIDENCE_STORE_").lower()
        yield [store, Cell(one.reason, "red"), revisions, "", one.message]


def _view_rows(service: str, comparison: Any) -> Iterator[_Row]:
    if isinstance(comparison, Exception):
        return
    if comparison.alarm_reason:
        yield [service, Cell(comparison.alarm_reason, "red"), "", "", comparison.alarm_message]
    for one in comparison.findings:
        yield [f"{service}.{one.table}", Cell(one.reason, "red"), str(one.revision or ""), one.name, one.message]
    if comparison.finding_count > len(comparison.findings):
        yield [service, "", "", "", f"and {comparison.finding_count - len(comparison.findings)} rows more"]
