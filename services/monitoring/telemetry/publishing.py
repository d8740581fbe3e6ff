"""Puts telemetry into the stream TELEMETRY, no faster than it is counted."""

import asyncio
from typing import NamedTuple

import nats.errors
import orjson

from kernel.asking import Asker
from kernel.errors import Exhausted, Unavailable
from kernel.rooms import Rooms
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.consumer import telemetry_state

_ACK_SECONDS = 5.0
_MEASURE_SECONDS = 0.5
_HOLD_SECONDS = 5.0
_MEBIBYTE = 1 << 20


class Stored(NamedTuple):
    """Where the stream has a batch for good, and whether it had it already."""

    position: int
    repeated: bool


class Publisher:
    """Publishes batches of all callers of one process."""

    def __init__(self, rooms: Rooms) -> None:
        self._asker = Asker(rooms.nats)
        self._backlog = Backlog(rooms)

    async def publish(self, subject: str, message_id: str, payload: bytes) -> Stored:
        """Unavailable while the stream does not have it for sure; the same again is safe then."""
        try:
            answer = await self._asker.ask(subject, payload, headers={"Nats-Msg-Id": message_id}, seconds=_ACK_SECONDS)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(
                "TELEMETRY_UNREACHABLE", f"{error!r}; repeat with the same request_id, which counts once"
            ) from error
        body = orjson.loads(answer)
        if "error" in body:
            raise Unavailable("TELEMETRY_UNREACHABLE", str(body["error"].get("description")))
        self._backlog.grew(len(payload))
        return Stored(int(body["seq"]), bool(body.get("duplicate")))

    async def begin(self, subject: str, message_id: str, payload: bytes) -> "asyncio.Task[Stored]":
        """Publishes once there is room; what is begun later is stored later. Exhausted when there is none for long."""
        await self._backlog.room()
        return asyncio.create_task(self.publish(subject, message_id, payload))


class Backlog:
    """How much of the stream waits to be counted. The stream throws away what is oldest when it is full, counted or
    not, so nothing more may be taken in before that."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._most = rooms.settings.most_waiting_mebibytes * _MEBIBYTE
        self._waiting = 0.0
        self._measured = float("-inf")
        self._measuring = asyncio.Lock()

    def grew(self, size: int) -> None:
        self._waiting += size

    async def room(self) -> None:
        """Waits for room; Exhausted when there is none for a while."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HOLD_SECONDS
        while True:
            if loop.time() - self._measured > _MEASURE_SECONDS:
                await self._measure()
            if self._waiting <= self._most:
                return
            if loop.time() > deadline:
                raise Exhausted(
                    "TELEMETRY_BEHIND",
                    f"{self._waiting / _MEBIBYTE:,.0f} MiB of telemetry wait to be counted; send the rest later",
                    retry_seconds=_HOLD_SECONDS,
                )
            await asyncio.sleep(_MEASURE_SECONDS)

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._measuring:
            if loop.time() - self._measured <= _MEASURE_SECONDS:
                return
            state = await telemetry_state(self._rooms)
            counted = await queries.position(self._rooms.kept)
            messages = int(state["messages"])
            waiting = min(messages, max(0, int(state["last_seq"]) - counted))
            self._waiting = int(state["bytes"]) * waiting / messages if messages else 0.0
            self._measured = loop.time()
