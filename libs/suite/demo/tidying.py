"""Ends what would go on by itself: earlier plays in the same folder, and monitors before an audit.

Everything recorded of them stays.
"""

from modelog.deployment.v1 import deployment_service_pb2 as deployment
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import ENDPOINT_STATE_ACTIVE
from modelog.monitoring.v1 import monitoring_service_pb2 as monitoring
from modelog.monitoring.v1.types_pb2 import MONITOR_STATE_ACTIVE
from modelog.registry.v1.registry_service_pb2 import ListProjectsRequest
from modelog.sdk import Client, NotAllowedNow, pages
from suite.demo import states
from suite.demo.journal import Journal
from suite.demo.stage import OTTO, People

_WHY = "left by an earlier play"


async def end_earlier_plays(client: Client, by: People) -> None:
    """Pauses the monitors and removes the endpoints of all projects; their inference servers are gone then."""
    projects = [one.name async for one in pages(client.registry.ListProjects, ListProjectsRequest())]
    for project in projects:
        await pause_monitors(client, by, project)
    endpoints = [name for project in projects for name in await _active_endpoints(client, project)]
    if not endpoints:
        return
    async with Journal(client, await states.head(client) + 1) as journal:
        for name in endpoints:
            await _remove(client, by, journal, name)
        for name in endpoints:
            await journal.first(facts.EndpointRemoved, of=name)


async def _remove(client: Client, by: People, journal: Journal, name: str) -> None:
    """A play that was interrupted may have left a rollout half way: it goes back first."""
    request = deployment.RemoveEndpointRequest(name=name, reason=_WHY)
    try:
        await client.deployment.RemoveEndpoint(request, metadata=by(OTTO))
    except NotAllowedNow as refusal:
        if refusal.reason != "ROLLOUT_UNFINISHED":
            raise
        back = deployment.RollBackRequest(parent=name, reason=_WHY)
        rollout = (await client.deployment.RollBack(back, metadata=by(OTTO))).name
        await journal.first(facts.RolledBack, facts.RolloutFailed, facts.RolloutSucceeded, of=rollout)
        await client.deployment.RemoveEndpoint(request, metadata=by(OTTO))


async def pause_monitors(client: Client, by: People, project: str) -> None:
    request = monitoring.ListMonitorsRequest(parent=project)
    async for monitor in pages(client.monitoring.ListMonitors, request):
        if monitor.state == MONITOR_STATE_ACTIVE:
            pause = monitoring.PauseMonitorRequest(name=monitor.name, reason="nobody sends requests any more")
            await client.monitoring.PauseMonitor(pause, metadata=by(OTTO))


async def _active_endpoints(client: Client, project: str) -> list[str]:
    request = deployment.ListEndpointsRequest(parent=project)
    found = pages(client.deployment.ListEndpoints, request)
    return [endpoint.name async for endpoint in found if endpoint.state == ENDPOINT_STATE_ACTIVE]
