"""The monitoring service: `python -m services.monitoring`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from access.authority import authority
from kernel.rooms import Blueprint, Controller, Rooms
from kernel.service import run
from modelog.monitoring.v1 import monitoring_service_pb2
from services.monitoring.deadlines import Deadlines
from services.monitoring.domain import KINDS
from services.monitoring.escalations import Escalations
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
    return [Consumer(rooms, closed).run, Evaluator(rooms, closed).run, Escalations(rooms).run, Deadlines(rooms).run]


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
    kept_migrations=HERE / "telemetry_migrations",  # Tables derived from telemetry.
)

if __name__ == "__main__":
    run(BLUEPRINT)
