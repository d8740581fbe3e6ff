"""The data plane as the settings want it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kernel.rooms import Rooms
from services.deployment.drivers.lease import keep
from services.deployment.drivers.process import ProcessDriver, Telemetry
from services.deployment.gateway.config import path_of
from services.deployment.gateway.envoy import Gateway
from services.deployment.gateway.files import Files
from services.deployment.gateway.keeper import GatewayKeeper
from services.deployment.settings import Settings

DRIVERS = frozenset({"process"})


@dataclass(frozen=True)
class Plane:
    """Driver, gateway and whoever keeps the gateway. Everything they know lies in files, so each may be made anew."""

    driver: ProcessDriver
    gateway: Gateway
    keeper: GatewayKeeper
    settings: Settings

    @property
    def url(self) -> str:
        """Where the gateway is reached, without a slash at the end."""
        return self.settings.gateway_url.rstrip("/") or f"http://{self.keeper.listen}"

    def address_of(self, endpoint: str) -> str:
        return self.url + path_of(endpoint)


def plane_of(settings: Settings) -> Plane:
    folder = Path(settings.data_dir)
    lease, seconds = folder / "lease", settings.lease_seconds
    telemetry = Telemetry(
        settings.nats_url, settings.inference_nats_user, settings.inference_password_file, settings.nats_ca_file
    )
    artifacts = Path(settings.artifacts_dir)
    driver = ProcessDriver(folder / "replicas", artifacts, telemetry, lease=lease, lease_seconds=seconds)
    keeper = GatewayKeeper(
        folder / "gateway",
        listen=settings.gateway_listen,
        admin=settings.gateway_admin,
        lease=lease,
        lease_seconds=seconds,
    )
    files = Files(keeper.folder)
    files.prepare(listen=keeper.listen, admin=keeper.admin)
    return Plane(driver, Gateway(files, keeper.admin), keeper, settings)


async def lifespan(rooms: Rooms) -> AsyncIterator[None]:
    """Keeps the lease while the process lives, whatever becomes of log and views; ends the plane unless it outlives."""
    settings: Settings = rooms.settings
    if not settings.has_role("controller"):
        yield
        return
    plane = plane_of(settings)
    keeping = asyncio.create_task(keep(Path(settings.data_dir) / "lease", settings.lease_seconds))
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        if not settings.outlive:
            await plane.driver.close()
            await plane.keeper.close()
