"""The door of teams and watches: who belongs together, and who hears of what."""

from functools import partial

from kernel.cause import Cause
from kernel.errors import invalid_field
from kernel.fold import Kind
from kernel.rpc import Context
from kernel.wire import listing
from modelog.registry.v1 import collaboration_service_pb2 as rpc
from services.registry.domain import MODEL, PROJECT, VERSION, WATCH, teams, watches
from services.registry.servicer.room import Room, whose

_WATCHED = {one.pattern.text.count("/"): one for one in (PROJECT, MODEL, VERSION)}


class People(Room):
    async def DefineTeam(self, request: rpc.DefineTeamRequest, context: Context) -> rpc.DefineTeamResponse:
        verb = partial(teams.define_team, team=request.team, definition=request.definition)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.DefineTeamResponse(name=decided.name, revision=decided.revision)

    async def RemoveTeam(self, request: rpc.RemoveTeamRequest, context: Context) -> rpc.RemoveTeamResponse:
        verb = partial(teams.remove_team, team=request.team)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.RemoveTeamResponse(name=decided.name, revision=decided.revision)

    async def SetWatch(self, request: rpc.SetWatchRequest, context: Context) -> rpc.SetWatchResponse:
        kind, cause = _watched(request.name), context.cause()
        principal = whose(context.caller)
        verb = partial(watches.set_watch, resource=request.name, principal=principal, setting=request.setting)
        name = watches.watch_name(request.name, principal)
        decided = await self._transact(WATCH, name, cause, verb, reads=((kind, request.name),))
        return rpc.SetWatchResponse(name=decided.name, revision=decided.revision)

    async def RemoveWatch(self, request: rpc.RemoveWatchRequest, context: Context) -> rpc.RemoveWatchResponse:
        _watched(request.name)
        cause: Cause = context.cause()
        name = watches.watch_name(request.name, whose(context.caller))
        decided = await self._transact(WATCH, name, cause, partial(watches.remove_watch, resource=request.name))
        return rpc.RemoveWatchResponse(name=decided.name, revision=decided.revision)

    async def ListWatches(self, request: rpc.ListWatchesRequest, context: Context) -> bytes:
        PROJECT.pattern.ids(request.parent, "parent")
        watch = await self._resources.load(
            WATCH, watches.watch_name(request.parent, whose(context.caller)), request.read
        )
        return listing([watch.SerializeToString(deterministic=True)] if watch.name else [], "")


def _watched(name: str) -> Kind:
    """What a resource that is watched is; the refusal of a name that is none of these speaks of a project."""
    kind = _WATCHED.get(name.count("/"))
    if kind is None:
        raise invalid_field("name", f"{name!r} is neither a project, a model nor a version", "NAME_FORMAT")
    kind.pattern.ids(name)
    return kind
