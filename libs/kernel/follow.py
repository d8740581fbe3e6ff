"""Reads a stream from a position, in order, for ever, by an own pull loop: measured five times faster than fetch().

The consumer is ephemeral and acknowledges nothing; the position lives with the reader. Every message is checked to be
the next one (a stream with a broken store skips silently); a consumer that is gone, or silent for longer than its
heartbeat, is made again from the position.
"""

import asyncio
from collections import deque
from types import TracebackType

import nats.errors

from kernel.consumers import Consumers, Held
from kernel.log import Entry, Hole
from kernel.receiving import End, Receiver, header, status_of

_PULL = 1000  # Messages asked for at a time; two requests are kept ahead.
_HEARTBEAT_SECONDS = 2
_SILENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_EXPIRES_SECONDS = 60
_NANO = 1_000_000_000


class Follower:
    """Entries of a stream behind `after`; `batch()` returns what has arrived, at least one entry."""

    def __init__(
        self,
        client: Receiver,
        *,
        stream: str,
        after: int,
        api_prefix: str = "$JS.API",
        filter_subject: str = "",
        max_batch: int = 2000,
        pull: int = _PULL,
    ) -> None:
        """pull: messages asked for at a time, which bounds what waits here; fewer where messages are large."""
        self._client = client
        self._consumers = Consumers(client, stream=stream, api_prefix=api_prefix)
        self._filter = filter_subject
        self._after = after
        self._max_batch = max_batch
        self._pull = pull
        self._arrived: deque[Entry] = deque()
        self._wake = asyncio.Event()
        self._asked = 0
        self._loop = asyncio.get_running_loop()
        self._inbox = ""
        self._end: End | None = None
        self._held: Held | None = None
        self._broken = True
        self._hole: Hole | None = None
        self._last_seen = after
        self._suspected = 0
        self._heard = 0.0
        self._reconnects = 0

    async def __aenter__(self) -> "Follower":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._drop()

    @property
    def behind(self) -> bool:
        """Whether a good deal has arrived already, so that waiting for more makes no better batch."""
        return len(self._arrived) >= self._pull // 10

    async def batch(self) -> list[Entry]:
        """The next entries in order; waits for the first. Raises Hole when the stream skips one."""
        while not self._arrived:
            if self._hole:
                raise self._hole
            if self._broken:
                await self._open()
            await self._ask()
            self._wake.clear()
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                self._look()
        count = min(len(self._arrived), self._max_batch)
        entries = [self._arrived.popleft() for _ in range(count)]
        await self._ask()
        return entries

    def _look(self) -> None:
        """A connection made anew, or a heartbeat that stays away, means that nothing more would come by itself."""
        silent = asyncio.get_running_loop().time() - self._heard > _SILENCE_SECONDS
        if silent or self._client.stats["reconnects"] != self._reconnects:
            self._broken = True

    async def _open(self) -> None:
        """Makes the consumer behind the last entry that has arrived; tries until the server answers."""
        while self._broken:
            await self._drop()
            self._inbox = self._client.new_inbox()
            self._end = await self._client.receive(self._inbox, self._receive)
            config = {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": self._last_seen + 1,
                "ack_policy": "none",
                "inactive_threshold": 60 * _NANO,
                "mem_storage": True,
                "num_replicas": 1,
            }
            try:
                held = await self._consumers.make(config, filter_subject=self._filter)
            except (nats.errors.Error, TimeoutError, OSError):
                await asyncio.sleep(0.2)
                continue
            if held is None:
                await asyncio.sleep(0.5)
                continue
            self._held, self._asked, self._broken = held, 0, False
            self._heard = asyncio.get_running_loop().time()
            self._reconnects = self._client.stats["reconnects"]

    async def _ask(self) -> None:
        """Keeps two pull requests ahead while the reader keeps up, none while it does not."""
        while self._held and not self._broken and self._asked <= self._pull and len(self._arrived) < 2 * self._pull:
            body = {
                "batch": self._pull,
                "expires": _EXPIRES_SECONDS * _NANO,
                "idle_heartbeat": _HEARTBEAT_SECONDS * _NANO,
            }
            try:
                await self._consumers.request(self._held, body, reply=self._inbox)
            except nats.errors.Error:
                self._broken = True
                return
            self._asked += self._pull

    def _receive(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self._heard = self._loop.time()
        if not reply.startswith(b"$JS.ACK"):
            self._status(headers)
            return
        revision = int(reply.rsplit(b".", 4)[1])
        if self._broken or self._hole or revision <= self._last_seen:
            return
        if revision != self._last_seen + 1 and not self._filter:
            self._skipped(revision)
            return
        self._last_seen = revision
        self._asked -= 1
        self._arrived.append(Entry(revision, subject.decode(), data))
        self._wake.set()

    def _skipped(self, revision: int) -> None:
        """A gap may be a delivery lost with a connection; the same gap from a new consumer is a hole in the log."""
        expected = self._last_seen + 1
        if self._suspected == expected:
            self._hole = Hole(expected, revision)
        self._suspected, self._broken = expected, True
        self._wake.set()

    def _status(self, headers: bytes) -> None:
        """A pull request ended (404, 408), the server says it is alive (100), or the consumer is not ours any more."""
        status = status_of(headers)
        if status == "408" or status == "404":
            self._asked -= int(header(headers, "Nats-Pending-Messages") or self._pull)
        elif status and status != "100":
            self._broken, self._held = True, None  # Whoever may have its name by now keeps it.
        self._wake.set()

    async def _drop(self) -> None:
        end, held = self._end, self._held
        self._end, self._held = None, None
        try:
            if end is not None:
                await end()
            if held is not None:
                await self._consumers.drop(held)
        except nats.errors.Error:
            return  # The connection is gone, and the consumer goes by itself when nobody has pulled for a minute.
