"""The registry service: `python -m services.registry`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from access.authority import authority
from kernel.rooms import Blueprint, Controller, Rooms
from kernel.service import run
from modelog.registry.v1 import collaboration_service_pb2, registry_service_pb2, webhook_service_pb2
from services.registry.domain import KINDS, PROJECT
from services.registry.projections import PROJECTED, project
from services.registry.reactions import reactions
from services.registry.searchable import SEARCHABLES
from services.registry.servicer import CollaborationServicer, RegistryServicer, WebhookServicer
from services.registry.settings import Settings
from services.registry.webhooks.office import Office

HERE = Path(__file__).parent


def doors(rooms: Rooms) -> Sequence[tuple[ServiceDescriptor, Any]]:
    return [
        (registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"], RegistryServicer(rooms)),
        (
            collaboration_service_pb2.DESCRIPTOR.services_by_name["CollaborationService"],
            CollaborationServicer(rooms),
        ),
        (webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"], WebhookServicer(rooms)),
    ]


def controllers(rooms: Rooms) -> Sequence[Controller]:
    return [Office(rooms).run]


BLUEPRINT = Blueprint(
    name="registry",
    kinds=KINDS,
    doors=doors,
    settings=Settings,
    authority=partial(authority, kind=PROJECT),
    project=project,
    projected=PROJECTED,
    searchables=SEARCHABLES,
    reactions=reactions,
    controllers=controllers,
    migrations=HERE / "migrations",
    kept_migrations=HERE / "kept_migrations",  # How far people have read, and what was delivered.
)

if __name__ == "__main__":
    run(BLUEPRINT)
