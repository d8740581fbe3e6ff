"""The data planes as the settings want them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kernel.logs import structlog
from kernel.rooms import Rooms
from services.deployment.drivers import docker
from services.deployment.drivers.docker import options as docker_options
from services.deployment.drivers.docker.driver import DockerDriver
from services.deployment.drivers.docker.lending import containers_user, lent
from services.deployment.drivers.kubernetes import connected
from services.deployment.drivers.kubernetes.options import Installation, address_of
from services.deployment.drivers.lease import keep
from services.deployment.drivers.orders import Telemetry
from services.deployment.drivers.port import PlatformAway
from services.deployment.drivers.process import ProcessDriver
from services.deployment.drivers.secrets import Keeper
from services.deployment.gateway.config import path_of
from services.deployment.gateway.envoy import Gateway
from services.deployment.gateway.files import Files
from services.deployment.gateway.keeper import GatewayKeeper
from services.deployment.platforms import Address, Platform
from services.deployment.settings import Settings, lent_variables, words

_log = structlog.get_logger()
_END_SECONDS = 20.0


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


def docker_of(settings: Settings) -> DockerDriver:
    """The driver `docker`, as the settings want it."""
    folder = Path(settings.data_dir).absolute() / "docker"
    user = containers_user()
    telemetry = settings.docker_nats_url != ""
    given = (settings.inference_password_file, settings.nats_ca_file) if telemetry else ("", "")
    password, ca = (lent(file, folder / "lent", user) for file in given)
    installation = docker_options.Installation(
        name=settings.docker_installation,
        images=words(settings.docker_images),
        networks=words(settings.docker_networks),
        publish=settings.docker_publish,
        user=user,
        nats_url=settings.docker_nats_url,
        nats_user=settings.inference_nats_user if telemetry else "",
        nats_password_file=password,
        nats_ca_file=ca,
    )
    socket = Path(settings.docker_host.removeprefix("unix://"))
    return docker.connected(installation, socket, store=Path(settings.artifacts_dir), folder=folder / "images")


def choices_of(settings: Settings) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The drivers of this installation, and to which values it narrows which of their settings."""
    choices: dict[str, Mapping[str, tuple[str, ...]]] = {"process": {}}
    if settings.docker_host:
        choices["docker"] = {"image": words(settings.docker_images), "network": words(settings.docker_networks)}
    if settings.kubernetes_namespaces:
        namespaces, images = words(settings.kubernetes_namespaces), words(settings.kubernetes_images)
        choices["kubernetes"] = {"namespace": namespaces, "image": images}
    return choices


def addresses_of(settings: Settings) -> Mapping[str, Address]:
    """Where endpoints answer, by driver."""
    here = plane_of(settings).address_of
    return {"process": here, "docker": here, "kubernetes": address_of}


def platforms_of(settings: Settings) -> dict[str, Platform]:
    """Whatever environments may name here, by the driver's name."""
    here = plane_of(settings).platform
    platforms = {"process": here}
    if settings.docker_host:  # One gateway brings the requests to processes and to containers.
        platforms["docker"] = replace(here, driver=docker_of(settings))
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
            if settings.docker_host:
                await _end_containers(settings)
            await plane.keeper.close()


async def _end_containers(settings: Settings) -> None:
    """As far as the engine answers: a service that ends does not wait for one that is away."""
    driver = docker_of(settings)
    try:
        async with asyncio.timeout(_END_SECONDS):
            await driver.end()
    except (PlatformAway, TimeoutError) as error:
        _log.error("containers_left", error=str(error))
    finally:
        await driver.close()
