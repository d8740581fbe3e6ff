"""The door of checklists."""

from functools import partial

from kernel.rpc import Context
from modelog.registry.v1 import governance_pb2 as rpc
from services.registry.domain import VERSION, checklists
from services.registry.servicer.room import Room, access_reads, actors


class Checklists(Room):
    async def AnswerChecklist(
        self, request: rpc.AnswerChecklistRequest, context: Context
    ) -> rpc.AnswerChecklistResponse:
        cause = context.cause()
        verb = partial(
            checklists.answer_checklist,
            item=request.item,
            result=request.result,
            comment=request.comment,
            evidence=request.evidence,
            actors=actors(cause),
            now=cause.now,
        )
        decided = await self._transact(VERSION, request.name, cause, verb, reads=access_reads(request.name))
        return rpc.AnswerChecklistResponse(name=decided.name, revision=decided.revision)
