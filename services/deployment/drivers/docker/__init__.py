"""Replicas as containers of a Docker Engine. The client's library is loaded by who connects."""

from pathlib import Path

from services.deployment.drivers.docker.driver import DockerDriver
from services.deployment.drivers.docker.options import Installation


def connected(installation: Installation, socket: Path, *, store: Path, folder: Path) -> DockerDriver:
    """The driver over one connection. store: of artifacts; folder: of its own, for archives on their way."""
    from services.deployment.drivers.docker.building import Building
    from services.deployment.drivers.docker.engine import Engine  # It needs the extra `docker`.
    from services.deployment.drivers.docker.world import World

    engine = Engine(socket)
    return DockerDriver(World(engine, installation), Building(engine, installation, store=store, folder=folder))
