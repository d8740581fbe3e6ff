"""The door of retrainings."""

from functools import partial

from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from services.monitoring.domain import KNOWN_VERSION, MONITOR, RETRAINING, retraining
from services.monitoring.servicer.alerts import children_of
from services.monitoring.servicer.room import Room


class Retrainings(Room):
    async def GetRetraining(self, request: rpc.GetRetrainingRequest, context: Context) -> bytes:
        return await self._resources.get(RETRAINING, request.name, request.read)

    async def ListRetrainings(self, request: rpc.ListRetrainingsRequest, context: Context) -> bytes:
        return await self._resources.page(RETRAINING, children_of(request.parent, MONITOR, "retrainings"), request)

    async def RequestRetraining(
        self, request: rpc.RequestRetrainingRequest, context: Context
    ) -> rpc.RequestRetrainingResponse:
        MONITOR.pattern.ids(request.parent, "parent")
        KNOWN_VERSION.pattern.ids(request.version, "version")
        decided = await self._transact.create_numbered(
            RETRAINING,
            request.parent,
            context.cause(),
            partial(retraining.request_by_hand, version_name=request.version),
            reads=((MONITOR, request.parent), (KNOWN_VERSION, request.version)),
        )
        return rpc.RequestRetrainingResponse(name=decided.name, revision=decided.revision)

    async def StartRetraining(
        self, request: rpc.StartRetrainingRequest, context: Context
    ) -> rpc.StartRetrainingResponse:
        verb = partial(retraining.start, run=request.run, by=context.caller.principal.id)
        decided = await self._write(RETRAINING, request, context, verb)
        return rpc.StartRetrainingResponse(name=decided.name, revision=decided.revision)

    async def AbandonRetraining(
        self, request: rpc.AbandonRetrainingRequest, context: Context
    ) -> rpc.AbandonRetrainingResponse:
        verb = partial(retraining.abandon, reason=request.reason)
        decided = await self._write(RETRAINING, request, context, verb)
        return rpc.AbandonRetrainingResponse(name=decided.name, revision=decided.revision)
