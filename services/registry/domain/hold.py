"""What the registry knows of the archive's legal holds: what they cover."""

from collections.abc import Iterator

from google.protobuf.message import Message

from modelog.archive.v1 import events_pb2 as archive
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.governance_pb2 import KnownHold

HEARD = (archive.HoldPlaced, archive.HoldReleased)


def evolve_hold(hold: KnownHold, event: Message, envelope: Fact) -> None:
    match event:
        case archive.HoldPlaced():
            hold.resources[:] = event.resources
        case archive.HoldReleased():
            hold.released = True


def covering(name: str) -> Iterator[str]:
    """Every resource that, held, holds this one too: itself and all above it."""
    parts = name.split("/")
    for end in range(2, len(parts) + 1, 2):
        yield "/".join(parts[:end])
