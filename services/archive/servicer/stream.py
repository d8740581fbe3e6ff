"""Replays the log and goes on live: one cursor over the copy, so there is no seam to lose or repeat anything at."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

from kernel.errors import Exhausted
from kernel.rooms import Rooms
from kernel.rpc import Context
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from services.archive.filters import Where, matching
from services.archive.queries import Stored
from services.archive.servicer.room import Room

_BATCH = 500
_HEARTBEAT_SECONDS = 5.0


class Stream(Room):
    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        self._readers = 0

    async def ReadFacts(self, request: rpc.ReadFactsRequest, context: Context) -> AsyncIterator[rpc.ReadFactsResponse]:
        """One batch is in memory at a time: a reader that takes its time makes this wait, not grow."""
        clock = asyncio.get_running_loop().time
        matching(Where(), request.filter)  # Refuses now what no query could ever be made of.
        with self._place():
            end = await self._end(request)
            position = max(request.from_revision - 1, 0)
            heartbeat = request.heartbeat_interval.ToTimedelta().total_seconds() or _HEARTBEAT_SECONDS
            growth, told_at = self._growth(), clock()
            try:
                while end is None or position < end:
                    batch: Sequence[Stored] = ()
                    if await growth.reached(position + 1, max(told_at + heartbeat - clock(), 0.0)):
                        batch, position = await self._next(request, position, end)
                    if batch or clock() - told_at >= heartbeat:
                        told_at = clock()
                        yield await self._reply(request, batch, position)
                        self._not_too_slow(clock() - told_at, position)
                yield await self._reply(request, (), position)
            finally:
                growth.close()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._readers >= self._parts.settings.max_readers:
            raise Exhausted("TOO_MANY_READERS", "all places for readers of facts are taken; try again later")
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    async def _end(self, request: rpc.ReadFactsRequest) -> int | None:
        """The last revision to read; None for never."""
        if request.follow:
            return request.to_revision or None
        head = await self._resources.catch_up()
        return min(request.to_revision or head, head)

    async def _next(
        self, request: rpc.ReadFactsRequest, position: int, end: int | None
    ) -> tuple[Sequence[Stored], int]:
        """What matches in the next window, and how far has been looked by then."""
        known = self._rooms.position.revision
        upto = known if end is None else min(known, end)
        return await self._copy.stretch(position, upto, request.filter, request.max_batch or _BATCH)

    async def _reply(
        self, request: rpc.ReadFactsRequest, batch: Sequence[Stored], position: int
    ) -> rpc.ReadFactsResponse:
        entries = [types.LogEntry(revision=one.revision, subject=one.subject, payload=one.payload) for one in batch]
        reply = rpc.ReadFactsResponse(entries=entries, position=position, head=self._rooms.position.revision)
        reply.send_time.FromDatetime(self._rooms.clock())
        if request.with_texts:
            reply.texts.update(await self._texts_of(batch))
        return reply

    def _not_too_slow(self, seconds: float, position: int) -> None:
        if seconds > self._parts.settings.reader_stall_seconds:
            raise Exhausted(
                "READER_TOO_SLOW",
                f"a reply was not taken for {seconds:.0f} s; nothing is lost: go on from {position + 1}",
                metadata={"position": str(position)},
            )
