"""The registry service: `python -m services.registry`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from access.authority import authority
from kernel.rooms import Blueprint, Rooms
from kernel.service import run
from modelog.registry.v1 import registry_service_pb2
from services.registry.domain import KINDS, PROJECT
from services.registry.projections import PROJECTED, project
from services.registry.reactions import reactions
from services.registry.searchable import SEARCHABLES
from services.registry.servicer import RegistryServicer
from services.registry.settings import Settings


def doors(rooms: Rooms) -> Sequence[tuple[ServiceDescriptor, Any]]:
    return [(registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"], RegistryServicer(rooms))]


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
    migrations=Path(__file__).parent / "migrations",
)

if __name__ == "__main__":
    run(BLUEPRINT)
