"""Takes away what earlier plays in the same folder left serving; everything recorded of them stays."""

from modelog.deployment.v1 import deployment_service_pb2 as deployment
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import ENDPOINT_STATE_ACTIVE
from modelog.registry.v1.registry_service_pb2 import ListProjectsRequest
from modelog.sdk import Client, pages
from suite.demo import states
from suite.demo.journal import Journal
from suite.demo.stage import OTTO, by


async def leave_nothing_serving(client: Client) -> None:
    """Removes the endpoints of all projects and waits until their inference servers are gone."""
    projects = [one.name async for one in pages(client.registry.ListProjects, ListProjectsRequest())]
    requests = [deployment.ListEndpointsRequest(parent=project) for project in projects]
    left = [
        endpoint.name
        for request in requests
        async for endpoint in pages(client.deployment.ListEndpoints, request)
        if endpoint.state == ENDPOINT_STATE_ACTIVE
    ]
    if not left:
        return
    async with Journal(client, await states.head(client) + 1) as journal:
        for name in left:
            request = deployment.RemoveEndpointRequest(name=name, reason="left by an earlier play")
            await client.deployment.RemoveEndpoint(request, metadata=by(OTTO))
        for name in left:
            await journal.first(facts.EndpointRemoved, of=name)
