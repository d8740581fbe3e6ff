"""Who asks for a change, when, why and under which request: what a fact records besides what happened."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from google.protobuf.message import Message

from kernel.fold import Kind, pack
from modelog.log.v1.fact_pb2 import Fact, Read
from modelog.type.v1.principal_pb2 import Principal


@dataclass(frozen=True, slots=True)
class Cause:
    """Everything about a command that is not the change itself. `now` is aware, in UTC."""

    actor: Principal
    request_id: str
    now: datetime
    request_digest: bytes = b""
    # As it was taken before free text was left out of it; facts of that time answer to it.
    whole_digest: bytes = b""
    reason: str = ""
    on_behalf_of: tuple[Principal, ...] = field(default=())
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""
    etag: str = ""
    validate_only: bool = False
    # States of access that allowed the command, by name and revision; recorded beside what the decision itself reads.
    reads: tuple[tuple[str, int], ...] = ()
    # When it happened in the world, where that was earlier than `now` and somebody may say so.
    happened_at: datetime | None = None
    # Asked before every decision, with the resource and the others it reads; raises Denied. See identity.Permit.
    check: Callable[[Any, Sequence[Any]], None] | None = None


def fact_id(service: str, cause: Cause) -> str:
    """32 hex digits, the same for the same request of the same actor: one request never makes two facts."""
    return _digest(service, cause.actor.id, cause.request_id)


@lru_cache(maxsize=4096)  # One write asks three times.
def _digest(service: str, actor: str, request_id: str) -> str:
    return hashlib.sha256(f"{service}\0{actor}\0{request_id}".encode()).hexdigest()[:32]


def fact_of(
    kind: Kind,
    name: str,
    state: Any,
    event: Message,
    cause: Cause,
    reads: Iterable[Read],
    reason: str | None = None,
) -> Fact:
    """The fact that follows `state`. Its time is the cause's, or the state's where clocks ran backwards.

    reason: as it is to stand in the log, where that is not as the cause has it.
    """
    fact = Fact(
        id=fact_id(kind.service, cause),
        resource=name,
        generation=state.generation + 1,
        actor=cause.actor,
        on_behalf_of=cause.on_behalf_of,
        reason=cause.reason if reason is None else reason,
        request_id=cause.request_id,
        request_digest=cause.request_digest,
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
        traceparent=cause.traceparent,
        event=pack(event),
        reads=reads,
    )
    fact.recorded_at.FromDatetime(cause.now)
    if state.generation and state.update_time.ToMicroseconds() > fact.recorded_at.ToMicroseconds():
        fact.recorded_at.CopyFrom(state.update_time)
    if cause.happened_at is not None:
        fact.happened_at.FromDatetime(cause.happened_at)
    return fact
