"""Turns facts into commands of the same service. Its position is kept, not folded: a rebuild must not react again."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from kernel.cause import Cause
from kernel.errors import Refusal, Unavailable
from kernel.fold import UNREADABLE, event_of, event_type
from kernel.log import Log, Unsettled
from kernel.logs import structlog
from kernel.position import Position
from kernel.postgres import Pool
from kernel.telemetry import span_after
from modelog.log.v1.fact_pb2 import Fact
from modelog.type.v1.principal_pb2 import Principal

_log = structlog.get_logger()
_LONGEST_PAUSE_SECONDS = 10.0
_LINGER_SECONDS = 0.01
_WRITE_SECONDS = 1.0
MIGRATIONS = Path(__file__).parent / "kept"


@dataclass(frozen=True, slots=True)
class Reaction:
    """A fact to react to. event is unpacked; `cause()` ties what follows to it."""

    service: str
    revision: int
    fact: Fact
    event: Any
    now: datetime

    def cause(self, name: str, *, reason: str = "") -> Cause:
        """Cause of the command that reaction `name` makes: the same fact always makes the same request."""
        return Cause(
            actor=Principal(id=f"services/{self.service}", auth_method="reaction"),
            request_id=f"reaction/{name}/{self.fact.id}",
            request_digest=hashlib.sha256(f"{name}\0{self.fact.id}".encode()).digest(),
            now=self.now,
            reason=reason,
            on_behalf_of=(self.fact.actor, *self.fact.on_behalf_of)[:8],
            correlation_id=self.fact.correlation_id,
            causation_id=self.fact.id,
            traceparent=self.fact.traceparent,
        )


React = Callable[[Reaction], Awaitable[None]]
Reactions = Mapping[type[Message], React]


class Reactor:
    """Feeds reactions with every fact of the log in order, at least once, each after this service has folded it."""

    def __init__(
        self,
        *,
        service: str,
        log: Log,
        kept: Pool,
        position: Position,
        reactions: Reactions,
        clock: Callable[[], datetime],
    ) -> None:
        self._service = service
        self._log = log
        self._kept = kept
        self._position = position
        self._reactions = {one.DESCRIPTOR.full_name: react for one, react in reactions.items()}
        services = {name.split(".")[1] for name in self._reactions}
        # Facts of one service only need not be asked for among all others.
        self._below = f"lifecycle.{services.pop()}" if len(services) == 1 else ""
        self._names = [name.encode() for name in self._reactions]
        self._clock = clock

    async def run(self) -> None:
        """Reacts for ever. Raises Hole, or what Postgres raises.

        What has been read without reacting to it is written down once a second: reading it again does no harm.
        """
        done = written = await self._kept.fetchval("select revision from reactor_position")
        loop = asyncio.get_running_loop()
        next_write = 0.0
        async for entries in self._log.follow(done, linger_seconds=_LINGER_SECONDS, below=self._below):
            await self._position.wait(entries[-1].revision)
            for entry in entries:
                if self._concerns(entry.payload) and await self._react(entry.revision, entry.payload):
                    written = await self._reached(entry.revision)
            if written < entries[-1].revision and loop.time() >= next_write:
                written = await self._reached(entries[-1].revision)
                next_write = loop.time() + _WRITE_SECONDS

    def _concerns(self, payload: bytes) -> bool:
        """Whether the name of an event that somebody reacts to stands in the payload: far cheaper than parsing it."""
        return any(name in payload for name in self._names)

    async def _reached(self, revision: int) -> int:
        await self._kept.execute("update reactor_position set revision = $1 where revision < $1", revision)
        return revision

    async def _react(self, revision: int, payload: bytes) -> bool:
        try:
            fact = Fact.FromString(payload)
            react = self._reactions.get(event_type(fact))
            event = event_of(fact) if react else None
        except UNREADABLE:
            return False  # The projector has frozen its resource and says so; nothing can follow from it.
        if react is None:
            return False
        reaction = Reaction(self._service, revision, fact, event, self._clock())
        pause = 0.1
        while True:
            try:
                with span_after(f"react {event_type(fact)}", fact.traceparent):
                    await react(reaction)
                return True
            except (Unavailable, Unsettled) as unavailable:
                _log.warning("reaction_waits", reason=str(unavailable), revision=revision)
            except Refusal as refusal:
                _log.warning("reaction_refused", reason=refusal.reason, message=refusal.message, revision=revision)
                return True
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
