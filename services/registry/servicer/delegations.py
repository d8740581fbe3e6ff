"""The door of delegated reviews."""

from functools import partial

from kernel.rpc import Context
from modelog.registry.v1 import governance_pb2 as rpc
from services.registry.domain import MODEL, PROJECT, delegations
from services.registry.servicer.room import Room, actors, everywhere_read


class Delegations(Room):
    async def DelegateReviews(
        self, request: rpc.DelegateReviewsRequest, context: Context
    ) -> rpc.DelegateReviewsResponse:
        if request.model:
            MODEL.pattern.ids(request.model, "model")
        cause = context.cause()
        verb = partial(
            delegations.delegate_reviews,
            delegate=request.delegate,
            kind=request.kind,
            model=request.model,
            expire_time=request.expire_time,
            actors=actors(cause),
            now=cause.now,
        )
        decided = await self._transact(PROJECT, request.name, cause, verb, reads=everywhere_read(request.name))
        after = (await self._after(PROJECT, decided)).delegations
        asked = (cause.actor.id, request.delegate, request.kind, request.model, request.expire_time)
        number = next((one.number for one in reversed(after) if delegations.same(one, *asked)), 0)
        return rpc.DelegateReviewsResponse(name=decided.name, revision=decided.revision, delegation=number)

    async def EndDelegation(self, request: rpc.EndDelegationRequest, context: Context) -> rpc.EndDelegationResponse:
        cause = context.cause()
        verb = partial(delegations.end_delegation, delegation=request.delegation, actors=actors(cause))
        decided = await self._transact(PROJECT, request.name, cause, verb)
        return rpc.EndDelegationResponse(name=decided.name, revision=decided.revision)
