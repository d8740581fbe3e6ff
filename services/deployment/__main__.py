"""The deployment service: `python -m services.deployment`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from access.authority import authority
from kernel.rooms import Blueprint, Controller, Rooms
from kernel.service import run
from modelog.deployment.v1 import deployment_service_pb2
from services.deployment import controller
from services.deployment.domain import KINDS
from services.deployment.failpoints import kill_at
from services.deployment.plane import addresses_of, choices_of, installation_of, lifespan, platforms_of
from services.deployment.projections import PROJECTED, project
from services.deployment.reactions import reactions
from services.deployment.servicer import DeploymentServicer
from services.deployment.settings import Settings


def doors(rooms: Rooms) -> Sequence[tuple[ServiceDescriptor, Any]]:
    settings: Settings = rooms.settings
    servicer = DeploymentServicer(
        rooms,
        drivers=choices_of(settings),
        addresses=addresses_of(settings),
        installation=installation_of(settings),
        platforms=partial(platforms_of, settings),
    )
    return [(deployment_service_pb2.DESCRIPTOR.services_by_name["DeploymentService"], servicer)]


def controllers(rooms: Rooms) -> Sequence[Controller]:
    settings: Settings = rooms.settings
    if settings.failpoint:
        kill_at(settings.failpoint)
    return [controller.Controller(rooms, platforms_of(settings)).run]


BLUEPRINT = Blueprint(
    name="deployment",
    kinds=KINDS,
    doors=doors,
    settings=Settings,
    authority=authority,
    project=project,
    projected=PROJECTED,
    reactions=reactions,
    controllers=controllers,
    migrations=Path(__file__).parent / "migrations",
    lifespan=lifespan,
)

if __name__ == "__main__":
    run(BLUEPRINT)
