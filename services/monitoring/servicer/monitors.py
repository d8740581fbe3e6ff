"""The door of monitors."""

from functools import partial
from typing import Any

from kernel.errors import invalid_field
from kernel.names import Pattern, child, project_of
from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from services.monitoring.domain import KNOWN_ENDPOINT, MONITOR, monitor
from services.monitoring.domain.target import answering, is_model
from services.monitoring.servicer.targets import Targets, check_target

_PROJECT = Pattern("projects/*")
_CHANGEABLE = ("description", "window", "checks", "prediction_column", "rules")


class Monitors(Targets):
    async def CreateMonitor(self, request: rpc.CreateMonitorRequest, context: Context) -> rpc.CreateMonitorResponse:
        _PROJECT.ids(request.parent, "parent")
        check_target(request.endpoint, "endpoint")
        if project_of(request.endpoint) != request.parent:
            raise invalid_field("endpoint", f"{request.endpoint} is not in {request.parent}", "OTHER_PROJECT")
        verb = partial(
            monitor.create,
            endpoint_name=request.endpoint,
            description=request.description,
            window=request.window,
            checks=request.checks,
            prediction_column=request.prediction_column,
            rules=request.rules,
        )
        name = child(request.parent, "monitors", request.monitor_id)
        reads = [(KNOWN_ENDPOINT, request.endpoint)]
        if is_model(request.endpoint):
            await self._must_be_known(request.endpoint)
            verb, reads = partial(verb, endpoint=answering(request.endpoint)), []
        decided = await self._transact(MONITOR, name, context.cause(), verb, reads=reads)
        return rpc.CreateMonitorResponse(name=decided.name, revision=decided.revision)

    async def GetMonitor(self, request: rpc.GetMonitorRequest, context: Context) -> bytes:
        return await self._resources.get(MONITOR, request.name, request.read)

    async def ListMonitors(self, request: rpc.ListMonitorsRequest, context: Context) -> bytes:
        _PROJECT.ids(request.parent, "parent")
        return await self._resources.page(MONITOR, f"{request.parent}/monitors/", request)

    async def UpdateMonitor(self, request: rpc.UpdateMonitorRequest, context: Context) -> rpc.UpdateMonitorResponse:
        changed: dict[str, Any] = {path: getattr(request, path) for path in _masked(request)}
        decided = await self._write(MONITOR, request, context, partial(monitor.change, **changed))
        return rpc.UpdateMonitorResponse(name=decided.name, revision=decided.revision)

    async def PauseMonitor(self, request: rpc.PauseMonitorRequest, context: Context) -> rpc.PauseMonitorResponse:
        decided = await self._write(MONITOR, request, context, monitor.pause)
        return rpc.PauseMonitorResponse(name=decided.name, revision=decided.revision)

    async def ResumeMonitor(self, request: rpc.ResumeMonitorRequest, context: Context) -> rpc.ResumeMonitorResponse:
        decided = await self._write(MONITOR, request, context, monitor.resume)
        return rpc.ResumeMonitorResponse(name=decided.name, revision=decided.revision)


def _masked(request: rpc.UpdateMonitorRequest) -> list[str]:
    paths = list(request.update_mask.paths)
    if not paths:
        raise invalid_field("update_mask", "name at least one field to write", "EMPTY_MASK")
    for path in paths:
        if path not in (*_CHANGEABLE, "*"):
            raise invalid_field("update_mask", f"{path!r} is none of {', '.join(_CHANGEABLE)}", "UNKNOWN_PATH")
    return list(_CHANGEABLE) if "*" in paths else paths
