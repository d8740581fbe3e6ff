"""Views are disposable: each service is stopped, loses all of them, starts, and has folded the same bytes again."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping

from modelog.archive.v1 import archive_service_pb2 as archive
from modelog.deployment.v1 import deployment_service_pb2 as deployment
from modelog.monitoring.v1 import monitoring_service_pb2 as monitoring
from modelog.registry.v1 import registry_service_pb2 as registry
from modelog.sdk import Client
from modelog.type.v1.read_pb2 import ReadOptions
from suite.demo.queries import views
from suite.demo.serving import traffic_of
from suite.demo.stage import Stage

_FOLD_SECONDS = 60.0


async def play(stage: Stage, head: int) -> None:
    """One service after the other, while requests are sent to an endpoint that nobody monitors: they add no facts."""
    async with await traffic_of(stage, stage.names.laboratory, per_second=20) as traffic:
        for service in ("registry", "deployment", "monitoring", "archive"):
            stage.note(f"dropping the views of {service} and folding them again")
            await _rebuild(stage, service, head)
        await traffic.more(5)
    statuses = sorted({answer.status for answer in traffic.answers})
    stage.report.check("statuses of live requests while the services were away", [200], statuses)


async def _rebuild(stage: Stage, service: str, head: int) -> None:
    await _reached(stage, service, head)
    async with views(stage.suite.postgres.url, service) as kept:
        await stage.suite.stop(service)
        before, position = await kept.digests(), await kept.position()
        await kept.drop()
        gone = await kept.digests()
        await stage.suite.start(service)
        await _reached(stage, service, head)
        after, then = await kept.digests(), await kept.position()
    stage.report.check(f"tables of {service} while its views are dropped", [], sorted(gone))
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    stage.report.check(f"tables of {service}, of {len(before)}, that differ after folding again", [], differing)
    stage.report.check(f"position and digest of the views of {service}", _told(position, before), _told(then, after))


def _told(position: int, tables: Mapping[str, str]) -> str:
    digest = hashlib.sha256("".join(f"{name} {tables[name]}\n" for name in sorted(tables)).encode())
    return f"{position} {digest.hexdigest()}"


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
