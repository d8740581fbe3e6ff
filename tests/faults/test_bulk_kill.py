"""SIGKILL of the registry in the middle of many registrations: all are there, each once, in the order of sending."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.sdk import Client, connect, pages
from suite.suite import SERVICES, Suite
from tests.registry.build import artifact

PROJECT = "projects/risk"
_MODELS = ("fraud", "churn", "price")
_VERSIONS = 1500


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    async with Suite(tmp_path, services={"registry": SERVICES["registry"]}) as running:
        yield running


async def numbered(client: Client, model: str) -> list[tuple[int, str]]:
    """Number and framework of every version."""
    listed = pages(client.registry.ListVersions, rpc.ListVersionsRequest(parent=f"{PROJECT}/models/{model}"))
    return [(int(one.name.rpartition("/")[2]), one.framework) async for one in listed]


@pytest.mark.long
async def test_killed_in_the_middle_nothing_is_doubled_missing_or_out_of_order(suite: Suite) -> None:
    async with connect(registry=suite.address("registry"), actor="users/ada", deadline_seconds=90) as client:
        await client.registry.CreateProject(rpc.CreateProjectRequest(project_id="risk"))
        for model in _MODELS:
            await client.registry.CreateModel(rpc.CreateModelRequest(parent=PROJECT, model_id=model))
        requests = [
            rpc.RegisterVersionRequest(
                parent=f"{PROJECT}/models/{_MODELS[n * n % 3]}",
                artifact=artifact(),
                framework=f"f{n}",
                request_id=f"r{n}",
            )
            for n in range(_VERSIONS)
        ]
        answered: list[str] = []
        kills: set[asyncio.Task[None]] = set()
        async for one in client.register_versions(requests):
            assert one.refusal is None
            answered.append(one.name)
            if len(answered) in (200, 700, 1200):
                kills.add(asyncio.create_task(suite.kill("registry")))
        await asyncio.gather(*kills)
        assert suite.keeper("registry").restarts == 3
        await suite.ready("registry")
        await client.catch_up("registry")
        status = client.revision
        for model in _MODELS:
            sent = [one.framework for one in requests if one.parent.endswith(f"/{model}")]
            assert await numbered(client, model) == list(enumerate(sent, 1))
        again = [one.name async for one in client.register_versions(requests)]
        assert again == answered
        assert await client.catch_up("registry") == status == 1 + len(_MODELS) + _VERSIONS
