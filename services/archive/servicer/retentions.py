"""How long records are kept, what would expire, what is held, and what was erased."""

from functools import partial
from typing import Any

from kernel.names import check_id, child, project_of
from kernel.page_tokens import opened, sealed
from kernel.rpc import Context
from kernel.transact import Decided
from modelog.archive.v1 import retention_events_pb2 as facts
from modelog.archive.v1 import retention_service_pb2 as rpc
from modelog.archive.v1 import retentions_pb2 as types
from modelog.archive.v1.record_erasures_pb2 import RecordErasure
from modelog.archive.v1.types_pb2 import FactFilter, Hold, Record
from services.archive.domain import HOLD, KNOWN_VERSION, RECORD, RETENTION
from services.archive.domain.choosing import Candidate
from services.archive.domain.expiring import Verdict, is_held, judge
from services.archive.domain.hold import covering
from services.archive.domain.record import record_name
from services.archive.domain.retention import remove_rule, set_rule
from services.archive.expiry.standing import Page, standing_of, versions_of
from services.archive.filters import moment_of
from services.archive.portions import within
from services.archive.queries import HistoryQuery, Stored
from services.archive.reading import fact_in
from services.archive.servicer.records import PROJECT
from services.archive.servicer.room import Room

_PAGE_SIZE = 50
_ERASED = facts.RecordErased.DESCRIPTOR.full_name


class RetentionServicer(Room):
    """modelog.archive.v1.RetentionService."""

    async def SetRetention(self, request: rpc.SetRetentionRequest, context: Context) -> rpc.SetRetentionResponse:
        PROJECT.ids(request.parent, "parent")
        check_id(request.retention_id, "retention_id")
        await self._check_project(request.parent)
        name = child(request.parent, "retentions", request.retention_id)
        decided = await self._change(name, context, partial(set_rule, settings=request.settings))
        return rpc.SetRetentionResponse(name=decided.name, revision=decided.revision)

    async def RemoveRetention(
        self, request: rpc.RemoveRetentionRequest, context: Context
    ) -> rpc.RemoveRetentionResponse:
        decided = await self._change(request.name, context, remove_rule)
        return rpc.RemoveRetentionResponse(name=decided.name, revision=decided.revision)

    async def GetRetention(self, request: rpc.GetRetentionRequest, context: Context) -> bytes:
        return await self._resources.get(RETENTION, request.name, request.read)

    async def ListRetentions(self, request: rpc.ListRetentionsRequest, context: Context) -> bytes:
        PROJECT.ids(request.parent, "parent")
        return await self._resources.page(RETENTION, child(request.parent, "retentions", ""), request)

    async def PreviewExpiry(self, request: rpc.PreviewExpiryRequest, context: Context) -> rpc.PreviewExpiryResponse:
        PROJECT.ids(request.parent, "parent")
        until = moment_of(request.until_time, "until_time") if request.HasField("until_time") else context.now
        prefix, page = child(request.parent, "records", ""), _page(request)
        reply = rpc.PreviewExpiryResponse()
        standing = await standing_of(self._resources, request.parent, request.read)
        while not reply.records:
            bodies, page.page_token = await self._resources.page_of(RECORD, prefix, page)
            records = [Record.FromString(one) for one in bodies]
            versions = await versions_of(self._resources, records, request.read)
            for record, version in zip(records, versions, strict=True):
                verdict = judge(record, version, standing)
                if request.include_kept or (verdict.expires is not None and verdict.expires <= until):
                    reply.records.append(_expected(record, verdict, expires=verdict.is_due(until)))
            if not page.page_token:
                break
        reply.next_page_token = page.page_token
        return reply

    async def ListHeld(self, request: rpc.ListHeldRequest, context: Context) -> rpc.ListHeldResponse:
        hold = Hold.FromString(await self._resources.get(HOLD, request.name, request.read))
        prefix, page = child(project_of(hold.name), "models", ""), _page(request)
        reply = rpc.ListHeldResponse()
        while not reply.versions:
            bodies, page.page_token = await self._resources.page_of(KNOWN_VERSION, prefix, page)
            for body in bodies:
                candidate = Candidate(types.KnownVersion.FromString(body))
                name = record_name(candidate.version.name)
                if is_held(hold, candidate, name):
                    record = await self._resources.load(RECORD, name, request.read)
                    reply.versions.append(_held(hold, candidate, name, record))
            if not page.page_token:
                break
        reply.next_page_token = page.page_token
        return reply

    async def ListRecordErasures(
        self, request: rpc.ListRecordErasuresRequest, context: Context
    ) -> rpc.ListRecordErasuresResponse:
        PROJECT.ids(request.parent, "parent")
        await self._resources.settle(request.read)
        query, binding = _query(request), _binding(request)
        cursor = int(opened(request.page_token, binding)) if request.page_token else 0
        size = request.page_size or _PAGE_SIZE
        found = await self._copy.history(query, cursor, size + 1)
        page = within(found[:size])
        reply = rpc.ListRecordErasuresResponse(erasures=await self._erasures(page))
        if len(found) > len(page):
            reply.next_page_token = sealed(str(page[-1].revision), binding)
        return reply

    async def _erasures(self, page: Any) -> list[RecordErasure]:
        told = [(one, fact) for one in page if (fact := fact_in(one.payload, one.subject)) is not None]
        events = [facts.RecordErased.FromString(fact.event.value) for _, fact in told]
        expired = {one.revision: one for one in await self._copy.at(sorted({one.expire_revision for one in events}))}
        return [
            _erasure(one.revision, fact, event, expired.get(event.expire_revision))
            for (one, fact), event in zip(told, events, strict=True)
        ]

    async def _change(self, name: str, context: Context, verb: Any) -> Decided:
        return await self._transact(RETENTION, name, context.cause(), verb)


