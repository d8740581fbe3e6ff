"""Retired versions become records; what has expired of them is erased, and so is what people wrote, when asked."""

from kernel.reactor import Reactions
from kernel.rooms import Rooms
from modelog.archive.v1 import erasure_events_pb2 as erasures
from modelog.archive.v1 import events_pb2 as facts
from modelog.registry.v1 import events_pb2 as registry
from services.archive.expiry.reacting import Expired
from services.archive.parts import Parts
from services.archive.sealing.reacting import Sealing


def reactions(rooms: Rooms) -> Reactions:
    parts = Parts(rooms)
    parts.store.sweep()
    sealing = Sealing(rooms, parts.sealer, parts.store)
    return {
        registry.VersionRetired: sealing.retired,
        facts.ArchivingStarted: sealing.started,
        facts.RecordRestoreApproved: sealing.approved,
        facts.RecordExpired: Expired(rooms).carry_out,
        erasures.ErasureRequested: parts.erasing.carry_out,
    }
