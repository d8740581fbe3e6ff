"""Views are disposable: each service is stopped, loses all of them, starts, and has folded the same bytes again."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from modelog.archive.v1 import archive_service_pb2 as archive
from modelog.deployment.v1 import deployment_service_pb2 as deployment
from modelog.monitoring.v1 import monitoring_service_pb2 as monitoring
from modelog.registry.v1 import registry_service_pb2 as registry
from modelog.sdk import Client
from modelog.type.v1.read_pb2 import ReadOptions
from suite.demo.queries import Views, views
from suite.demo.stage import Stage

_FOLD_SECONDS = 60.0


async def play(stage: Stage, head: int) -> None:
    """One service after the other, so that all others go on meanwhile."""
    for service in ("registry", "deployment", "monitoring", "archive"):
        stage.note(f"dropping the views of {service} and folding them again")
        await _reached(stage, service, head)
        async with views(stage.suite.postgres.url, service) as kept:
            await stage.suite.stop(service)
            before = await _look(kept)
            await kept.drop()
            gone = await kept.digests()
            await stage.suite.start(service)
            await _reached(stage, service, head)
            after = await _look(kept)
        stage.report.check(f"views of {service} while they are dropped", {}, gone)
        stage.report.check(f"views of {service}, {len(before) - 1} tables, position included", before, after)


async def _look(kept: Views) -> dict[str, Any]:
    return {"position": await kept.position(), **await kept.digests()}


async def _reached(stage: Stage, service: str, revision: int) -> None:
    """Waits, by a read that asks for it, until the service's views hold everything up to `revision`."""
    await _READS[service](stage.client, stage.names.project, ReadOptions(at_least=revision))


async def _registry(client: Client, project: str, read: ReadOptions) -> None:
    await client.registry.GetProject(registry.GetProjectRequest(name=project, read=read), timeout=_FOLD_SECONDS)


async def _deployment(client: Client, project: str, read: ReadOptions) -> None:
    request = deployment.ListEndpointsRequest(parent=project, read=read)
    await client.deployment.ListEndpoints(request, timeout=_FOLD_SECONDS)


async def _monitoring(client: Client, project: str, read: ReadOptions) -> None:
    request = monitoring.ListMonitorsRequest(parent=project, read=read)
    await client.monitoring.ListMonitors(request, timeout=_FOLD_SECONDS)


async def _archive(client: Client, project: str, read: ReadOptions) -> None:
    request = archive.ListRecordsRequest(parent=project, read=read)
    await client.archive.ListRecords(request, timeout=_FOLD_SECONDS)


_READS: Mapping[str, Callable[[Client, str, ReadOptions], Awaitable[None]]] = {
    "registry": _registry,
    "deployment": _deployment,
    "monitoring": _monitoring,
    "archive": _archive,
}
