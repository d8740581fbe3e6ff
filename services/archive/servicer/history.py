"""What happened to one resource, or to everything below a name."""

import base64
import binascii
import hashlib

from kernel.errors import invalid_field
from kernel.rpc import Context
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from services.archive.filters import moment_of
from services.archive.portions import within
from services.archive.queries import HistoryQuery, Stored
from services.archive.reading import fact_in
from services.archive.servicer.room import Room

_PAGE_SIZE = 50


class History(Room):
    async def GetHistory(self, request: rpc.GetHistoryRequest, context: Context) -> rpc.GetHistoryResponse:
        if not request.name and not request.below:
            raise invalid_field("name", "name a resource, or set below to mean the whole log", "REQUIRED")
        await self._resources.settle(request.read)
        query = _query(request)
        binding = _binding(request)
        cursor = opened(request.page_token, binding) if request.page_token else 0
        size = request.page_size or _PAGE_SIZE
        found = await self._copy.history(query, cursor, size + 1)
        page = within(found[:size])
        reply = rpc.GetHistoryResponse(entries=[entry_of(one) for one in page])
        if len(found) > len(page):
            reply.next_page_token = sealed(page[-1].revision, binding)
        return reply


def _query(request: rpc.GetHistoryRequest) -> HistoryQuery:
    read = request.read
    bounds = [one for one in (request.to_revision, read.as_of_revision) if one]
    return HistoryQuery(
        name=request.name,
        below=request.below,
        filter=request.filter,
        from_revision=request.from_revision,
        to_revision=min(bounds, default=0),
        until=moment_of(read.as_of_time, "read.as_of_time") if read.HasField("as_of_time") else None,
        descending=request.descending,
    )


def entry_of(one: Stored) -> types.HistoryEntry:
    entry = types.HistoryEntry(revision=one.revision, subject=one.subject, event_type=one.event_type)
    if fact_in(one.payload, one.subject) is None:
        entry.unreadable = one.payload
    else:
        entry.fact.ParseFromString(one.payload)
    return entry


def _binding(request: rpc.GetHistoryRequest) -> bytes:
    """A token belongs to one query: everything asked for but the page, and how fresh it had to be."""
    query = rpc.GetHistoryRequest()
    query.CopyFrom(request)
    query.page_size, query.page_token, query.read.at_least = 0, "", 0
    return hashlib.sha256(query.SerializeToString(deterministic=True)).digest()[:6]


def sealed(revision: int, binding: bytes) -> str:
    return base64.urlsafe_b64encode(binding + revision.to_bytes(8)).decode().rstrip("=")


def opened(token: str, binding: bytes) -> int:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != len(binding) + 8 or raw[: len(binding)] != binding:
        raise invalid_field("page_token", "take it unchanged from the last reply of the same query")
    return int.from_bytes(raw[len(binding) :])
