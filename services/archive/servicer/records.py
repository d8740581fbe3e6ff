"""Sealed records."""

import asyncio

from kernel.errors import NotAllowedNow
from kernel.names import Pattern, child
from kernel.rpc import Context
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from services.archive.domain import RECORD
from services.archive.domain.record import retry
from services.archive.keys import verifiers
from services.archive.sealing.verifying import Erased, verify_record
from services.archive.servicer.room import Room

PROJECT = Pattern("projects/*")


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
        record = types.Record.FromString(await self._resources.get(RECORD, request.name, request.read))
        if record.state not in (types.RECORD_STATE_SEALED, types.RECORD_STATE_EXPIRED):
            raise NotAllowedNow("RECORD_NOT_SEALED", f"{record.name} is not sealed, so there is nothing to verify")
        folder = self._parts.store.path(record.manifest_sha256)
        keys = verifiers(self._checkpoints.folder)
        erased = Erased(frozenset(record.erased_paths), record.HasField("erase_time"))
        verified = await asyncio.to_thread(verify_record, folder, record.manifest_sha256, keys, erased)
        return rpc.VerifyRecordResponse(
            name=record.name,
            intact=not verified.wrong,
            file_count=verified.file_count,
            proof_count=verified.proof_count,
            findings=[types.Finding(reason=one.reason, path=one.path, message=one.message) for one in verified.wrong],
            erased_paths=verified.erased,
        )
