"""How far the views are folded, and waiting for them: read-your-writes without polling."""

import asyncio
import heapq
import itertools
from contextlib import suppress

from kernel.errors import Unavailable
from kernel.postgres import UNREACHABLE, Pool, quoted

CHANNEL = "modelog_position"
_PAUSE_SECONDS = 1.0


class Position:
    """The revision up to which this service's views are folded, as far as this process knows."""

    def __init__(self) -> None:
        self.revision = 0
        self.local = False  # The projector of this process reports each fold itself.
        self.halted = ""  # Why the projector stopped for good; empty while it runs.
        self._ids = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> int:
        """How many wait for a revision that has not come."""
        return len(self._waiting)

    def advance(self, revision: int) -> None:
        """The views have reached this revision (it may be reported late or twice)."""
        self.revision = max(self.revision, revision)
        while self._waiting and self._waiting[0][0] <= self.revision:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    def unfollowed(self) -> None:
        """The projector of this process has stopped; another may run elsewhere."""
        self.local = False

    def halt(self, reason: str) -> None:
        """The views will go no further: whoever waits for more hears why."""
        self.halted = reason
        for _, _, future in self._waiting:
            if not future.done():
                future.set_exception(self._stopped())
        self._waiting.clear()

    def _stopped(self) -> Unavailable:
        return Unavailable("VIEWS_HALTED", f"the views stopped at {self.revision}: {self.halted}")

    async def wait(self, revision: int) -> None:
        """Returns once the views have reached the revision; the caller's deadline bounds it."""
        if revision <= self.revision:
            return
        if self.halted:
            raise self._stopped()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (revision, next(self._ids), future)
        heapq.heappush(self._waiting, waiter)
        try:
            await future
        except asyncio.CancelledError:
            if waiter in self._waiting:  # Gone before its revision came; nobody else would ever remove it.
                self._waiting.remove(waiter)
                heapq.heapify(self._waiting)
            raise

    async def listen_for_ever(self, pool: Pool, schema: str) -> None:
        """Follows the position in Postgres while another process projects, until cancelled."""
        while True:
            try:
                if not self.local:
                    await self._listen(pool, schema)
            except UNREACHABLE:
                pass  # Whoever waits has a deadline; the next look may find Postgres back.
            await asyncio.sleep(_PAUSE_SECONDS)

    def _heard(self, revision: int) -> None:
        """Postgres tells of a commit before the projector of this process has told its caches of it."""
        if not self.local:
            self.advance(revision)

    async def _listen(self, pool: Pool, schema: str) -> None:
        def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            told, _, revision = str(payload).rpartition(" ")
            if told == quoted(schema):
                self._heard(int(revision))

        async with pool.acquire() as connection:
            await connection.add_listener(CHANNEL, hear)
            try:
                while not self.local:
                    # Notifications tell at once; this finds one that got lost with a connection.
                    self._heard(await connection.fetchval("select revision from position"))
                    await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                with suppress(Exception):
                    await connection.remove_listener(CHANNEL, hear)
