"""The archive service: `python -m services.archive`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from access.authority import authority
from kernel.rooms import Blueprint, Controller, Rooms
from kernel.service import run
from modelog.archive.v1 import (
    archive_service_pb2,
    erasure_service_pb2,
    retention_service_pb2,
    subscription_service_pb2,
)
from services.archive.access.keeper import Keeper
from services.archive.domain import KINDS
from services.archive.expiry.running import Expiry
from services.archive.parts import Parts
from services.archive.projections import RAW_TABLES, raw
from services.archive.reactions import reactions
from services.archive.servicer import ArchiveServicer, ErasureServicer, RetentionServicer, SubscriptionServicer
from services.archive.settings import Settings

HERE = Path(__file__).parent


def doors(rooms: Rooms) -> Sequence[tuple[ServiceDescriptor, Any]]:
    return [
        (archive_service_pb2.DESCRIPTOR.services_by_name["ArchiveService"], ArchiveServicer(rooms)),
        (retention_service_pb2.DESCRIPTOR.services_by_name["RetentionService"], RetentionServicer(rooms)),
        (subscription_service_pb2.DESCRIPTOR.services_by_name["SubscriptionService"], SubscriptionServicer(rooms)),
        (erasure_service_pb2.DESCRIPTOR.services_by_name["ErasureService"], ErasureServicer(rooms)),
    ]


def controllers(rooms: Rooms) -> Sequence[Controller]:
    keeper, parts = Keeper(rooms), Parts(rooms)
    notary = () if parts.settings.notary_folder else (parts.notary.run,)
    return [
        *notary,
        *(parts.keeping.run, parts.witness.run, parts.scrubbing.run),
        *(keeper.keep, keeper.forget, Expiry(rooms).run),
    ]


BLUEPRINT = Blueprint(
    name="archive",
    kinds=KINDS,
    doors=doors,
    settings=Settings,
    authority=authority,
    raw=raw,
    raw_tables=RAW_TABLES,
    reactions=reactions,
    controllers=controllers,
    migrations=HERE / "migrations",
    kept_migrations=HERE / "kept_migrations",  # The stream ACCESS, and how far subscribers have come.
)

if __name__ == "__main__":
    run(BLUEPRINT)
