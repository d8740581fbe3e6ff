"""Sealed records."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from access.fold import EVERYWHERE, KNOWN_PROJECT
from kernel.cause import Cause
from kernel.errors import NotAllowedNow, NotFound
from kernel.names import Pattern, child, project_of
from kernel.rpc import Context
from kernel.transact import Decided
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import records_pb2 as records
from modelog.archive.v1 import types_pb2 as types
from modelog.type.v1.read_pb2 import ReadOptions
from services.archive.domain import RECORD, restore
from services.archive.domain.record import retry
from services.archive.keys import verifiers
from services.archive.sealing.content import MANIFEST
from services.archive.sealing.contents import read
from services.archive.sealing.image import media_type
from services.archive.sealing.verifying import Erased, verify_record
from services.archive.servicer.room import Room

PROJECT = Pattern("projects/*")


_CHUNK_BYTES = 256 * 1024


class Records(Room):
    async def GetRecord(self, request: rpc.GetRecordRequest, context: Context) -> bytes:
        return await self._resources.get(RECORD, request.name, request.read)

    async def ListRecords(self, request: rpc.ListRecordsRequest, context: Context) -> bytes:
        PROJECT.ids(request.parent, "parent")
        return await self._resources.page(RECORD, child(request.parent, "records", ""), request)

    async def RetryArchiving(self, request: rpc.RetryArchivingRequest, context: Context) -> rpc.RetryArchivingResponse:
        decided = await self._transact(RECORD, request.name, context.cause(), retry)
        return rpc.RetryArchivingResponse(name=decided.name, revision=decided.revision)

    async def VerifyRecord(self, request: rpc.VerifyRecordRequest, context: Context) -> rpc.VerifyRecordResponse:
        record = await self._whole(request.name, request.read)
        contents = self._parts.store.open(record.manifest_sha256)
        keys = verifiers(self._checkpoints.folder)
        erased = Erased(frozenset(record.erased_paths), record.HasField("erase_time"))
        verified = await asyncio.to_thread(verify_record, contents, record.manifest_sha256, keys, erased)
        return rpc.VerifyRecordResponse(
            name=record.name,
            intact=not verified.wrong,
            file_count=verified.file_count,
            proof_count=verified.proof_count,
            findings=[types.Finding(reason=one.reason, path=one.path, message=one.message) for one in verified.wrong],
            erased_paths=verified.erased,
        )

    async def GetRecordContents(
        self, request: records.GetRecordContentsRequest, context: Context
    ) -> records.GetRecordContentsResponse:
        record = await self._whole(request.name, request.read)
        contents = self._parts.store.open(record.manifest_sha256)
        manifest, present = await asyncio.to_thread(lambda: (read(contents, MANIFEST), contents.names()))
        reply = records.GetRecordContentsResponse(image_sha256=record.image_sha256)
        if record.image_sha256:
            reply.image_address = self._parts.store.address(record.manifest_sha256)
        for path, one in sorted(json.loads(manifest)["files"].items()):
            reply.files.add(
                path=path,
                media_type=media_type(path),
                size_bytes=one["bytes"],
                sha256=one["sha256"],
                erased=path not in present,
            )
        return reply

    async def GetRecordFile(
        self, request: records.GetRecordFileRequest, context: Context
    ) -> AsyncIterator[records.GetRecordFileResponse]:
        record = await self._whole(request.name, ReadOptions())
        chunks = self._parts.store.open(record.manifest_sha256).chunks(request.path)
        try:
            while chunk := await asyncio.to_thread(next, chunks, b""):
                for first in range(0, len(chunk), _CHUNK_BYTES):
                    yield records.GetRecordFileResponse(chunk=chunk[first : first + _CHUNK_BYTES])
        except FileNotFoundError as error:
            text = f"{record.name} holds no {request.path}; `records files` lists what it holds"
            raise NotFound("RECORD_FILE_NOT_FOUND", text) from error

    async def RequestRecordRestore(
        self, request: records.RequestRecordRestoreRequest, context: Context
    ) -> records.RequestRecordRestoreResponse:
        decided = await self._restore(request.name, context.cause(), restore.request)
        return records.RequestRecordRestoreResponse(name=decided.name, revision=decided.revision)

    async def ApproveRecordRestore(
        self, request: records.ApproveRecordRestoreRequest, context: Context
    ) -> records.ApproveRecordRestoreResponse:
        decided = await self._restore(request.name, context.cause(), restore.approve)
        return records.ApproveRecordRestoreResponse(name=decided.name, revision=decided.revision)

    async def GetRecordCosts(
        self, request: records.GetRecordCostsRequest, context: Context
    ) -> records.GetRecordCostsResponse:
        PROJECT.ids(request.parent, "parent")
        await self._wait(request.read)
        price = self._parts.settings.gibibyte_month_price
        reply = records.GetRecordCostsResponse(gibibyte_month_price=price)
        wanted = "" if request.parent == EVERYWHERE else request.parent
        for project, count, size, erased in await self._copy.record_sizes(wanted):
            month = (size - erased) / (1 << 30) * price
            reply.costs.add(
                project=project, record_count=count, size_bytes=size - erased, erased_bytes=erased, month_price=month
            )
        return reply

    async def _restore(self, name: str, cause: Cause, verb: Any) -> Decided:
        RECORD.pattern.ids(name)
        by = [cause.actor.id, *(one.id for one in cause.on_behalf_of)]
        reads = ((KNOWN_PROJECT, project_of(name)), (KNOWN_PROJECT, EVERYWHERE))
        return await self._transact(RECORD, name, cause, partial(verb, by=by), reads=reads)

    async def _whole(self, name: str, read_: ReadOptions) -> types.Record:
        """A record that lies in the store."""
        record = types.Record.FromString(await self._resources.get(RECORD, name, read_))
        if record.state not in (types.RECORD_STATE_SEALED, types.RECORD_STATE_EXPIRED):
            raise NotAllowedNow("RECORD_NOT_SEALED", f"{record.name} is not sealed, so there is nothing in it")
        return record