def _page(request: Any) -> Page:
    return Page(request.read, request.page_size or _PAGE_SIZE, request.page_token)


def _expected(record: Record, verdict: Verdict, *, expires: bool) -> types.Expected:
    one = types.Expected(
        record=record.name,
        version=record.version,
        rule=verdict.rule,
        holds=verdict.holds,
        expires=expires,
        size_bytes=record.size_bytes,
    )
    if record.HasField("seal_time"):
        one.seal_time.CopyFrom(record.seal_time)
    if verdict.expires is not None:
        one.expire_time.FromDatetime(verdict.expires)
    return one


def _held(hold: Hold, candidate: Candidate, name: str, record: Record) -> types.HeldVersion:
    return types.HeldVersion(
        version=candidate.version.name,
        record=record.name,
        record_state=record.state,
        resource=covering(hold, candidate.version.name) or covering(hold, name),
        by_query=bool(hold.query) and candidate.meets(hold.query),
    )


def _query(request: rpc.ListRecordErasuresRequest) -> HistoryQuery:
    read = request.read
    filter_ = FactFilter(event_types=[_ERASED])
    for field in ("from_time", "to_time"):
        if request.HasField(field):
            getattr(filter_, field).CopyFrom(getattr(request, field))
    until = moment_of(read.as_of_time, "read.as_of_time") if read.HasField("as_of_time") else None
    return HistoryQuery(request.parent, True, filter_, to_revision=read.as_of_revision, until=until)


def _binding(request: rpc.ListRecordErasuresRequest) -> str:
    """A token belongs to one query: everything asked for but the page, and how fresh it had to be."""
    query = rpc.ListRecordErasuresRequest()
    query.CopyFrom(request)
    query.page_size, query.page_token, query.read.at_least = 0, "", 0
    return query.SerializeToString(deterministic=True).hex()


def _erasure(revision: int, fact: Any, event: facts.RecordErased, expired: Stored | None) -> RecordErasure:
    one = RecordErasure(
        record=fact.resource,
        version=event.version,
        rule=event.rule,
        expire_revision=event.expire_revision,
        erase_time=fact.recorded_at,
        erase_revision=revision,
        paths=event.paths,
        size_bytes=event.size_bytes,
        artifact_sha256=event.artifact_sha256,
        artifact=event.artifact,
        text_count=event.text_count,
    )
    before = fact_in(expired.payload, expired.subject) if expired is not None else None
    if before is not None:
        one.expire_time.CopyFrom(before.recorded_at)
    return one
