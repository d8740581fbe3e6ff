"""Many versions registered in few calls, over any number of broken connections: sent again is what was not answered."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from modelog.sdk.errors import Refused, Unavailable, Violation
from modelog.sdk.session import Attempts, Session

if TYPE_CHECKING:
    from modelog.registry.v1.imports_pb2 import RegisterVersionsResponse
    from modelog.registry.v1.registry_service_pb2 import RegisterVersionRequest

# Of one call: well below what a service takes, so that what has to be sent again stays little.
_MOST_REQUESTS = 1000
_MOST_BYTES = 16 * 1024 * 1024
_RENEWAL_SECONDS = 0.1

_DOWN = grpc.StatusCode.UNAVAILABLE
# What grpc.aio says of a call that ended while a message was being sent, in place of how it ended.
_FORGOTTEN = "Internal error from Core"

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Registered:
    """What one registration came to: name and revision, or why it was refused."""

    request: "RegisterVersionRequest"
    name: str
    revision: int
    refusal: Refused | None = None


class _Batch:
    """The requests of one call and how far they are answered; makes the next call, takes replies, decides on breaks."""

    def __init__(self, session: Session, requests: "Sequence[RegisterVersionRequest]", done: int) -> None:
        self._session = session
        self._requests = requests
        self._answered = 0
        self._before = done
        self._attempts = Attempts(session, requests[0], None)
        self._renewed = False

    @property
    def left(self) -> "list[RegisterVersionRequest]":
        return list(self._requests[self._answered :])

    def take(self, reply: "RegisterVersionsResponse", progress: Progress | None) -> Registered:
        request = self._requests[self._answered]
        self._answered += 1
        # Patience is for a service that does not answer; this one just did.
        self._attempts, self._renewed = Attempts(self._session, request, None), False
        self._session.learn(reply)
        if progress is not None:
            progress(self._before + self._answered)
        refusal = _refusal(reply, request.request_id) if reply.HasField("refusal") else None
        return Registered(request, reply.name, reply.revision, refusal)

    def ended(self) -> None:
        """The service ended the call as if all had been answered."""
        if self.left:
            request_id = self._requests[self._answered].request_id
            raise Unavailable(_DOWN, "ANSWERS_MISSING", "the call ended too early", request_id=request_id)

    def pause(self, error: Refused) -> float:
        """Seconds until the rest is sent again; raises what repeating does not help."""
        if error.code is grpc.StatusCode.INTERNAL and error.message == _FORGOTTEN:
            error = Unavailable(_DOWN, "UNAVAILABLE", "the call broke off", request_id=error.request_id)
        pause = self._attempts.pause(error)
        if error.reason == "TOKEN_EXPIRED" and not self._renewed:
            # A call ends with the token it began with; the next one carries a new one, or fails.
            self._renewed, pause = True, _RENEWAL_SECONDS
        if not pause:
            raise error
        return pause


class _Sending:
    """The requests of one asynchronous call: the first alone, the others once it is answered.

    So a call that is refused as a whole is refused while nothing is being sent, which is when grpc.aio says why.
    """

    def __init__(self, requests: "Sequence[RegisterVersionRequest]") -> None:
        self.go_on = asyncio.Event()
        self._requests = requests
        self._over = False

    async def requests(self) -> "AsyncIterator[RegisterVersionRequest]":
        for request in self._requests:
            if self._over:
                return
            yield request
            await self.go_on.wait()

    def end(self) -> None:
        self._over = True
        self.go_on.set()


def _refusal(reply: "RegisterVersionsResponse", request_id: str) -> Refused:
    told = reply.refusal
    code = grpc.StatusCode[told.code]
    violations = [Violation(one.field, one.description, one.reason) for one in told.violations]
    return Refused.of_code.get(code, Refused)(
        code, told.reason, told.message, violations, dict(told.metadata), request_id=request_id
    )


def _identified(request: "RegisterVersionRequest") -> "RegisterVersionRequest":
    if request.request_id:
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    copy.request_id = str(uuid.uuid4())
    return copy


def _fits(batch: "Sequence[RegisterVersionRequest]", size_bytes: int) -> bool:
    return len(batch) < _MOST_REQUESTS and size_bytes < _MOST_BYTES


def _batches(requests: "Iterable[RegisterVersionRequest]") -> "Iterator[list[RegisterVersionRequest]]":
    batch: list[RegisterVersionRequest] = []
    size_bytes = 0
    for request in requests:
        batch.append(_identified(request))
        size_bytes += request.ByteSize()
        if not _fits(batch, size_bytes):
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


async def _abatches(
    requests: "Iterable[RegisterVersionRequest] | AsyncIterable[RegisterVersionRequest]",
) -> "AsyncIterator[list[RegisterVersionRequest]]":
    if not isinstance(requests, AsyncIterable):
        for ready in _batches(requests):
            yield ready
        return
    batch: list[RegisterVersionRequest] = []
    size_bytes = 0
    async for request in requests:
        batch.append(_identified(request))
        size_bytes += request.ByteSize()
        if not _fits(batch, size_bytes):
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def register_many(
    session: Session,
    method: Callable[..., Any],
    requests: "Iterable[RegisterVersionRequest]",
    progress: Progress | None,
) -> Iterator[Registered]:
    """See SyncClient.register_versions."""
    done = 0
    for requested in _batches(requests):
        batch = _Batch(session, requested, done)
        while left := batch.left:
            call = method(iter(left))
            try:
                for reply in call:
                    yield batch.take(reply, progress)
                batch.ended()
            except Refused as error:
                time.sleep(batch.pause(error))
            finally:
                call.cancel()
        done += len(requested)


async def aregister_many(
    session: Session,
    method: Callable[..., Any],
    requests: "Iterable[RegisterVersionRequest] | AsyncIterable[RegisterVersionRequest]",
    progress: Progress | None,
) -> AsyncIterator[Registered]:
    """See Client.register_versions."""
    done = 0
    async for requested in _abatches(requests):
        batch = _Batch(session, requested, done)
        while left := batch.left:
            sending = _Sending(left)
            call = method(sending.requests())
            try:
                async for reply in call:
                    sending.go_on.set()
                    yield batch.take(reply, progress)
                batch.ended()
            except Refused as error:
                await asyncio.sleep(batch.pause(error))
            finally:
                sending.end()
                call.cancel()
        done += len(requested)
