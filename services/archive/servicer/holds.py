"""Legal holds."""

from functools import partial

from kernel.names import check_id, child
from kernel.rpc import Context
from modelog.archive.v1 import archive_service_pb2 as rpc
from services.archive.domain import HOLD
from services.archive.domain.hold import place, release
from services.archive.servicer.records import PROJECT
from services.archive.servicer.room import Room


class Holds(Room):
    async def PlaceHold(self, request: rpc.PlaceHoldRequest, context: Context) -> rpc.PlaceHoldResponse:
        PROJECT.ids(request.parent, "parent")
        check_id(request.hold_id, "hold_id")
        await self._check_project(request.parent)
        decided = await self._transact(
            HOLD,
            child(request.parent, "holds", request.hold_id),
            context.cause(),
            partial(
                place,
                project=request.parent,
                resources=tuple(request.resources),
                title=request.title,
                authority=request.authority,
                query=request.query,
            ),
        )
        return rpc.PlaceHoldResponse(name=decided.name, revision=decided.revision)

    async def ReleaseHold(self, request: rpc.ReleaseHoldRequest, context: Context) -> rpc.ReleaseHoldResponse:
        decided = await self._transact(HOLD, request.name, context.cause(), release)
        return rpc.ReleaseHoldResponse(name=decided.name, revision=decided.revision)

    async def GetHold(self, request: rpc.GetHoldRequest, context: Context) -> bytes:
        return await self._resources.get(HOLD, request.name, request.read)

    async def ListHolds(self, request: rpc.ListHoldsRequest, context: Context) -> bytes:
        PROJECT.ids(request.parent, "parent")
        return await self._resources.page(HOLD, child(request.parent, "holds", ""), request)
