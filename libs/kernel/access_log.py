"""The stream `ACCESS`: every refused call, and every call that reads history, before its answer goes out."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import nats.errors
import orjson

from kernel.asking import Asker
from kernel.errors import Unavailable
from kernel.identity import Caller, Method, Peer, Permit
from kernel.receiving import Receiver
from modelog.access.v1.types_pb2 import VERDICT_ALLOWED, VERDICT_REFUSED, AccessRecord

_ATTEMPT_SECONDS = 2.0
_ATTEMPTS = 3
_MOST_NAMES = 16
_MOST_CHARACTERS = 512


class Recorder(Protocol):
    """Where records of calls go. Unavailable when one could not be kept: then the call fails."""

    async def record(self, record: AccessRecord) -> None: ...


class AccessLog:
    """Records on `access.<service>`."""

    def __init__(self, client: Receiver, service: str) -> None:
        self._asker = Asker(client)
        self._subject = f"access.{service}"

    async def record(self, record: AccessRecord) -> None:
        payload = record.SerializeToString(deterministic=True)
        error: object = None
        for _ in range(_ATTEMPTS):
            try:
                headers = {"Nats-Msg-Id": record.id}
                answered = await self._asker.ask(self._subject, payload, headers=headers, seconds=_ATTEMPT_SECONDS)
                error = orjson.loads(answered).get("error")
                if not error:
                    return
            except (nats.errors.Error, TimeoutError, OSError) as failed:
                error = failed
            await asyncio.sleep(0.1)
        raise Unavailable("ACCESS_NOT_RECORDED", f"this call could not be recorded ({error!r}); try again")


class Journal:
    """Makes the records of one service."""

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
            principal=caller.principal if caller else None,
            on_behalf_of=caller.on_behalf_of if caller else (),
            resources=[name[:_MOST_CHARACTERS] for name in names[:_MOST_NAMES]],
            verdict=VERDICT_REFUSED if refused else VERDICT_ALLOWED,
            reason=reason,
            explanation=explanation[:_MOST_CHARACTERS],
            client_address=peer.address,
            client_agent=metadata.get("user-agent", "")[:_MOST_CHARACTERS],
            revisions=dict(permit.reads),
            correlation_id=metadata.get("x-correlation-id", "")[:_MOST_CHARACTERS],
        )
        record.recorded_at.FromDatetime(self._clock())
        await self._recorder.record(record)
