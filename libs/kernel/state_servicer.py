"""Everything that a service keeps, as of any moment, and what changed between two. The same for every service."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage

from kernel import tables
from kernel.errors import invalid_field
from kernel.fold import Kind
from kernel.names import Pattern
from kernel.page_tokens import opened, sealed, unusable
from kernel.resources import PAGE_SIZE, Resources, moment_of
from modelog.state.v1 import state_service_pb2 as rpc
from modelog.type.v1.read_pb2 import ReadOptions

_PROJECT = Pattern("projects/*")
_EVERYTHING = "projects"
_TYPE_PREFIX = "type.googleapis.com/"
# Of one reply, of which a message may have 4 MiB; a single state may be larger than its share.
_MOST_BYTES = 2 << 20


class _Place(NamedTuple):
    """Where a page begins: as of which revision (0 where the request says it), behind what of which kind."""

    revision: int
    kind: int
    sort: str


class _Row(NamedTuple):
    kind: Kind
    place: _Place
    stored: Any


class StateServicer:
    """kinds: those of the service; of other services' resources it knows only what concerns it, and tells nothing."""

    def __init__(self, service: str, kinds: Sequence[Kind], resources: Resources) -> None:
        self._kinds = sorted((one for one in kinds if one.service == service), key=lambda one: one.table)
        self._resources = resources

    async def ListStates(self, request: rpc.ListStatesRequest, _context: Any) -> rpc.ListStatesResponse:
        rows, token = await self._page(request, tables.select_states)
        return rpc.ListStatesResponse(states=[_latter(one) for one in rows], next_page_token=token)

    async def ListChanges(self, request: rpc.ListChangesRequest, _context: Any) -> rpc.ListChangesResponse:
        if request.read.as_of_revision and request.from_revision > request.read.as_of_revision:
            raise invalid_field("from_revision", "it is later than the moment that read asks about", "FROM_TOO_LATE")
        rows, token = await self._page(request, tables.select_changes, request.from_revision)
        return rpc.ListChangesResponse(changes=[_change(one) for one in rows], next_page_token=token)

    async def _page(self, request: Any, select: Callable[[Kind, str], str], *more: int) -> tuple[list[_Row], str]:
        if request.parent:
            _PROJECT.ids(request.parent, "parent")
        await self._resources.settle(request.read)
        query = f"{request.parent} {more} {request.read.as_of_revision} {request.read.as_of_time.ToMicroseconds()}"
        place = _opened(request.page_token, query) if request.page_token else _Place(self._pinned(request.read), 0, "")
        column, until = ("revision", place.revision) if place.revision else _asked(request.read)
        size = request.page_size or PAGE_SIZE

        async def fetch(number: int, after: str, most: int) -> Sequence[Any]:
            sql = select(self._kinds[number], column)
            return await self._resources.fetch(sql, after, request.parent or _EVERYTHING, most, until, *more)

        rows = await self._rows(place, size + 1, fetch)
        shown = _within(rows, size)
        token = "\0".join(map(str, shown[-1].place)) if len(shown) < len(rows) else ""
        return shown, sealed(token, query) if token else ""

    def _pinned(self, read: ReadOptions) -> int:
        """Without a moment all pages are of the first one's, which even an empty log has."""
        return 0 if read.WhichOneof("as_of") else max(self._resources.reached, 1)

    async def _rows(
        self, place: _Place, size: int, fetch: Callable[[int, str, int], Awaitable[Sequence[Any]]]
    ) -> list[_Row]:
        """The next so many, of as many kinds as it takes."""
        rows: list[_Row] = []
        after = place.sort
        for number in range(place.kind, len(self._kinds)):
            found = await fetch(number, after, size - len(rows))
            rows += [_Row(self._kinds[number], place._replace(kind=number, sort=one["sort"]), one) for one in found]
            if len(rows) == size:
                break
            after = ""
        return rows


def _asked(read: ReadOptions) -> tuple[str, int | datetime]:
    return ("revision", read.as_of_revision) if read.as_of_revision else ("recorded_at", moment_of(read))


def _opened(token: str, query: str) -> _Place:
    try:
        revision, kind, sort = opened(token, query).split("\0")
        return _Place(int(revision), int(kind), sort)
    except ValueError as error:
        raise unusable(error) from error


def _within(rows: list[_Row], size: int) -> list[_Row]:
    """As many as one reply takes, at least one."""
    taken = 0
    for number, one in enumerate(rows[:size]):
        taken += len(one.stored["body"]) + len(one.stored.get("former_body") or b"")
        if taken > _MOST_BYTES and number:
            return rows[:number]
    return rows[:size]


def _latter(row: _Row) -> rpc.ResourceState:
    return _state(row, row.stored["revision"], row.stored["body"])


def _change(row: _Row) -> rpc.ResourceChange:
    change = rpc.ResourceChange(name=row.stored["name"], kind=row.kind.table, after=_latter(row))
    if row.stored["former_body"] is not None:
        change.before.CopyFrom(_state(row, row.stored["former_revision"], row.stored["former_body"]))
    return change


def _state(row: _Row, revision: int, body: bytes) -> rpc.ResourceState:
    kind = row.kind
    state = AnyMessage(type_url=_TYPE_PREFIX + kind.message.DESCRIPTOR.full_name, value=body)
    digest = hashlib.sha256(body).digest()
    return rpc.ResourceState(name=row.stored["name"], kind=kind.table, revision=revision, state=state, sha256=digest)
