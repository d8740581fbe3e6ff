"""The door of aliases: moving them, and how they have moved."""

from collections.abc import Callable
from functools import partial
from typing import Any

from kernel.cause import Cause
from kernel.fold import Kind
from kernel.names import project_of
from kernel.rpc import Context
from modelog.registry.v1 import declare_pb2 as declare
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.types_pb2 import Model
from services.registry import queries
from services.registry.domain import MODEL, VERSION, aliases
from services.registry.servicer.room import Room, access_reads, actors


class Aliases(Room):
    async def AssignAlias(self, request: rpc.AssignAliasRequest, context: Context) -> rpc.AssignAliasResponse:
        VERSION.pattern.ids(request.version, "version")
        cause = context.cause()
        reads = ((VERSION, request.version), *access_reads(request.name))
        verb = partial(aliases.assign_alias, alias=request.alias, **_mover(cause))
        decided = await self._transact(MODEL, request.name, cause, verb, reads=reads)
        alias = (await self._after(MODEL, decided)).aliases[request.alias]
        return rpc.AssignAliasResponse(
            name=decided.name, revision=decided.revision, displaced_version=alias.previous_version
        )

    async def RemoveAlias(self, request: rpc.RemoveAliasRequest, context: Context) -> rpc.RemoveAliasResponse:
        cause = context.cause()
        verb = partial(aliases.remove_alias, alias=request.alias, **_mover(cause))
        decided = await self._transact(MODEL, request.name, cause, verb, reads=access_reads(request.name))
        return rpc.RemoveAliasResponse(name=decided.name, revision=decided.revision)

    async def SwapAliases(self, request: declare.SwapAliasesRequest, context: Context) -> declare.SwapAliasesResponse:
        cause, alias, other = context.cause(), request.alias, request.other_alias
        reads = _reads(request.name, lambda model: aliases.swapped_versions(model, alias, other))
        verb = partial(aliases.swap_aliases, alias=alias, other_alias=other, **_mover(cause))
        decided = await self._transact(MODEL, request.name, cause, verb, reads=reads)
        after = (await self._after(MODEL, decided)).aliases
        return declare.SwapAliasesResponse(
            name=decided.name,
            revision=decided.revision,
            version=after[request.alias].version,
            other_version=after[request.other_alias].version,
        )

    async def RollBackAlias(
        self, request: declare.RollBackAliasRequest, context: Context
    ) -> declare.RollBackAliasResponse:
        cause = context.cause()
        reads = _reads(request.name, partial(aliases.former_version, alias=request.alias))
        verb = partial(aliases.roll_back_alias, alias=request.alias, **_mover(cause))
        decided = await self._transact(MODEL, request.name, cause, verb, reads=reads)
        after = (await self._after(MODEL, decided)).aliases[request.alias]
        return declare.RollBackAliasResponse(
            name=decided.name,
            revision=decided.revision,
            version=after.version,
            displaced_version=after.previous_version,
        )

    async def ListAliasMoves(
        self, request: declare.ListAliasMovesRequest, context: Context
    ) -> declare.ListAliasMovesResponse:
        MODEL.pattern.ids(request.parent, "parent")
        await self._resources.settle(request.read)
        await self._resources.get(MODEL, request.parent, request.read)
        return await queries.alias_moves(self._pool, request)


def _mover(cause: Cause) -> dict[str, Any]:
    """Who moves it, then for whom; and when, for roles run out."""
    return {"actors": actors(cause), "now": cause.now}


def _reads(model: str, versions: Callable[[Model], list[str]]) -> Callable[[Model], list[tuple[Kind, str]]]:
    """What a move reads whose versions are those that the model itself names: access, then these versions."""
    return lambda state: [*access_reads(project_of(model)), *((VERSION, name) for name in versions(state))]
