"""One moment of the whole suite: every resource of every service as of one revision, and what changed between two.

    with modelog.connect_sync() as client:
        revision = modelog.located(client.as_of(datetime(2026, 3, 1))).revision
        for service, state in modelog.states(client, revision):
            ...

All of it goes page by page, so that it takes no more memory than a page does.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf import json_format

from modelog.known_states import state_in
from modelog.sdk.changes import Change, differences
from modelog.sdk.paging import pages
from modelog.sdk.settings import SERVICES
from modelog.state.v1 import state_service_pb2 as rpc
from modelog.type.v1.read_pb2 import ReadOptions

CREATED, CHANGED, REMOVED = "created", "changed", "removed"


class Difference(NamedTuple):
    """One resource that is not as it was.

    what: created, changed or removed; resources are removed by a fact that says so, and keep their history.
    revision: of the last fact in it. fields: before and after, by path.
    """

    service: str
    kind: str
    name: str
    what: str
    revision: int
    fields: list[Change]


def located(client: Any) -> Any:
    """The LocateMomentResponse of the moment that a SyncClient is as of; of the end of the log when of none."""
    from modelog.archive.v1.moments_pb2 import LocateMomentRequest

    return client.archive.LocateMoment(LocateMomentRequest())


def states(client: Any, revision: int, parent: str = "") -> Iterator[tuple[str, Any]]:
    """Service and ResourceState of every resource as of a revision; parent: of one project only."""
    read = ReadOptions(as_of_revision=revision)
    for service in SERVICES:
        asking = rpc.ListStatesRequest(parent=parent, read=read)
        for state in pages(client.states(service).ListStates, asking):
            yield service, state


def changes_between(client: Any, first: int, last: int, parent: str = "") -> Iterator[Difference]:
    """Every resource whose state as of revision `last` is another than as of revision `first`, 0 being before all."""
    read = ReadOptions(as_of_revision=last)
    for service in SERVICES:
        asking = rpc.ListChangesRequest(parent=parent, from_revision=first, read=read)
        for change in pages(client.states(service).ListChanges, asking):
            yield _difference(service, change)


def told(state: Any) -> dict[str, Any]:
    """A ResourceState's resource as JSON has it, by the names of the protos; only its bytes where this build does not
    know its kind."""
    message = state_in(state.state)
    if message is None:
        made: dict[str, Any] = {"@type": state.state.type_url, "value": state.state.value.hex()}
        return made
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _difference(service: str, change: Any) -> Difference:
    existed = change.HasField("before")
    before, after = told(change.before) if existed else {}, told(change.after)
    what = CHANGED if existed else CREATED
    if _is_over(after) and not _is_over(before):
        what = REMOVED
    return Difference(service, change.kind, change.name, what, change.after.revision, differences(before, after))


def _is_over(state: dict[str, Any]) -> bool:
    """Whether a fact has said that the resource is removed: by its state, or by a mark of its own."""
    return str(state.get("state", "")).endswith("_REMOVED") or state.get("removed") is True
