"""What all calls of one client share: the newest revision seen, who calls, and how long to try."""

import sys
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.message import Message

from modelog.sdk.breaks import Pauses
from modelog.sdk.errors import Refused, refused
from modelog.sdk.identity import Identity
from modelog.type.v1.read_pb2 import ReadOptions

DEADLINE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 2.0
_READ = ReadOptions.DESCRIPTOR.full_name

AsOf = int | datetime
Pair = tuple[str, str | bytes]


@dataclass
class Session:
    """One session of reads that never go back behind its own writes. Safe to share between threads."""

    actor: str = ""
    on_behalf_of: Sequence[str] = ()
    correlation_id: str = ""
    # How long a call without a timeout of its own may take, with all its repetitions.
    deadline_seconds: float = DEADLINE_SECONDS
    # How long a service may stay unreachable before the call gives up, within the deadline.
    patience_seconds: float = DEADLINE_SECONDS
    newest: int = 0
    identity: Identity = field(default_factory=Identity)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def learn(self, reply: Any) -> None:
        """Raises the newest revision to that of a reply."""
        revision = getattr(reply, "revision", 0)
        if isinstance(revision, int):
            self.advance(revision)

    def advance(self, revision: int) -> None:
        """Raises the newest revision; it never goes back."""
        if revision > self.newest:
            with self._lock:
                self.newest = max(self.newest, revision)

    def prepare(self, request: Any, as_of: AsOf | None) -> Any:
        """The request to send: a copy with request_id and read filled in, or itself when it needs neither.

        ValueError for a write of a client that is as of a past moment: it would be made now.
        """
        fields = request.DESCRIPTOR.fields_by_name
        if "request_id" in fields:
            refuse_writing(request.DESCRIPTOR.name, as_of)
        needs_id = "request_id" in fields and not request.request_id
        read = self._read(request, as_of) if _reads(fields) else None
        if not needs_id and read is None:
            return request
        copy = type(request)()
        copy.CopyFrom(request)
        if needs_id:
            copy.request_id = str(uuid.uuid4())
        if read is not None:
            copy.read.MergeFrom(read)
        return copy

    def _read(self, request: Any, as_of: AsOf | None) -> ReadOptions | None:
        """What to add to the request's own read; None when it says enough itself."""
        if request.read.WhichOneof("as_of"):
            return None
        if as_of is not None:
            return moment(as_of)
        return ReadOptions(at_least=self.newest) if self.newest and not request.read.at_least else None

    def metadata(self, own: Iterable[Pair] | None, token: str = "") -> list[Pair]:
        """The call's own metadata and ours behind it, where the call does not say it itself."""
        pairs = list(own or ())
        said = {key for key, _ in pairs}
        ours = {
            "x-modelog-actor": self.actor,
            "x-modelog-on-behalf-of": ",".join(self.on_behalf_of),
            "x-correlation-id": self.correlation_id,
            # A decision about access is never older than what this session has seen.
            "x-modelog-revision": str(self.newest or ""),
            "authorization": f"Bearer {token}" if token else "",
            **_trace(),
        }
        return pairs + [(key, value) for key, value in ours.items() if value and key not in said]


class Attempts:
    """The attempts of one call: the same request under one deadline, with growing pauses between them."""

    def __init__(self, session: Session, request: Message, timeout: float | None) -> None:
        self._request_id: str = getattr(request, "request_id", "")
        self._started = time.monotonic()
        self._seconds = session.deadline_seconds if timeout is None else timeout
        self._patience = min(session.patience_seconds, self._seconds)
        self._pauses = Pauses(_LONGEST_PAUSE_SECONDS)

    def remaining(self) -> float:
        """Seconds until the deadline, at least a little, so that the server and not the clock gives the last word."""
        return max(self._seconds - (time.monotonic() - self._started), 0.001)

    def judge(self, error: grpc.RpcError) -> tuple[Refused, float]:
        """What the failed attempt means, and the seconds to wait before the next; 0 when there shall be none.

        Every request may be repeated: reads change nothing, and writes carry a request_id. Repeated is what cannot be
        reached, and what reached a limit and was told when there is room again.
        """
        refusal = refused(error, self._request_id)
        return refusal, self.pause(refusal)

    def pause(self, refusal: Refused) -> float:
        """The seconds to wait before the next attempt after a refusal; 0 when there shall be none."""
        limited = refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED and refusal.retry_seconds > 0
        if refusal.code is not grpc.StatusCode.UNAVAILABLE and not limited:
            return 0.0
        pause = self._pauses.next(refusal.retry_seconds)
        spent = time.monotonic() - self._started
        return pause if spent + pause < self._patience else 0.0


def refuse_writing(what: str, as_of: AsOf | None) -> None:
    """ValueError where a client of a past moment would write, which happens now; whatever streams to a service does."""
    if as_of is not None:
        raise ValueError(f"{what} writes, and this client reads the past; write with the client it was made from")


def moment(as_of: AsOf) -> ReadOptions:
    """ReadOptions as of a revision or a time; a time without zone is UTC."""
    if isinstance(as_of, datetime):
        options = ReadOptions()
        options.as_of_time.FromDatetime(as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC))
        return options
    return ReadOptions(as_of_revision=as_of)


def _reads(fields: Any) -> bool:
    read = fields.get("read")
    return read is not None and read.message_type is not None and read.message_type.full_name == _READ


def _trace() -> dict[str, str]:
    """The active span's W3C context, when the program has loaded OpenTelemetry; never loads it by itself."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.trace.propagation import tracecontext

    carrier: dict[str, str] = {}
    tracecontext.TraceContextTextMapPropagator().inject(carrier)
    return carrier
