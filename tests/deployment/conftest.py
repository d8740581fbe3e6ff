"""A real data plane for each test: process driver and Envoy in a folder of their own, ended with the test."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.deployment.drivers.lease import keep
from services.deployment.drivers.orders import Telemetry
from services.deployment.drivers.port import Key, Replica, State, Workload
from services.deployment.drivers.process import ProcessDriver
from services.deployment.gateway.config import Route, Table, cluster_of
from services.deployment.gateway.envoy import Gateway
from services.deployment.gateway.files import Files
from services.deployment.gateway.keeper import GatewayKeeper
from tests.deployment import models
from tests.deployment.calls import eventually

ENDPOINT = "projects/risk/endpoints/fraud-eu"
LEASE_SECONDS = 5.0


def version(number: int) -> str:
    return f"projects/risk/models/fraud/versions/{number}"


@dataclass
class Plane:
    """Driver and gateway over one folder."""

    folder: Path
    driver: ProcessDriver
    keeper: GatewayKeeper
    gateway: Gateway

    def workload(self, number: int, content: bytes, *, replicas: int = 1) -> Workload:
        uri, digest = models.store(self.folder / "artifacts", content)
        inputs = tuple((name, "FP32") for name in models.COLUMNS)
        return Workload(Key(ENDPOINT, version(number)), replicas, uri, digest, "onnx", inputs)

    async def ready(self, workload: Workload) -> tuple[str, ...]:
        """Addresses once all replicas of the workload answer ready."""

        async def addresses() -> tuple[str, ...]:
            await self.driver.apply(workload)
            seen = [one for one in await self.driver.observe() if one.key == workload.key]
            ready = tuple(one.address for one in seen if one.state is State.READY)
            return ready if len(ready) == workload.replicas else ()

        found: tuple[str, ...] = await eventually(addresses)
        return found

    async def seen(self, workload: Workload) -> list[Replica]:
        return [one for one in await self.driver.observe() if one.key == workload.key]

    async def route(self, clusters: dict[int, tuple[str, ...]], weights: dict[int, int]) -> None:
        """Applies a table until Envoy uses it."""
        table = Table(
            routes={ENDPOINT: Route(ENDPOINT, {cluster_of(ENDPOINT, version(n)): w for n, w in weights.items()})},
            clusters={cluster_of(ENDPOINT, version(n)): addresses for n, addresses in clusters.items()},
        )

        async def routed() -> bool:
            await self.keeper.ensure()
            return ENDPOINT in (await self.gateway.apply(table)).routed

        await eventually(routed)


def make_driver(folder: Path) -> ProcessDriver:
    lease = folder / "lease"
    return ProcessDriver(
        folder / "replicas", folder / "artifacts", Telemetry(), lease=lease, lease_seconds=LEASE_SECONDS
    )


def make_keeper(folder: Path) -> GatewayKeeper:
    lease = folder / "lease"
    here = "127.0.0.1:0"
    return GatewayKeeper(folder / "gateway", listen=here, admin=here, lease=lease, lease_seconds=LEASE_SECONDS)


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    keeping = asyncio.create_task(keep(tmp_path / "lease", LEASE_SECONDS))
    keeper = make_keeper(tmp_path)
    files = Files(keeper.folder)
    files.prepare(listen=keeper.listen, admin=keeper.admin)
    made = Plane(tmp_path, make_driver(tmp_path), keeper, Gateway(files, keeper.admin))
    try:
        yield made
    finally:
        await made.keeper.close()
        await made.driver.end()
        keeping.cancel()
