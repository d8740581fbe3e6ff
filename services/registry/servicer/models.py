"""The door of models and their tags."""

from functools import partial

from kernel.fold import Kind
from kernel.names import child
from kernel.rpc import Context
from modelog.registry.v1 import registry_service_pb2 as rpc
from services.registry import queries
from services.registry.domain import MODEL, PROJECT, VERSION, model, version
from services.registry.servicer.imports import imported, origin_of
from services.registry.servicer.room import Room

_VERSION_PARTS = 6


class Models(Room):
    async def CreateModel(self, request: rpc.CreateModelRequest, context: Context) -> rpc.CreateModelResponse:
        PROJECT.pattern.ids(request.parent, "parent")
        origin = origin_of(request)
        decided = await self._transact(
            MODEL,
            child(request.parent, "models", request.model_id),
            await imported(context, request.parent, origin=origin),
            partial(model.create_model, details=request.details, origin=origin, labels=request.tags),
            reads=((PROJECT, request.parent),),
        )
        return rpc.CreateModelResponse(name=decided.name, revision=decided.revision)

    async def GetModel(self, request: rpc.GetModelRequest, context: Context) -> bytes:
        return await self._resources.get(MODEL, request.name, request.read)

    async def ListModels(self, request: rpc.ListModelsRequest, context: Context) -> bytes:
        PROJECT.pattern.ids(request.parent, "parent")
        return await self._resources.page(MODEL, f"{request.parent}/models/", request)

    async def UpdateModel(self, request: rpc.UpdateModelRequest, context: Context) -> rpc.UpdateModelResponse:
        verb = partial(model.describe_model, details=request.details, mask=request.update_mask)
        decided = await self._transact(MODEL, request.name, context.cause(), verb)
        return rpc.UpdateModelResponse(name=decided.name, revision=decided.revision)

    async def SetTag(self, request: rpc.SetTagRequest, context: Context) -> rpc.SetTagResponse:
        kind = _tagged(request.name)
        verb = model.set_model_tag if kind is MODEL else version.set_version_tag
        bound = partial(verb, key=request.key, value=request.value)
        decided = await self._transact(kind, request.name, context.cause(), bound)
        return rpc.SetTagResponse(name=decided.name, revision=decided.revision)

    async def RemoveTag(self, request: rpc.RemoveTagRequest, context: Context) -> rpc.RemoveTagResponse:
        kind = _tagged(request.name)
        verb = model.remove_model_tag if kind is MODEL else version.remove_version_tag
        decided = await self._transact(kind, request.name, context.cause(), partial(verb, key=request.key))
        return rpc.RemoveTagResponse(name=decided.name, revision=decided.revision)

    async def RetireModel(self, request: rpc.RetireModelRequest, context: Context) -> rpc.RetireModelResponse:
        MODEL.pattern.ids(request.name)
        await self._resources.catch_up()
        living = await queries.living_versions(self._pool, request.name)
        decided = await self._transact(MODEL, request.name, context.cause(), partial(model.retire_model, living=living))
        return rpc.RetireModelResponse(name=decided.name, revision=decided.revision)


def _tagged(name: str) -> Kind:
    """Models and versions carry tags; what is neither is refused as a malformed model name."""
    return VERSION if name.count("/") + 1 == _VERSION_PARTS else MODEL
