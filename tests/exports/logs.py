"""A log in memory, and a client that reads it as that of a real archive would."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

from modelog.archive.v1.types_pb2 import Checkpoint, Notary
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.events_pb2 import TagSet
from modelog.sdk import Entry, SyncClient
from tests.archive.trees import ORIGIN, VKEY, Log

DAY_SECONDS = 86_400
FIRST_SECONDS = 20_000 * DAY_SECONDS


class Client:
    """What an export asks of a client. The log may be changed between two exports."""

    def __init__(self, payloads: Sequence[bytes], services: Sequence[str] = ("registry",)) -> None:
        self.payloads = list(payloads)
        self.services = services
        self.note = ""
        self.archive = SimpleNamespace(GetCheckpoint=self._checkpoint, GetNotary=self._notary)

    @property
    def sdk(self) -> SyncClient:
        return cast("SyncClient", self)

    def catch_up(self, _service: str) -> int:
        return len(self.payloads)

    def subscribe(self, first: int, filter: Any = None, *, to_revision: int, follow: bool) -> Iterator[Entry]:  # noqa: A002
        assert not follow
        for revision in range(first, to_revision + 1):
            yield self.entry(revision)

    def entry(self, revision: int) -> Entry:
        service = self.services[revision % len(self.services)]
        return Entry(revision, f"lifecycle.{service}.risk.models.m", self.payloads[revision - 1])

    def _checkpoint(self, request: Any) -> Checkpoint:
        assert request.wait
        size = len(self.payloads)
        checkpoint = Checkpoint(origin=ORIGIN, note=self.note or Log(self.payloads).note(size))
        checkpoint.head.size = size
        return checkpoint

    def _notary(self, _request: Any) -> Notary:
        notary = Notary(origin=ORIGIN)
        notary.keys.add(vkey=VKEY, from_size=1)
        return notary


def payloads(count: int, *, per_day: int = 10) -> list[bytes]:
    """Facts of one model, some of them on each day."""
    made = []
    for at in range(count):
        fact = Fact(id=f"{at:032x}", resource="projects/risk/models/m", generation=at + 1, reason="weil “so”\n")
        fact.recorded_at.FromMicroseconds((FIRST_SECONDS + at * DAY_SECONDS // per_day) * 1_000_000 + 1)
        fact.actor.id = "users/ada"
        fact.on_behalf_of.add(id="users/grace")
        fact.event.Pack(TagSet(key=f"k{at}", value="v"))
        made.append(fact.SerializeToString(deterministic=True))
    return made
