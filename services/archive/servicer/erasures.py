"""Erasures of free text."""

from functools import partial

from kernel.names import check_id, child
from kernel.rpc import Context
from modelog.archive.v1 import erasure_service_pb2 as rpc
from services.archive.domain import ERASURE
from services.archive.domain.erasure import erase
from services.archive.servicer.records import PROJECT
from services.archive.servicer.room import Room


class ErasureServicer(Room):
    """modelog.archive.v1.ErasureService."""

    async def EraseTexts(self, request: rpc.EraseTextsRequest, context: Context) -> rpc.EraseTextsResponse:
        PROJECT.ids(request.parent, "parent")
        check_id(request.erasure_id, "erasure_id")
        name = child(request.parent, "erasures", request.erasure_id)
        verb = partial(erase, project=request.parent, scope=request.scope, authority=request.authority)
        decided = await self._transact(ERASURE, name, context.cause(), verb)
        return rpc.EraseTextsResponse(name=decided.name, revision=decided.revision)

    async def GetErasure(self, request: rpc.GetErasureRequest, context: Context) -> bytes:
        return await self._resources.get(ERASURE, request.name, request.read)

    async def ListErasures(self, request: rpc.ListErasuresRequest, context: Context) -> bytes:
        PROJECT.ids(request.parent, "parent")
        return await self._resources.page(ERASURE, child(request.parent, "erasures", ""), request)
