"""The door of findings."""

from functools import partial
from typing import Any

from kernel.rpc import Context
from kernel.transact import Decided
from modelog.registry.v1 import governance_pb2 as rpc
from modelog.registry.v1.types_pb2 import FINDING_STATE_UNSPECIFIED, FindingState
from services.registry.domain import VERSION, findings
from services.registry.servicer.room import Room, access_reads, actors, project_read


class Findings(Room):
    async def RaiseFinding(self, request: rpc.RaiseFindingRequest, context: Context) -> rpc.RaiseFindingResponse:
        verb = partial(
            findings.raise_finding,
            severity=request.severity,
            kind=request.kind,
            title=request.title,
            text=request.text,
            evidence=request.evidence,
        )
        reads = project_read(request.name)
        decided = await self._transact(VERSION, request.name, context.cause(), verb, reads=reads)
        raised = (await self._after(VERSION, decided)).findings
        return rpc.RaiseFindingResponse(
            name=decided.name,
            revision=decided.revision,
            finding=raised[-1].number if raised and decided.revision else 0,
        )

    async def ResolveFinding(self, request: rpc.ResolveFindingRequest, context: Context) -> rpc.ResolveFindingResponse:
        decided = await self._answered(
            request, context, findings.resolve_finding, text=request.text, evidence=request.evidence
        )
        state = await self._state(decided, request.finding)
        return rpc.ResolveFindingResponse(name=decided.name, revision=decided.revision, state=state)

    async def ConfirmFinding(self, request: rpc.ConfirmFindingRequest, context: Context) -> rpc.ConfirmFindingResponse:
        decided = await self._answered(request, context, findings.confirm_finding)
        return rpc.ConfirmFindingResponse(name=decided.name, revision=decided.revision)

    async def AcceptFinding(self, request: rpc.AcceptFindingRequest, context: Context) -> rpc.AcceptFindingResponse:
        decided = await self._answered(
            request,
            context,
            findings.accept_finding,
            text=request.text,
            evidence=request.evidence,
            expire_time=request.expire_time if request.HasField("expire_time") else None,
        )
        return rpc.AcceptFindingResponse(name=decided.name, revision=decided.revision)

    async def ReopenFinding(self, request: rpc.ReopenFindingRequest, context: Context) -> rpc.ReopenFindingResponse:
        verb = partial(findings.reopen_finding, finding=request.finding, text=request.text)
        reads = project_read(request.name)
        decided = await self._transact(VERSION, request.name, context.cause(), verb, reads=reads)
        return rpc.ReopenFindingResponse(name=decided.name, revision=decided.revision)

    async def _answered(self, request: Any, context: Context, verb: Any, **words: Any) -> Decided:
        """A verb that looks at who stands behind the caller."""
        cause = context.cause()
        bound = partial(verb, finding=request.finding, actors=actors(cause), now=cause.now, **words)
        return await self._transact(VERSION, request.name, cause, bound, reads=access_reads(request.name))

    async def _state(self, decided: Decided, number: int) -> FindingState:
        after = (await self._after(VERSION, decided)).findings
        state: FindingState = after[number - 1].state if decided.revision else FINDING_STATE_UNSPECIFIED
        return state
