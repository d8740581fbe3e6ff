"""Telemetry sent to monitoring in streams, over broken connections too: sent again is what was not answered."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from modelog.sdk.errors import Refused, Unavailable, Violation
from modelog.sdk.session import Attempts, Session

if TYPE_CHECKING:
    from modelog.monitoring.v1.ingest_pb2 import IngestRequest, IngestResponse
    from modelog.monitoring.v1.telemetry_pb2 import OutcomeBatch, PredictionBatch

# Of one call: what has to be sent again stays little, and a service takes no more than 64 MiB of one.
_MOST_REQUESTS = 256
_MOST_BYTES = 16 * 1024 * 1024
# What one batch may come to; a service takes a little more.
MOST_BATCH_BYTES = 240_000


@dataclass(frozen=True, slots=True)
class Sent:
    """What one batch came to: its place in the stream, whether it was there already, or why it was refused."""

    batch_id: str
    position: int
    repeated: bool
    refusal: Refused | None = None


def request_of(batch: "PredictionBatch | OutcomeBatch") -> "IngestRequest":
    from modelog.monitoring.v1.ingest_pb2 import IngestRequest

    payload = batch.SerializeToString()
    if batch.DESCRIPTOR.name == "OutcomeBatch":
        return IngestRequest(request_id=batch.batch_id, endpoint=batch.endpoint, outcomes=payload)
    return IngestRequest(request_id=batch.batch_id, endpoint=batch.endpoint, predictions=payload)


def send(session: Session, method: Callable[..., Any], requests: "Iterable[IngestRequest]") -> "Iterator[Sent]":
    """What each batch came to, in order. Where monitoring goes away or asks to wait, what was not answered is sent
    again for as long as the session has patience; then Refused is raised; sending all again counts nothing twice."""
    for some in _calls(requests):
        answered = 0
        attempts = Attempts(session, some[0], None)
        while answered < len(some):
            call = method(iter(some[answered:]))
            try:
                for reply in call:
                    answered += 1
                    # Patience is for a service that does not answer; this one just did.
                    attempts = Attempts(session, some[min(answered, len(some) - 1)], None)
                    yield _sent(reply)
                if answered < len(some):
                    raise Unavailable(grpc.StatusCode.UNAVAILABLE, "ANSWERS_MISSING", "the call ended too early")
            except Refused as error:
                pause = attempts.pause(error)
                if not pause:
                    raise
                time.sleep(pause)
            finally:
                call.cancel()


def _calls(requests: "Iterable[IngestRequest]") -> "Iterator[Sequence[IngestRequest]]":
    some: list[IngestRequest] = []
    size = 0
    for request in requests:
        some.append(request)
        size += request.ByteSize()
        if len(some) >= _MOST_REQUESTS or size >= _MOST_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _sent(reply: "IngestResponse") -> Sent:
    refusal = None
    if reply.HasField("refusal"):
        told = reply.refusal
        code = grpc.StatusCode[told.code]
        violations = [Violation(one.field, one.description, one.reason) for one in told.violations]
        kind = Refused.of_code.get(code, Refused)
        refusal = kind(code, told.reason, told.message, violations, dict(told.metadata), request_id=reply.request_id)
    return Sent(reply.request_id, reply.position, reply.repeated, refusal)
