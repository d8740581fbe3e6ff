"""The door of transitions: requests, reviews, verdicts."""

from functools import partial

from access.fold import EVERYWHERE
from kernel.errors import NotFound
from kernel.names import project_of
from kernel.rpc import Context
from modelog.registry.v1 import registry_service_pb2 as rpc
from services.registry.domain import PROJECT, VERSION, transition
from services.registry.domain.access import Access
from services.registry.domain.advice import next_steps
from services.registry.domain.gates import judge
from services.registry.servicer.room import Room, access_reads, actors


class Transitions(Room):
    async def RequestTransition(
        self, request: rpc.RequestTransitionRequest, context: Context
    ) -> rpc.RequestTransitionResponse:
        decided = await self._transact(
            VERSION,
            request.name,
            context.cause(),
            partial(transition.request_transition, to_stage=request.to_stage, now=context.now),
            reads=access_reads(request.name),
        )
        opened = (await self._after(VERSION, decided)).transition
        return rpc.RequestTransitionResponse(
            name=decided.name,
            revision=decided.revision,
            transition=opened.number,
            state=opened.state,
            gates=opened.gates,
        )

    async def SubmitReview(self, request: rpc.SubmitReviewRequest, context: Context) -> rpc.SubmitReviewResponse:
        cause = context.cause()
        verb = partial(
            transition.submit_review,
            transition=request.transition,
            reviewers=actors(cause),
            kind=request.kind,
            decision=request.decision,
            comment=request.comment,
            evidence=request.evidence,
            now=cause.now,
            delegated_by=request.delegated_by,
        )
        decided = await self._transact(VERSION, request.name, cause, verb, reads=access_reads(request.name))
        after = await self._after(VERSION, decided)
        return rpc.SubmitReviewResponse(name=decided.name, revision=decided.revision, state=after.transition.state)

    async def WithdrawTransition(
        self, request: rpc.WithdrawTransitionRequest, context: Context
    ) -> rpc.WithdrawTransitionResponse:
        decided = await self._transact(
            VERSION,
            request.name,
            context.cause(),
            partial(transition.withdraw_transition, transition=request.transition),
            reads=((PROJECT, project_of(request.name)),),
        )
        return rpc.WithdrawTransitionResponse(name=decided.name, revision=decided.revision)

    async def ChangeStage(self, request: rpc.ChangeStageRequest, context: Context) -> rpc.ChangeStageResponse:
        decided = await self._transact(
            VERSION,
            request.name,
            context.cause(),
            partial(transition.change_stage, to_stage=request.to_stage, now=context.now),
            reads=access_reads(request.name),
        )
        after = await self._after(VERSION, decided)
        gates = [gate for verdict in after.verdicts if verdict.to_stage == request.to_stage for gate in verdict.gates]
        return rpc.ChangeStageResponse(name=decided.name, revision=decided.revision, gates=gates)

    async def CheckTransition(
        self, request: rpc.CheckTransitionRequest, context: Context
    ) -> rpc.CheckTransitionResponse:
        version = await self._resources.load(VERSION, request.name, request.read)
        project = await self._resources.load(PROJECT, project_of(request.name), request.read)
        everywhere = await self._resources.load(PROJECT, EVERYWHERE, request.read)
        if not version.name:
            raise NotFound(VERSION.not_found_reason, f"there is no {request.name}", metadata={"resource": request.name})
        now = await self._moment(request.read, context.now)
        access = Access(project, everywhere, now)
        judgement = judge(version, request.to_stage, access)
        return rpc.CheckTransitionResponse(
            name=version.name,
            revision=version.revision,
            allowed=not judgement.failed(),
            gates=judgement.gates,
            policy_revision=project.revision,
            next_steps=next_steps(version, request.to_stage, judgement.failed(), access),
        )
