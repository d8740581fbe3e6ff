"""The door of retrainings, and of proposals to retire."""

from functools import partial

from kernel.errors import Conflict, NotAllowedNow
from kernel.names import Pattern
from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import retrainings_pb2 as messages
from services.monitoring.domain import KNOWN_VERSION, MONITOR, RETIREMENT, RETRAINING, retirement, retraining
from services.monitoring.queue import queries as queue
from services.monitoring.servicer.alerts import children_of
from services.monitoring.servicer.room import Room

_PROJECT = Pattern("projects/*")
_MOST_TRIED = 20


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
            partial(
                retraining.request_by_hand,
                version_name=request.version,
                within_seconds=request.within_seconds,
                now=context.now,
            ),
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

    async def ClaimRetraining(
        self, request: messages.ClaimRetrainingRequest, context: Context
    ) -> messages.ClaimRetrainingResponse:
        _PROJECT.ids(request.parent, "parent")
        verb = partial(retraining.claim, lease_seconds=request.lease_seconds, now=context.now)
        found = await queue.candidates(self._pool, request.parent, request.model, context.request_id, _MOST_TRIED)
        for name in found:
            try:
                decided = await self._transact(RETRAINING, name, context.cause(), verb)
            except (Conflict, NotAllowedNow):
                continue  # Somebody was faster; the next one may still wait.
            return messages.ClaimRetrainingResponse(name=decided.name, revision=decided.revision)
        return messages.ClaimRetrainingResponse()

    async def ExtendRetrainingClaim(
        self, request: messages.ExtendRetrainingClaimRequest, context: Context
    ) -> messages.ExtendRetrainingClaimResponse:
        by = context.caller.principal.id
        verb = partial(retraining.extend, by=by, lease_seconds=request.lease_seconds, now=context.now)
        decided = await self._write(RETRAINING, request, context, verb)
        return messages.ExtendRetrainingClaimResponse(name=decided.name, revision=decided.revision)

    async def ReleaseRetraining(
        self, request: messages.ReleaseRetrainingRequest, context: Context
    ) -> messages.ReleaseRetrainingResponse:
        verb = partial(retraining.release, by=context.caller.principal.id, reason=request.reason)
        decided = await self._write(RETRAINING, request, context, verb)
        return messages.ReleaseRetrainingResponse(name=decided.name, revision=decided.revision)


class Retirements(Room):
    async def GetRetirement(self, request: messages.GetRetirementRequest, context: Context) -> bytes:
        return await self._resources.get(RETIREMENT, request.name, request.read)

    async def ListRetirements(self, request: messages.ListRetirementsRequest, context: Context) -> bytes:
        return await self._resources.page(RETIREMENT, children_of(request.parent, MONITOR, "retirements"), request)

    async def AcceptRetirement(
        self, request: messages.AcceptRetirementRequest, context: Context
    ) -> messages.AcceptRetirementResponse:
        decided = await self._write(RETIREMENT, request, context, retirement.accept)
        return messages.AcceptRetirementResponse(name=decided.name, revision=decided.revision)

    async def DeclineRetirement(
        self, request: messages.DeclineRetirementRequest, context: Context
    ) -> messages.DeclineRetirementResponse:
        verb = partial(retirement.decline, reason=request.reason)
        decided = await self._write(RETIREMENT, request, context, verb)
        return messages.DeclineRetirementResponse(name=decided.name, revision=decided.revision)
