"""The suite lost but for the archive's folder, and put back: four real services over an empty NATS and Postgres."""

import asyncio
import shutil
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from modelog import audit
from modelog.archive.v1 import archive_service_pb2 as archive
from modelog.deployment.v1 import deployment_service_pb2 as deployment
from modelog.monitoring.v1 import monitoring_service_pb2 as monitoring
from modelog.monitoring.v1 import types_pb2 as types
from modelog.registry.v1 import registry_service_pb2 as registry
from modelog.registry.v1.types_pb2 import ModelDetails
from modelog.sdk import Client, connect
from modelog.status.v1.comparisons_pb2 import CompareViewsRequest
from services.archive.restoring import RestoreRefused
from suite.demo.queries import views
from suite.restoring import restored
from suite.suite import SERVICES, Suite
from testkit.live import log_server

ORIGIN = "modelog.local/lifecycle"
PROJECT, MODEL = "projects/risk", "projects/risk/models/fraud"
_QUIET_SECONDS = 1.5


def reached(suite: Suite) -> AbstractAsyncContextManager[Client]:
    addresses: dict[str, Any] = suite.addresses
    return connect(**addresses, actor="users/ada")


async def tell(client: Client) -> None:
    """Something in the views of each service."""
    await client.registry.CreateProject(registry.CreateProjectRequest(project_id="risk", title="Risk"))
    details = ModelDetails(title="Fraud", owners=["users/ada"])
    await client.registry.CreateModel(registry.CreateModelRequest(parent=PROJECT, model_id="fraud", details=details))
    await client.registry.SetTag(registry.SetTagRequest(name=MODEL, key="team", value="risk"))
    await client.deployment.DefineEnvironment(
        deployment.DefineEnvironmentRequest(parent=PROJECT, environment_id="test")
    )
    await client.deployment.CreateEndpoint(
        deployment.CreateEndpointRequest(parent=PROJECT, endpoint_id="eu", environment=f"{PROJECT}/environments/test")
    )
    await client.monitoring.CreateMonitor(
        monitoring.CreateMonitorRequest(
            parent=PROJECT,
            monitor_id="eu",
            endpoint=f"{PROJECT}/endpoints/eu",
            window=types.WindowSpec(size_rows=100),
            checks=[types.Check(id="errors", method=types.METHOD_ERROR_RATE, threshold=0.1)],
        )
    )
    await client.archive.PlaceHold(
        archive.PlaceHoldRequest(parent=PROJECT, hold_id="case", resources=[MODEL], title="A case", authority="court")
    )


async def settled(client: Client) -> int:
    """The head of the log once nobody adds to it and every service has folded it."""
    head, since = -1, 0.0
    async with asyncio.timeout(60):
        while True:
            for service in SERVICES:
                now = await client.catch_up(service)
            if now != head:
                head, since = now, asyncio.get_running_loop().time()
            elif asyncio.get_running_loop().time() - since > _QUIET_SECONDS:
                return head
            await asyncio.sleep(0.1)


async def digests(suite: Suite) -> dict[str, Any]:
    """Of every table of the views of every service."""
    found = {}
    for service in SERVICES:
        async with views(suite.postgres.url, service) as held:
            found[service] = await held.digests()
    return found


async def bundle(client: Client, path: Path) -> Path:
    with path.open("wb") as file:
        async for reply in client.archive.ExportBundle(archive.ExportBundleRequest(proof_revisions=[2])):
            file.write(reply.chunk)
    return path


async def signed(client: Client, revision: int) -> Any:
    request = archive.GetCheckpointRequest(covering_revision=revision, wait=True)
    return await client.archive.GetCheckpoint(request)


async def proof(client: Client, size: int) -> Any:
    return await client.archive.GetInclusionProof(archive.GetInclusionProofRequest(revision=2, size=size))


async def compared(client: Client, service: str) -> Any:
    *_, last = [one async for one in client.status(service).CompareViews(CompareViewsRequest())]
    return last.comparison


async def test_the_suite_is_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    async with Suite(folder) as suite, reached(suite) as client:
        await tell(client)
        end = await settled(client)
        checkpoint = await signed(client, end)
        notary = await client.archive.GetNotary(archive.GetNotaryRequest())
        old = await bundle(client, tmp_path / "old.tar")
        before, proved = await digests(suite), await proof(client, checkpoint.head.size)
    for lost in ("nats", "postgres"):
        shutil.rmtree(folder / lost)
    data = folder / "services" / "archive"
    async with log_server(folder) as server:
        assert await restored(data, server.url, ORIGIN, go_on=False, replicas=1) == end
        with pytest.raises(RestoreRefused, match="LOG_NOT_EMPTY"):
            await restored(data, server.url, ORIGIN, go_on=False, replicas=1)
    async with Suite(folder) as suite, reached(suite) as client:
        assert await settled(client) == end  # Reacting anew to everything that happened adds nothing.
        assert await digests(suite) == before
        again = await proof(client, checkpoint.head.size)
        assert (again.head, list(again.hashes), again.payload) == (proved.head, list(proved.hashes), proved.payload)
        for service in SERVICES:
            comparison = await compared(client, service)
            assert (comparison.revision, comparison.finding_count, comparison.alarm_reason) == (end, 0, "")
        await client.registry.SetTag(registry.SetTagRequest(name=MODEL, key="restored", value="yes"))
        later = await signed(client, end + 1)
        vkey = notary.keys[0].vkey
        assert audit.verify(old, vkey, seen=[checkpoint.note]).ok
        report = audit.verify(await bundle(client, tmp_path / "new.tar"), vkey, seen=[checkpoint.note, later.note])
        assert (report.findings, report.size) == ([], later.head.size)
