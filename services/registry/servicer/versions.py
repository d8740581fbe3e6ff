"""The door of versions: what was trained, what is known about it, and the end of its life."""

from functools import partial

from kernel.errors import invalid_field
from kernel.names import Pattern, project_of
from kernel.rpc import Context
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import registry_service_pb2 as rpc
from services.registry import queries
from services.registry.domain import MODEL, PROJECT, VERSION, version
from services.registry.servicer.room import Room, access_reads, actors

_RETRAINING = Pattern("projects/*/monitors/*/retrainings/#")


class Versions(Room):
    async def RegisterVersion(
        self, request: rpc.RegisterVersionRequest, context: Context
    ) -> rpc.RegisterVersionResponse:
        MODEL.pattern.ids(request.parent, "parent")
        cause = context.cause()
        reads = [(MODEL, request.parent), *access_reads(request.parent)]
        if request.parent_version:
            _same_project(request.parent_version, request.parent, "parent_version")
            reads.append((VERSION, request.parent_version))
        if request.answers:
            _RETRAINING.ids(request.answers, "answers")
        verb = partial(version.register_version, given=_given(request), actors=actors(cause))
        decided = await self._transact.create_numbered(VERSION, request.parent, cause, verb, reads=reads)
        return rpc.RegisterVersionResponse(name=decided.name, revision=decided.revision)

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
        decided = await self._transact(VERSION, request.name, context.cause(), verb)
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
    )


def _same_project(name: str, other: str, field: str) -> None:
    """Invalid, naming the field, unless `name` is a version of the same project as `other`."""
    VERSION.pattern.ids(name, field)
    if project_of(name) != project_of(other):
        raise invalid_field(field, f"{name} is not in {project_of(other)}", "OTHER_PROJECT")
