"""Whole rollouts on a real engine, behind a real Envoy: what is done to containers, and what becomes of requests."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import types_pb2 as types
from services.deployment.domain.states import FAILED, SUCCEEDED
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.engine import SERVING, Engine
from tests.deployment import models
from tests.deployment.build import canary
from tests.deployment.calls import Load, eventually
from tests.deployment.drivers.docker_stand import NETWORK, DockerStand
from tests.deployment.town import BY, ENDPOINT, PATH, PROJECT, ROW, Town, town, version_name

pytestmark = pytest.mark.docker
CANARY = {"canary": canary(10, 50, hold=1).canary}


def docker_settings(stand: DockerStand) -> dict[str, str]:
    return {
        "docker_host": stand.engine.host,
        "docker_images": SERVING,
        "docker_networks": NETWORK,
        "docker_installation": stand.name,
    }


@dataclass
class Yard:
    """The service over an engine of the tests. stand: a look at the engine; its driver is not used."""

    town: Town
    stand: DockerStand
    address: str = ""

    async def serving(self, *numbers: int) -> None:
        """Versions registered; the first one serves."""
        for number in numbers:
            await self.town.register(number, models.classifier(bias=float(number)))
        first = await self.town.finished(await self.town.request(numbers[0]))
        assert first.state == SUCCEEDED, first
        assert await self.town.answers(self.address, 200)

    def load(self) -> Load:
        host, _, path = self.address.removeprefix("http://").partition("/")
        return Load(host, f"/{path}{PATH}", ROW)

    async def repaired(self, text: str) -> None:
        """Within ten seconds the endpoint says what was found and put right."""

        async def recorded() -> bool:
            return text in (await self.town.endpoint()).last_repair

        await eventually(recorded, seconds=10)


@pytest.fixture
async def yard(
    nats: NatsServer, postgres: PostgresServer, docker_engine: Engine, tmp_path: Path, schema: str
) -> AsyncIterator[Yard]:
    stand = DockerStand(tmp_path, docker_engine)
    await stand.driver.close()
    try:
        async with town(nats, postgres, tmp_path, schema, **docker_settings(stand)) as made:
            address = await made.found(driver="docker", driver_settings={"memory_mib": "512"})
            yield Yard(made, stand, address)
        assert stand.containers() == []  # A service that does not outlive itself leaves nothing.
    finally:
        stand.clear()


async def test_a_canary_takes_over_without_a_failed_request_and_leaves_nothing_behind(yard: Yard) -> None:
    await yard.serving(1, 2)
    async with yard.load() as load:
        second = await yard.town.finished(await yard.town.request(2, **CANARY))
    assert second.state == SUCCEEDED, second
    assert set(load.statuses) == {200}, load.statuses
    assert load.versions[version_name(2)] > 0

    async def only_the_new_one() -> bool:
        versions = [one["Config"]["Labels"]["modelog.version"] for one in yard.stand.containers()]
        tags = [tag for one in yard.stand.images() for tag in one["RepoTags"]]
        return versions == [version_name(2)] and len(tags) == 1 and ":2-" in tags[0]

    await eventually(only_the_new_one)
    await yard.town.stub.RemoveEndpoint(rpc.RemoveEndpointRequest(name=ENDPOINT), metadata=BY)

    async def removed() -> bool:
        return bool((await yard.town.endpoint()).state == types.ENDPOINT_STATE_REMOVED)

    await eventually(removed)
    assert yard.stand.left() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "text"),
    [
        ("POST", "/kill", None, "was gone and is started again"),
        ("DELETE", "?force=1", None, "was gone and is started again"),
        ("POST", "/update", {"Memory": 256 << 20, "MemorySwap": 256 << 20}, "Memory is 268435456"),
    ],
)
async def test_what_is_done_to_a_container_is_put_right_and_recorded(
    yard: Yard, method: str, path: str, body: Any, text: str
) -> None:
    await yard.serving(1)
    (container,) = yard.stand.containers()
    yard.stand.engine.call(method, f"/containers/{container['Id']}{path}", json=body).raise_for_status()
    await yard.repaired(text)
    assert await yard.town.answers(yard.address, 200)
    (container,) = yard.stand.containers()
    assert container["HostConfig"]["Memory"] == 512 << 20


async def test_an_artifact_that_is_not_the_approved_one_fails_and_the_old_version_goes_on(yard: Yard) -> None:
    await yard.serving(1, 2)
    digest = next(path for path in (yard.town.artifacts / "sha256").iterdir() if path.read_bytes() == _second())
    digest.write_bytes(b"something else")
    async with yard.load() as load:
        ended = await yard.town.finished(await yard.town.request(2, **CANARY))
    assert ended.state == FAILED
    assert "was approved" in ended.cause
    assert set(load.versions) == {version_name(1)}
    assert set(load.statuses) == {200}


def _second() -> bytes:
    return models.classifier(bias=2.0)


async def test_a_model_that_does_not_load_fails_and_the_old_version_goes_on(yard: Yard) -> None:
    await yard.serving(1)
    await yard.town.register(3, b"no model")
    async with yard.load() as load:
        ended = await yard.town.finished(await yard.town.request(3, **CANARY))
    assert ended.state == FAILED
    assert "ONNX Runtime cannot load" in ended.cause
    assert set(load.statuses) == {200}


async def test_endpoints_follow_their_containers_when_the_engine_restarts(yard: Yard) -> None:
    """Those of other drivers behind the same gateway never notice."""
    await yard.serving(1)
    other = await _endpoint_of_processes(yard)
    host, _, path = other.removeprefix("http://").partition("/")
    await asyncio.to_thread(yard.stand.engine.stop)
    try:
        await yard.town.register(2, models.classifier(bias=2.0))
        request = rpc.RequestRolloutRequest(
            parent=f"{PROJECT}/endpoints/beside",
            version=version_name(2),
            strategy=canary(10, 50, hold=1),
        )
        async with Load(host, f"/{path}{PATH}", ROW) as load:
            moved = await yard.town.stub.RequestRollout(request, metadata=BY)
            yard.town.newest = moved.revision
            assert (await yard.town.finished(moved.name)).state == SUCCEEDED
        assert set(load.statuses) == {200}, load.statuses
    finally:
        await asyncio.to_thread(yard.stand.engine.start)
    assert await yard.town.answers(yard.address, 200)
    await yard.repaired("was gone and is started again")


async def _endpoint_of_processes(yard: Yard) -> str:
    """An endpoint of the driver `process`, serving version 1."""
    stub = yard.town.stub
    await stub.DefineEnvironment(rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="here"), metadata=BY)
    made = await stub.CreateEndpoint(
        rpc.CreateEndpointRequest(parent=PROJECT, endpoint_id="beside", environment=f"{PROJECT}/environments/here"),
        metadata=BY,
    )
    request = rpc.RequestRolloutRequest(
        parent=f"{PROJECT}/endpoints/beside",
        version=version_name(1),
        strategy=types.Strategy(recreate=types.Recreate()),
    )
    asked = await stub.RequestRollout(request, metadata=BY)
    yard.town.newest = asked.revision
    assert (await yard.town.finished(asked.name)).state == SUCCEEDED
    assert await yard.town.answers(made.address, 200)
    return str(made.address)
