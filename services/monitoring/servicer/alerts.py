"""The door of alerts."""

from functools import partial
from typing import Any

from kernel.fold import Kind
from kernel.names import project_of
from kernel.rpc import Context
from kernel.transact import Decided
from modelog.monitoring.v1 import alerts_pb2 as requests
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import queries
from services.monitoring.domain import ALERT, MONITOR, alert
from services.monitoring.servicer.room import Room
from services.monitoring.servicer.windows import as_of, recompute


class Alerts(Room):
    async def GetAlert(self, request: rpc.GetAlertRequest, context: Context) -> bytes:
        return await self._resources.get(ALERT, request.name, request.read)

    async def ListAlerts(self, request: rpc.ListAlertsRequest, context: Context) -> bytes:
        return await self._resources.page(ALERT, children_of(request.parent, MONITOR, "alerts"), request)

    async def AcknowledgeAlert(
        self, request: rpc.AcknowledgeAlertRequest, context: Context
    ) -> rpc.AcknowledgeAlertResponse:
        decided = await self._tell(request, context, partial(alert.acknowledge, note=request.note))
        return rpc.AcknowledgeAlertResponse(name=decided.name, revision=decided.revision)

    async def SilenceAlert(self, request: rpc.SilenceAlertRequest, context: Context) -> rpc.SilenceAlertResponse:
        verb = partial(alert.silence, until=request.until, now=context.now)
        decided = await self._write(ALERT, request, context, verb)
        return rpc.SilenceAlertResponse(name=decided.name, revision=decided.revision)

    async def EscalateAlert(
        self, request: requests.EscalateAlertRequest, context: Context
    ) -> requests.EscalateAlertResponse:
        verb = partial(alert.escalate, severity=request.severity, to=request.to)
        decided = await self._tell(request, context, verb)
        return requests.EscalateAlertResponse(name=decided.name, revision=decided.revision)

    async def ResolveAlert(self, request: rpc.ResolveAlertRequest, context: Context) -> rpc.ResolveAlertResponse:
        decided = await self._tell(request, context, partial(alert.resolve, resolution=types.RESOLUTION_BY_HAND))
        return rpc.ResolveAlertResponse(name=decided.name, revision=decided.revision)

    async def RerunAlert(self, request: requests.RerunAlertRequest, context: Context) -> requests.RerunAlertResponse:
        found = types.Alert.FromString(await self._resources.get(ALERT, request.name, request.read))
        monitor = request.name.rpartition("/alerts/")[0]
        revision, fact = await queries.evaluated_window(self._pool, monitor, found.window.number, as_of(request.read))
        # Members that failed in other windows, or joined later, are of those windows.
        checks = {one.check for one in found.members if one.segment == fact.window.segment} | {found.check}
        recorded = [result for result in fact.results if result.check.id in checks]
        recomputed = [result for result in await recompute(self._kept, fact) if result.check.id in checks]
        return requests.RerunAlertResponse(
            recorded=recorded,
            recomputed=recomputed,
            same=recorded == recomputed,
            window=fact.window.number,
            revision=revision,
        )

    async def _tell(self, request: Any, context: Context, verb: Any) -> Decided:
        """A write that people are notified of, unless a silence holds."""
        ALERT.pattern.ids(request.name)
        silences = await queries.silences(self._pool, project_of(request.name), context.now)
        return await self._write(ALERT, request, context, partial(verb, silences=silences, now=context.now))


def children_of(parent: str, kind: Kind, collection: str) -> str:
    """The prefix of a parent's children; `-` as the parent's id stands for all of its project."""
    kind.pattern.ids(parent.removesuffix("/-") + "/x" if parent.endswith("/-") else parent, "parent")
    return f"{parent}/{collection}/"
