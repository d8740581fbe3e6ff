"""The monitoring service: `python -m services.monitoring`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from access.authority import authority
from kernel.postgres import migrate
from kernel.rooms import Blueprint, Controller, Rooms
from kernel.service import run
from modelog.monitoring.v1 import monitoring_service_pb2
from services.monitoring.domain import KINDS
from services.monitoring.evaluator import Evaluator
from services.monitoring.projections import project
from services.monitoring.reactions import reactions
from services.monitoring.servicer import MonitoringServicer
from services.monitoring.settings import Settings
from services.monitoring.telemetry.consumer import Consumer

HERE = Path(__file__).parent


def doors(rooms: Rooms) -> Sequence[tuple[ServiceDescriptor, Any]]:
    return [(monitoring_service_pb2.DESCRIPTOR.services_by_name["MonitoringService"], MonitoringServicer(rooms))]


def controllers(rooms: Rooms) -> Sequence[Controller]:
    closed = asyncio.Event()
    return [Consumer(rooms, closed).run, Evaluator(rooms, closed).run]


async def lifespan(rooms: Rooms) -> AsyncIterator[None]:
    """Tables derived from telemetry stand in the schema that a rebuild of the views does not drop."""
    schema = rooms.settings.schema or BLUEPRINT.name
    await migrate(rooms.kept, schema=f"{schema}_kept", folder=HERE / "telemetry_migrations")
    yield


BLUEPRINT = Blueprint(
    name="monitoring",
    kinds=KINDS,
    doors=doors,
    settings=Settings,
    authority=authority,
    project=project,
    reactions=reactions,
    controllers=controllers,
    migrations=HERE / "migrations",
    lifespan=lifespan,
)

if __name__ == "__main__":
    run(BLUEPRINT)
