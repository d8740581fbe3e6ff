"""The door of alerts."""

from functools import partial

from kernel.fold import Kind
from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import ALERT, MONITOR, alert
from services.monitoring.servicer.room import Room


class Alerts(Room):
    async def GetAlert(self, request: rpc.GetAlertRequest, context: Context) -> bytes:
        return await self._resources.get(ALERT, request.name, request.read)

    async def ListAlerts(self, request: rpc.ListAlertsRequest, context: Context) -> bytes:
        return await self._resources.page(ALERT, children_of(request.parent, MONITOR, "alerts"), request)

    async def AcknowledgeAlert(
        self, request: rpc.AcknowledgeAlertRequest, context: Context
    ) -> rpc.AcknowledgeAlertResponse:
        verb = partial(alert.acknowledge, note=request.note)
        decided = await self._write(ALERT, request, context, verb)
        return rpc.AcknowledgeAlertResponse(name=decided.name, revision=decided.revision)

    async def SilenceAlert(self, request: rpc.SilenceAlertRequest, context: Context) -> rpc.SilenceAlertResponse:
        verb = partial(alert.silence, until=request.until, now=context.now)
        decided = await self._write(ALERT, request, context, verb)
        return rpc.SilenceAlertResponse(name=decided.name, revision=decided.revision)

    async def ResolveAlert(self, request: rpc.ResolveAlertRequest, context: Context) -> rpc.ResolveAlertResponse:
        verb = partial(alert.resolve, resolution=types.RESOLUTION_BY_HAND)
        decided = await self._write(ALERT, request, context, verb)
        return rpc.ResolveAlertResponse(name=decided.name, revision=decided.revision)


def children_of(parent: str, kind: Kind, collection: str) -> str:
    """The prefix of a parent's children; `-` as the parent's id stands for all of its project."""
    kind.pattern.ids(parent.removesuffix("/-") + "/x" if parent.endswith("/-") else parent, "parent")
    return f"{parent}/{collection}/"
