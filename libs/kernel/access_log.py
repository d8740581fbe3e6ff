"""The stream `ACCESS`: every refused call, and every call that reads history, before its answer goes out."""

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import nats.errors
import orjson
import prometheus_client

from kernel.asking import Asker
from kernel.errors import Unavailable
from kernel.identity import Caller, Method, Peer, Permit
from kernel.logs import structlog
from kernel.receiving import Receiver
from modelog.access.v1.types_pb2 import VERDICT_ALLOWED, VERDICT_REFUSED, AccessRecord, Verdict
from modelog.type.v1.principal_pb2 import Principal

_ATTEMPT_SECONDS = 2.0
_SETTLE_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
# Of refusals and of reads each: the server syncs record after record, so more of them would only wait longer, and hold
# places at the door that good calls need.
_MOST_UNDER_WAY = 128
_MOST_NAMES = 16
_MOST_BYTES = 512  # Of each text, so that the largest record fits into a message.
# What could steer a terminal or split a line: C0, C1, line separators and changes of direction.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

_log = structlog.get_logger()
UNRECORDED = prometheus_client.Counter(
    "modelog_access_not_recorded_total", "Calls that failed because they could not be recorded."
)


class Recorder(Protocol):
    """Where records of calls go. Unavailable when one could not be kept: then the call fails."""

    async def record(self, record: AccessRecord) -> None: ...


class AccessLog:
    """Records on `access.<service>`. Neither kind of record can take the places of the other."""

    def __init__(self, client: Receiver, service: str) -> None:
        self._asker = Asker(client)
        self._subject = f"access.{service}"
        self._under_way: Counter[Verdict] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing = False

    async def record(self, record: AccessRecord) -> None:
        """Returns once the record is kept. Whoever hangs up meanwhile is recorded all the same."""
        if self._under_way[record.verdict] >= _MOST_UNDER_WAY:
            raise _unrecorded("more calls are being recorded than the log takes at a time")
        self._under_way[record.verdict] += 1
        task = asyncio.get_running_loop().create_task(self._keep(record))
        self._tasks.add(task)
        task.add_done_callback(self._kept)
        await asyncio.shield(task)

    def _kept(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Seen, also when nobody waits for it any more.

    async def _keep(self, record: AccessRecord) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SETTLE_SECONDS
        payload = record.SerializeToString(deterministic=True)
        try:
            while error := await self._attempt(record.id, payload):
                if loop.time() > deadline:
                    raise _unrecorded(error)
                await asyncio.sleep(_PAUSE_SECONDS)
            self._say("")
        except Unavailable as failed:
            self._say(failed.message)
            raise
        finally:
            self._under_way[record.verdict] -= 1

    def _say(self, trouble: str) -> None:
        """Tells operators when it begins and when it is over; in between the counter does."""
        if bool(trouble) != self._failing:
            self._failing = bool(trouble)
            (_log.error if trouble else _log.info)("access_recording_changed", failing=self._failing, why=trouble)

    async def _attempt(self, record_id: str, payload: bytes) -> str:
        """Why nobody answered; empty when the record is kept. Repeated under its id, it is kept once."""
        headers = {"Nats-Msg-Id": record_id}
        try:
            answered = await self._asker.ask(self._subject, payload, headers=headers, seconds=_ATTEMPT_SECONDS)
        except (nats.errors.Error, TimeoutError, OSError) as failed:
            return repr(failed)
        if error := orjson.loads(answered).get("error"):
            raise _unrecorded(str(error))  # It was heard and turned down, as by a full stream: asking again is no use.
        return ""


def _unrecorded(why: str) -> Unavailable:
    UNRECORDED.inc()
    return Unavailable("ACCESS_NOT_RECORDED", f"this call could not be recorded and was not answered; try again: {why}")


class Journal:
    """Makes the records of one service. Nothing of a call's metadata gets into them but what is named here."""

    def __init__(self, recorder: Recorder, service: str, clock: Callable[[], datetime]) -> None:
        self._recorder = recorder
        self._service = service
        self._clock = clock

    async def write(
        self,
        method: Method,
        peer: Peer,
        *,
        caller: Caller | None,
        names: Sequence[str],
        refused: tuple[str, str] | None = None,
        permit: Permit | None = None,
        metadata: Mapping[str, str],
    ) -> None:
        """refused: reason and message; None for a call that was allowed by `permit`."""
        permit = permit or Permit()
        reason, explanation = refused or (permit.reason, "")
        record = AccessRecord(
            id=uuid.uuid4().hex,
            service=self._service,
            method=method.path,
            permission=method.permission,
            principal=_principal(caller.principal) if caller else None,
            on_behalf_of=map(_principal, caller.on_behalf_of[:_MOST_NAMES] if caller else ()),
            resources=map(plain, names[:_MOST_NAMES]),
            verdict=VERDICT_REFUSED if refused else VERDICT_ALLOWED,
            reason=plain(reason),
            explanation=plain(explanation),
            client_address=plain(peer.address),
            client_agent=plain(metadata.get("user-agent", "")),
            revisions={plain(name): revision for name, revision in permit.reads[:_MOST_NAMES]},
            correlation_id=plain(metadata.get("x-correlation-id", "")),
        )
        record.recorded_at.FromDatetime(self._clock())
        await self._recorder.record(record)


def plain(text: str) -> str:
    """What others wrote, of limited length and on one line."""
    return _CONTROL.sub("\ufffd", text)[:_MOST_BYTES].encode(errors="replace")[:_MOST_BYTES].decode(errors="ignore")


def _principal(principal: Principal) -> Principal:
    return Principal(id=plain(principal.id), auth_method=plain(principal.auth_method))
