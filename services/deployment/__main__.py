"""The deployment service: `python -m services.deployment`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from access.authority import authority
from kernel.rooms import Blueprint, Controller, Rooms
from kernel.service import run
from modelog.deployment.v1 import deployment_service_pb2
from services.deployment import controller
from services.deployment.domain import KINDS
from services.deployment.plane import DRIVERS, lifespan, plane_of
from services.deployment.projections import PROJECTED, project
from services.deployment.reactions import reactions
from services.deployment.servicer import DeploymentServicer
from services.deployment.settings import Settings


def doors(rooms: Rooms) -> Sequence[tuple[ServiceDescriptor, Any]]:
    servicer = DeploymentServicer(rooms, drivers=DRIVERS, address_of=plane_of(rooms.settings).address_of)
    return [(deployment_service_pb2.DESCRIPTOR.services_by_name["DeploymentService"], servicer)]


def controllers(rooms: Rooms) -> Sequence[Controller]:
    plane = plane_of(rooms.settings)
    keeper = plane.keeper if plane.settings.gateway_keep else None
    return [controller.Controller(rooms, {"process": plane.driver}, plane.gateway, keeper, plane.url).run]


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
