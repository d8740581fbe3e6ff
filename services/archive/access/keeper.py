"""Takes over the stream ACCESS, and forgets what the stream's own retention no longer keeps.

The position moves in the transaction of the rows, so a kill loses and doubles nothing. The stream loses messages from
its front by age; what is gone from its midst was taken out by somebody or something, and a row says so in its place.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from prometheus_client import Gauge

from kernel.errors import Unavailable
from kernel.jetstream import JetStreamLog
from kernel.log import Entry, Hole
from kernel.logs import structlog
from kernel.rooms import Rooms
from services.archive.access import queries
from services.archive.access.reading import gap, row_of

STREAM = "ACCESS"
_LINGER_SECONDS = 0.05
_FORGET_SECONDS = 60.0
_FORGET_ROWS = 5000
_LOOK_SECONDS = 0.02
_BEHIND_SECONDS = 10.0

_log = structlog.get_logger()
FILLED = Gauge(
    "modelog_access_stream_filled_ratio", "Share of ACCESS in use. At 1 refusals and reads of history go unanswered."
)


class Keeper:
    """One process at a time keeps and forgets, under the service's fence; any may ask whether it is up to date."""

    def __init__(self, rooms: Rooms) -> None:
        self._kept = rooms.kept
        self._clock = rooms.clock
        self._stream = JetStreamLog(rooms.nats, api_prefix=rooms.settings.nats_api_prefix, stream=STREAM)

    async def keep(self) -> None:
        """Follows the stream for ever."""
        while True:
            at = await self._begin()
            try:
                async for entries in self._stream.follow(at, linger_seconds=_LINGER_SECONDS):
                    at = await self._take(entries, at)
            except Hole as hole:
                await self._skip(hole, at)

    async def _begin(self) -> int:
        """The position to go on from: that of the tables, or the front of the stream where it has moved past that."""
        at = await queries.position(self._kept)
        state = await self._stream.state()
        if state["last_seq"] < at:
            _log.critical("access_stream_is_new", kept_to=at, stream_ends_at=state["last_seq"])
            await queries.begin_anew(self._kept, after=at)
            at = 0
        front = int(state["first_seq"]) - 1
        if front > at:
            _log.warning("access_records_expired_unseen", kept_to=at, stream_begins_at=front + 1)
            await queries.keep(self._kept, (), after=at, upto=front)
        return max(at, front)

    async def _take(self, entries: Sequence[Entry], at: int) -> int:
        now = self._clock()
        upto = entries[-1].revision
        await queries.keep(self._kept, [row_of(entry, now) for entry in entries], after=at, upto=upto)
        return upto

    async def _skip(self, hole: Hole, at: int) -> None:
        """Behind a gap: its messages have expired while it was looked at, or they are missing."""
        last = hole.found - 1
        if last <= at or int((await self._stream.state())["first_seq"]) > last:
            return  # The stream is another one, or its front has moved: it is begun again from there.
        _log.critical("access_records_missing", first=at + 1, last=last)
        await queries.keep(self._kept, [gap(at + 1, last, self._clock())], after=at, upto=last)

    async def forget(self) -> None:
        """Drops what is older than the stream keeps its messages, now and then, for ever."""
        while True:
            await self.forget_old()
            await asyncio.sleep(_FORGET_SECONDS)

    async def forget_old(self) -> None:
        configuration = await self._stream.configuration()
        if (most := configuration["max_bytes"]) > 0:
            FILLED.set((await self._stream.state())["bytes"] / most)
        age = timedelta(microseconds=configuration["max_age"] / 1000)
        while age and await queries.forget(self._kept, self._clock() - age, _FORGET_ROWS) == _FORGET_ROWS:
            pass

    async def up_to_date(self) -> None:
        """Returns once everything is kept that is in the stream now; Unavailable when that takes too long."""
        head, loop = await self._stream.head(), asyncio.get_running_loop()
        deadline = loop.time() + _BEHIND_SECONDS
        while (at := await queries.position(self._kept)) < head:
            if loop.time() > deadline:
                raise Unavailable("RECORDS_BEHIND", f"records are kept up to {at} of {head}; try again a little later")
            await asyncio.sleep(_LOOK_SECONDS)
