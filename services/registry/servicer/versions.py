"""The door of versions: what was trained, what is known about it, and the end of its life."""

from collections.abc import AsyncIterator
from functools import partial

from kernel.errors import Refusal, invalid_field
from kernel.names import Pattern, project_of
from kernel.rpc import Context, Incoming
from kernel.status import message_of
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.imports_pb2 import RegisterVersionsResponse
from services.registry import queries
from services.registry.domain import MODEL, PROJECT, VERSION, version
from services.registry.servicer.imports import imported, origin_of
from services.registry.servicer.room import Room, access_reads, actors

_ALONE = "modelog.registry.v1.RegistryService/RegisterVersion"
_RETRAINING = Pattern("projects/*/monitors/*/retrainings/#")


class Versions(Room):
    async def RegisterVersion(
        self, request: rpc.RegisterVersionRequest, context: Context
    ) -> rpc.RegisterVersionResponse:
        MODEL.pattern.ids(request.parent, "parent")
        cause = await imported(context, request.parent, origin=origin_of(request))
        reads = [(MODEL, request.parent), *access_reads(request.parent)]
        if request.parent_version:
            _same_project(request.parent_version, request.parent, "parent_version")
            reads.append((VERSION, request.parent_version))
        if request.answers:
            _RETRAINING.ids(request.answers, "answers")
        verb = partial(version.register_version, given=_given(request), actors=actors(cause))
        decided = await self._transact.create_numbered(VERSION, request.parent, cause, verb, reads=reads)
        return rpc.RegisterVersionResponse(name=decided.name, revision=decided.revision)

    def RegisterVersions(self, incoming: Incoming) -> AsyncIterator[RegisterVersionsResponse]:
        """Models side by side, the versions of one model one after the other: their numbers follow the sending."""
        return incoming.answered(self._registered, turn=lambda request: request.parent, refused=_not_registered)

    async def _registered(self, context: Context) -> RegisterVersionsResponse:
        """One of many is the same request as one alone, so that either may be repeated as the other."""
        context.method = _ALONE
        reply = await self.RegisterVersion(context.request, context)
        return RegisterVersionsResponse(name=reply.name, revision=reply.revision, request_id=context.request_id)

    async def GetVersion(self, request: rpc.GetVersionRequest, context: Context) -> bytes:
        return await self._resources.get(VERSION, request.name, request.read)

    async def ListVersions(self, request: rpc.ListVersionsRequest, context: Context) -> bytes:
        MODEL.pattern.ids(request.parent.removesuffix("/-") + "/x" * request.parent.endswith("/-"), "parent")
        return await self._resources.page(VERSION, f"{request.parent}/versions/", request)

    async def UpdateVersion(self, request: rpc.UpdateVersionRequest, context: Context) -> rpc.UpdateVersionResponse:
        verb = partial(version.describe_version, documentation=request.documentation, mask=request.update_mask)
        decided = await self._transact(VERSION, request.name, context.cause(), verb)
        return rpc.UpdateVersionResponse(name=decided.name, revision=decided.revision)

    async def RecordEvaluation(
        self, request: rpc.RecordEvaluationRequest, context: Context
    ) -> rpc.RecordEvaluationResponse:
        verb = partial(version.record_evaluation, evaluation_id=request.evaluation_id, evaluation=request.evaluation)
        happened = request.happen_time if request.HasField("happen_time") else None
        cause = await imported(context, request.name, happened=happened)
        decided = await self._transact(VERSION, request.name, cause, verb)
        return rpc.RecordEvaluationResponse(name=decided.name, revision=decided.revision)

    async def DeprecateVersion(
        self, request: rpc.DeprecateVersionRequest, context: Context
    ) -> rpc.DeprecateVersionResponse:
        reads = []
        if request.successor:
            _same_project(request.successor, request.name, "successor")
            reads.append((VERSION, request.successor))
        verb = partial(
            version.deprecate_version,
            named=request.successor,
            message=request.message,
            sunset=request.sunset_time if request.HasField("sunset_time") else None,
        )
        decided = await self._transact(VERSION, request.name, context.cause(), verb, reads=reads)
        return rpc.DeprecateVersionResponse(name=decided.name, revision=decided.revision)

    async def RetireVersion(self, request: rpc.RetireVersionRequest, context: Context) -> rpc.RetireVersionResponse:
        VERSION.pattern.ids(request.name)
        await self._resources.catch_up()
        serving = await queries.serving_endpoints(self._pool, request.name)
        holds = await queries.active_holds(self._pool, request.name)
        decided = await self._transact(
            VERSION,
            request.name,
            context.cause(),
            partial(version.retire_version, serving=serving, holds=holds),
            reads=((MODEL, VERSION.pattern.parent(request.name)), (PROJECT, project_of(request.name))),
        )
        return rpc.RetireVersionResponse(name=decided.name, revision=decided.revision)


def _not_registered(request: rpc.RegisterVersionRequest | None, refusal: Refusal) -> RegisterVersionsResponse:
    request_id = "" if request is None else request.request_id
    return RegisterVersionsResponse(request_id=request_id, refusal=message_of(refusal))


def _given(request: rpc.RegisterVersionRequest) -> facts.VersionRegistered:
    return facts.VersionRegistered(
        artifact=request.artifact,
        signature=request.signature,
        source=request.source,
        training_data=request.training_data,
        hyperparameters=request.hyperparameters,
        parent_version=request.parent_version,
        framework=request.framework,
        answers=request.answers,
        author=request.author,
        documentation=request.documentation,
        origin=request.origin if request.HasField("origin") else None,
        tags=request.tags,
    )


def _same_project(name: str, other: str, field: str) -> None:
    """Invalid, naming the field, unless `name` is a version of the same project as `other`."""
    VERSION.pattern.ids(name, field)
    if project_of(name) != project_of(other):
        raise invalid_field(field, f"{name} is not in {project_of(other)}", "OTHER_PROJECT")
