"""Takes over the stream ACCESS, and forgets what the stream's own retention no longer keeps.

The position moves in the transaction of the rows, so a kill loses and doubles nothing. The stream loses messages from
its front by age; what is gone from its midst was taken out by somebody or something, and a row says so in its place.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from prometheus_client import Gauge

from kernel.errors import Unavailable
from kernel.jetstream import ApiError, JetStreamLog
from kernel.log import Hole, Unsettled
from kernel.logs import structlog
from kernel.rooms import Rooms
from kernel.tasks import together
from services.archive.access import queries
from services.archive.access.reading import Row, gap, row_of

STREAM = "ACCESS"
_LINGER_SECONDS = 0.01
_WATCH_SECONDS = 1.0
_FORGET_SECONDS = 60.0
_FORGET_ROWS = 5000
_LOOK_SECONDS = 0.005
_BEHIND_SECONDS = 10.0

_log = structlog.get_logger()
FILLED = Gauge(
    "modelog_access_stream_filled_ratio", "Share of ACCESS in use. At 1 refusals and reads of history go unanswered."
)


class Replaced(Exception):
    """The stream is another one by now."""


class Keeper:
    """One process at a time keeps and forgets, under the service's fence; any may ask whether it is up to date."""

    def __init__(self, rooms: Rooms) -> None:
        self._kept = rooms.kept
        self._clock = rooms.clock
        self._made = ""
        self._at = 0
        self._stream = JetStreamLog(rooms.nats, api_prefix=rooms.settings.nats_api_prefix, stream=STREAM)

    async def keep(self) -> None:
        """Follows the stream for ever."""
        while True:
            await self._begin()
            try:
                await together([self._follow(), self._watch()])
            except Replaced:
                continue
            except Hole as hole:
                await self._skip(hole)

    async def _begin(self) -> None:
        """Goes on from the position in the tables, or from the front of the stream where it has moved past that."""
        info = await self._stream.info()
        self._made, self._at = await queries.progress(self._kept)
        if self._is_another(info):
            if self._made:
                _log.critical("access_stream_is_another", known=self._made, made=info["created"], kept_to=self._at)
            await queries.begin_anew(self._kept, info["created"], after=self._at)
            self._made, self._at = info["created"], 0
        front = int(info["state"]["first_seq"]) - 1
        if front > self._at:
            _log.warning("access_records_expired_unseen", kept_to=self._at, stream_begins_at=front + 1)
            await self._keep((), front)

    async def _follow(self) -> None:
        async for entries in self._stream.follow(self._at, linger_seconds=_LINGER_SECONDS):
            now = self._clock()
            await self._keep([row_of(entry, now) for entry in entries], entries[-1].revision)

    async def _keep(self, rows: Sequence[Row], upto: int) -> None:
        await queries.keep(self._kept, rows, after=self._at, upto=upto)
        self._at = upto

    async def _watch(self) -> None:
        """A stream that was made anew, or put back from a copy, would be followed from where the old one was, and what
        comes first in it never be seen."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            with suppress(Unsettled, ApiError):
                if self._is_another(await self._stream.info()):
                    raise Replaced

    def _is_another(self, info: Mapping[str, Any]) -> bool:
        return bool(info["created"] != self._made or int(info["state"]["last_seq"]) < self._at)

    async def _skip(self, hole: Hole) -> None:
        """Behind a gap: its messages have expired while it was looked at, or they are missing."""
        first, last = self._at + 1, hole.found - 1
        if last < first or int((await self._stream.state())["first_seq"]) > last:
            return  # The stream is another one, or its front has moved: it is begun again from there.
        _log.critical("access_records_missing", first=first, last=last)
        await self._keep([gap(first, last, self._clock())], last)

    async def forget(self) -> None:
        """Drops what is older than the stream keeps its messages, now and then, for ever."""
        while True:
            await self.forget_old()
            await asyncio.sleep(_FORGET_SECONDS)

    async def forget_old(self) -> None:
        info = await self._stream.info()
        if (most := info["config"]["max_bytes"]) > 0:
            FILLED.set(info["state"]["bytes"] / most)
        age = timedelta(microseconds=info["config"]["max_age"] / 1000)
        while age and await queries.forget(self._kept, self._clock() - age, _FORGET_ROWS) == _FORGET_ROWS:
            pass

    async def up_to_date(self) -> None:
        """Returns once everything is kept that is in the stream now; Unavailable when that takes too long."""
        info, loop = await self._stream.info(), asyncio.get_running_loop()
        wanted = queries.Progress(info["created"], int(info["state"]["last_seq"]))
        deadline = loop.time() + _BEHIND_SECONDS
        while (at := await queries.progress(self._kept)).stream != wanted.stream or at.position < wanted.position:
            if loop.time() > deadline:
                raise Unavailable(
                    "RECORDS_BEHIND", f"records are kept up to {at.position} of {wanted.position}; try again later"
                )
            await asyncio.sleep(_LOOK_SECONDS)
