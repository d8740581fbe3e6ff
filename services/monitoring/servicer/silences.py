"""The door of silences."""

from functools import partial

from kernel.errors import invalid_field
from kernel.names import Pattern, project_of
from kernel.rpc import Context
from modelog.monitoring.v1 import alerts_pb2 as rpc
from services.monitoring.domain import KNOWN_PROJECT, KNOWN_VERSION, MONITOR, SILENCE, silence
from services.monitoring.servicer.room import Room

_PROJECT = Pattern("projects/*")


class Silences(Room):
    async def CreateSilence(self, request: rpc.CreateSilenceRequest, context: Context) -> rpc.CreateSilenceResponse:
        _PROJECT.ids(request.parent, "parent")
        for field, kind in (("monitor", MONITOR), ("version", KNOWN_VERSION)):
            if name := getattr(request, field):
                kind.pattern.ids(name, field)
                if project_of(name) != request.parent:
                    raise invalid_field(field, f"{name} is not in {request.parent}", "OTHER_PROJECT")
        verb = partial(silence.create, request=request, now=context.now)
        decided = await self._transact.create_numbered(
            SILENCE, request.parent, context.cause(), verb, reads=((KNOWN_PROJECT, request.parent),)
        )
        return rpc.CreateSilenceResponse(name=decided.name, revision=decided.revision)

    async def GetSilence(self, request: rpc.GetSilenceRequest, context: Context) -> bytes:
        return await self._resources.get(SILENCE, request.name, request.read)

    async def ListSilences(self, request: rpc.ListSilencesRequest, context: Context) -> bytes:
        _PROJECT.ids(request.parent, "parent")
        return await self._resources.page(SILENCE, f"{request.parent}/silences/", request)

    async def EndSilence(self, request: rpc.EndSilenceRequest, context: Context) -> rpc.EndSilenceResponse:
        decided = await self._write(SILENCE, request, context, partial(silence.end, now=context.now))
        return rpc.EndSilenceResponse(name=decided.name, revision=decided.revision)
