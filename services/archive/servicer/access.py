"""Who was refused, and who read history: searched by auditors."""

import hashlib

from kernel.errors import invalid_field
from kernel.rooms import Rooms
from kernel.rpc import Context
from modelog.access.v1.types_pb2 import AccessEntry
from modelog.archive.v1 import archive_service_pb2 as rpc
from services.archive.access import queries
from services.archive.access.keeper import Keeper
from services.archive.access.queries import Kept, Search
from services.archive.access.reading import narrowed, record_in
from services.archive.filters import moment_of
from services.archive.portions import within
from services.archive.servicer.history import opened, sealed
from services.archive.servicer.room import Room

_PAGE_SIZE = 50


class AccessRecords(Room):
    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        self._keeper = Keeper(rooms)

    async def ListAccessRecords(
        self, request: rpc.ListAccessRecordsRequest, context: Context
    ) -> rpc.ListAccessRecordsResponse:
        wanted, binding = search_of(request), _binding(request)
        cursor = opened(request.page_token, binding) if request.page_token else 0
        if not cursor:
            await self._keeper.up_to_date()
        size = request.page_size or _PAGE_SIZE
        found = await queries.search(
            self._rooms.kept, wanted, cursor=cursor, ascending=request.ascending, limit=size + 1
        )
        page = within(found[:size])
        reply = rpc.ListAccessRecordsResponse(entries=[_entry(one, request.parent) for one in page])
        if len(found) > len(page):
            reply.next_page_token = sealed(page[-1].number, binding)
        return reply


def search_of(request: rpc.ListAccessRecordsRequest) -> Search:
    parts = request.parent.split("/")
    if request.parent and (parts[0] != "projects" or len(parts) % 2 or not all(parts)):
        raise invalid_field("parent", "name a project, or something in one", "NAME_FORMAT")
    return Search(
        place=request.parent,
        principal=request.principal,
        method=request.method,
        service=request.service,
        verdict=request.verdict,
        reason=request.reason,
        since=moment_of(request.from_time, "from_time") if request.HasField("from_time") else None,
        until=moment_of(request.to_time, "to_time") if request.HasField("to_time") else None,
    )


def _entry(one: Kept, parent: str) -> AccessEntry:
    entry = AccessEntry(position=one.number, service=one.service, missing=one.missing)
    record = record_in(one.payload, one.service) if one.readable else None
    if record is None:
        entry.unreadable = one.payload
    else:
        entry.abridged = bool(parent) and narrowed(record, parent)
        entry.record.CopyFrom(record)
    return entry


def _binding(request: rpc.ListAccessRecordsRequest) -> bytes:
    """A token belongs to one search: everything asked for but the page."""
    query = rpc.ListAccessRecordsRequest()
    query.CopyFrom(request)
    query.page_size, query.page_token = 0, ""
    return hashlib.sha256(query.SerializeToString(deterministic=True)).digest()[:6]
