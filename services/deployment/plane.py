"""The data planes as the settings want them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kernel.rooms import Rooms
from services.deployment.drivers.kubernetes import connected
from services.deployment.drivers.kubernetes.options import Installation, address_of
from services.deployment.drivers.lease import keep
from services.deployment.drivers.process import ProcessDriver, Telemetry
from services.deployment.drivers.secrets import Keeper
from services.deployment.gateway.config import path_of
from services.deployment.gateway.envoy import Gateway
from services.deployment.gateway.files import Files
from services.deployment.gateway.keeper import GatewayKeeper
from services.deployment.platforms import Address, Platform
from services.deployment.settings import Settings, lent_variables, words


@dataclass(frozen=True)
class Plane:
    """The data plane of this machine: driver, gateway and whoever keeps the gateway.

    Everything they know lies in files, so each may be made anew.
    """

    driver: ProcessDriver
    gateway: Gateway
    keeper: GatewayKeeper
    settings: Settings

    def address_of(self, endpoint: str, settings: Mapping[str, str]) -> str:
        url = self.settings.gateway_url.rstrip("/") or f"http://{self.keeper.listen}"
        return url + path_of(endpoint)

    @property
    def platform(self) -> Platform:
        keeper = self.keeper if self.settings.gateway_keep else None
        return Platform(self.driver, self.gateway, self.address_of, keeper)


def plane_of(settings: Settings) -> Plane:
    folder = Path(settings.data_dir)
    lease, seconds = folder / "lease", settings.lease_seconds
    telemetry = Telemetry(
        settings.nats_url, settings.inference_nats_user, settings.inference_password_file, settings.nats_ca_file
    )
    artifacts = Path(settings.artifacts_dir)
    secrets = Keeper(Path(settings.secrets_dir).absolute() if settings.secrets_dir else None, lent_variables(settings))
    driver = ProcessDriver(
        folder / "replicas", artifacts, telemetry, lease=lease, lease_seconds=seconds, secrets=secrets
    )
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


def installation_of(settings: Settings) -> Installation:
    """What this installation lets environments of the driver `kubernetes` choose."""
    return Installation(
        name=settings.kubernetes_installation,
        service_namespace=settings.kubernetes_service_namespace,
        namespaces=words(settings.kubernetes_namespaces),
        images=words(settings.kubernetes_images),
        nats_url=settings.kubernetes_nats_url,
        nats_user=settings.inference_nats_user,
        nats_secret=settings.kubernetes_nats_secret,
    )


def choices_of(settings: Settings) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The drivers of this installation, and to which values it narrows which of their settings."""
    choices: dict[str, Mapping[str, tuple[str, ...]]] = {"process": {}}
    if settings.kubernetes_namespaces:
        namespaces, images = words(settings.kubernetes_namespaces), words(settings.kubernetes_images)
        choices["kubernetes"] = {"namespace": namespaces, "image": images}
    return choices


def addresses_of(settings: Settings) -> Mapping[str, Address]:
    """Where endpoints answer, by driver."""
    return {"process": plane_of(settings).address_of, "kubernetes": address_of}


def platforms_of(settings: Settings) -> dict[str, Platform]:
    """Whatever environments may name here, by the driver's name."""
    platforms = {"process": plane_of(settings).platform}
    if settings.kubernetes_namespaces:
        kubeconfig = Path(settings.kubernetes_kubeconfig) if settings.kubernetes_kubeconfig else None
        driver, routes = connected(installation_of(settings), kubeconfig)
        platforms["kubernetes"] = Platform(driver, routes, address_of)
    return platforms


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
            await plane.driver.end()
            await plane.keeper.close()
