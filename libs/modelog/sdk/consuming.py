"""Facts as one of a group of consumers: batches that the archive hands out, and has back when they are done."""

import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from modelog.sdk.facts import Entry

if TYPE_CHECKING:
    from modelog.archive.v1.subscription_service_pb2 import (
        AcknowledgeFactsRequest,
        ExtendDeadlineRequest,
        PullFactsRequest,
        PullFactsResponse,
    )
    from modelog.archive.v1.subscription_service_pb2_grpc import (
        SubscriptionServiceAsyncStub,
        SubscriptionServiceStub,
    )

_WAIT_SECONDS = 20.0
_SPARE_SECONDS = 10.0


@dataclass(frozen=True)
class _Handed:
    """A batch as it was handed out. attempt: above 1 somebody may have worked on it before.

    position: everything up to here was acknowledged; head: the newest revision of the log.
    """

    name: str
    token: str
    entries: Sequence[Entry]
    attempt: int
    deadline: datetime
    position: int
    head: int
    stub: Any = field(repr=False, compare=False)


class Batch(_Handed):
    """What `async for batch in client.consume(name)` gives: work on it, then acknowledge."""

    async def acknowledge(self) -> int:
        """The batch is done; the position. NotAllowedNow BATCH_LOST when it was handed to somebody else meanwhile."""
        reply = await self.stub.AcknowledgeFacts(_acknowledged(self))
        return int(reply.position)

    async def extend(self, seconds: float) -> datetime:
        """It takes so long from now; 0 gives it back at once. The new deadline."""
        reply = await self.stub.ExtendDeadline(_extended(self, seconds))
        return _time(reply)


class SyncBatch(_Handed):
    """What `for batch in client.consume(name)` gives: work on it, then acknowledge."""

    def acknowledge(self) -> int:
        """The batch is done; the position. NotAllowedNow BATCH_LOST when it was handed to somebody else meanwhile."""
        return int(self.stub.AcknowledgeFacts(_acknowledged(self)).position)

    def extend(self, seconds: float) -> datetime:
        """It takes so long from now; 0 gives it back at once. The new deadline."""
        return _time(self.stub.ExtendDeadline(_extended(self, seconds)))


async def aconsume(
    stub: "SubscriptionServiceAsyncStub", name: str, *, consumer: str, most: int, follow: bool, with_texts: bool = False
) -> AsyncIterator[Batch]:
    """Batches one after the other; without `follow` until there is nothing more."""
    while True:
        request, timeout = _pull(name, consumer, most, follow, with_texts)
        reply = await stub.PullFacts(request, timeout=timeout)
        if reply.entries:
            yield _batch(Batch, name, reply, stub)
        elif not follow:
            return


def consume(
    stub: "SubscriptionServiceStub", name: str, *, consumer: str, most: int, follow: bool, with_texts: bool = False
) -> Iterator[SyncBatch]:
    """Batches one after the other; without `follow` until there is nothing more."""
    while True:
        request, timeout = _pull(name, consumer, most, follow, with_texts)
        reply = stub.PullFacts(request, timeout=timeout)
        if reply.entries:
            yield _batch(SyncBatch, name, reply, stub)
        elif not follow:
            return


def _pull(name: str, consumer: str, most: int, follow: bool, with_texts: bool) -> "tuple[PullFactsRequest, float]":
    """The request and the seconds its call may take."""
    from modelog.archive.v1.subscription_service_pb2 import PullFactsRequest

    who = consumer or f"{socket.gethostname()}/{os.getpid()}"
    request = PullFactsRequest(name=name, consumer=who, max_facts=most, with_texts=with_texts)
    seconds = _WAIT_SECONDS if follow else 0.0
    request.wait.FromTimedelta(timedelta(seconds=seconds))
    return request, seconds + _SPARE_SECONDS


def _batch(kind: Any, name: str, reply: "PullFactsResponse", stub: Any) -> Any:
    entries = tuple(Entry(one.revision, one.subject, one.payload, reply.texts) for one in reply.entries)
    return kind(name, reply.token, entries, reply.attempt, _time(reply), reply.position, reply.head, stub)


def _acknowledged(batch: _Handed) -> "AcknowledgeFactsRequest":
    from modelog.archive.v1.subscription_service_pb2 import AcknowledgeFactsRequest

    return AcknowledgeFactsRequest(name=batch.name, token=batch.token)


def _extended(batch: _Handed, seconds: float) -> "ExtendDeadlineRequest":
    from modelog.archive.v1.subscription_service_pb2 import ExtendDeadlineRequest

    request = ExtendDeadlineRequest(name=batch.name, token=batch.token)
    request.within.FromTimedelta(timedelta(seconds=seconds))
    return request


def _time(reply: Any) -> datetime:
    deadline: datetime = reply.deadline.ToDatetime(tzinfo=UTC)
    return deadline
