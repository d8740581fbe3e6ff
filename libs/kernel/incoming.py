"""The messages of a call that streams them to us, each taken in with the care that a call of one request gets.

Every message is limited, parsed, permitted and recorded by itself, and counts among the calls of its sender: who sends
faster than that is read more slowly instead of being refused. A message is read only when there is room for its work,
so whoever sends too much waits by the flow control of HTTP/2.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Any, Protocol

from kernel import telemetry
from kernel.context import Context
from kernel.errors import Exhausted, Refusal, TooLate
from kernel.visit import Visit

# Of one call. Both are more than a caller needs: whoever has more makes another call.
MOST_MESSAGES = 10_000
MOST_BYTES = 64 * 1024 * 1024
# How long a call may wait for its next message.
IDLE_SECONDS = 60.0
# How many messages are worked on at once.
_AT_ONCE = 64
_LONGEST_PACE_SECONDS = 1.0
# Of how many turns the newest work is remembered, done or not.
_MOST_TURNS = 1000
# Refusals that concern one message. All others say something about the caller or the service, and end the call.
_OF_ONE = frozenset(
    ["INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED", "PERMISSION_DENIED"]
)

Answer = Callable[[Context], Awaitable[Any]]
Turn = Callable[[Any], Hashable]
Refused = Callable[[Any, Refusal], Any]


class Admission(Protocol):
    """What the door does with one message."""

    async def admit(self, raw: bytes, visit: Visit) -> Context: ...

    async def refusal(self, error: Exception, visit: Visit) -> Refusal: ...


class Incoming:
    """`async for context in incoming` takes the messages one by one, and the first that is refused ends the call;
    `answered` answers each by itself."""

    def __init__(
        self, door: Admission, visit: Visit, read: Callable[[], Awaitable[Any]], pace: Callable[[], float]
    ) -> None:
        """read: the next message, anything but bytes at the end. pace: seconds until one more may be taken in."""
        self._door = door
        self._visit = visit
        self._read = read
        self._pace = pace
        self._count = 0
        self._bytes = 0

    def __aiter__(self) -> "Incoming":
        return self

    async def __anext__(self) -> Context:
        raw = await self._next()
        if raw is None:
            raise StopAsyncIteration
        return await self._door.admit(raw, self._visit)

    async def answered(
        self, answer: Answer, *, turn: Turn, refused: Refused, at_once: int = _AT_ONCE
    ) -> AsyncIterator[Any]:
        """The answer to each message, in the order of sending.

        turn: of a request; messages of one turn are answered one after the other, others side by side. refused: makes
        the answer to a message that was refused, from its request (None when it could not be read) and the refusal.
        at_once: how many are worked on, fewer where they are large.
        """
        waiting: asyncio.Queue[asyncio.Future[Any] | None] = asyncio.Queue(at_once)
        begun: set[asyncio.Future[Any]] = set()
        reader = asyncio.create_task(self._begin(waiting, begun, answer, turn, refused))
        try:
            while (work := await waiting.get()) is not None:
                reply = await work
                begun.discard(work)
                yield reply
        finally:
            for one in (reader, *begun):
                one.cancel()
            await asyncio.gather(reader, *begun, return_exceptions=True)

    async def _begin(
        self,
        waiting: "asyncio.Queue[asyncio.Future[Any] | None]",
        begun: "set[asyncio.Future[Any]]",
        answer: Answer,
        turn: Turn,
        refused: Refused,
    ) -> None:
        """Begins the work on each message; what ends the call stands in line behind what was begun before."""
        newest: dict[Hashable, asyncio.Future[Any]] = {}
        while True:
            visit, raw = self._visit.message(), None
            try:
                raw = await self._next()
                if raw is None:
                    await waiting.put(None)
                    return
                context = await self._door.admit(raw, visit)
                place = turn(context.request)
                work = asyncio.create_task(self._work(context, visit, newest.get(place), answer, refused))
                newest[place] = work
            except Exception as error:
                work = asyncio.create_task(self._refused(error, visit, refused))
            begun.add(work)
            await waiting.put(work)
            if raw is None:  # Nothing can be read any more.
                return
            if len(newest) > _MOST_TURNS:
                newest = {key: one for key, one in newest.items() if not one.done()}

    async def _work(
        self,
        context: Context,
        visit: Visit,
        before: "asyncio.Future[Any] | None",
        answer: Answer,
        refused: Refused,
    ) -> Any:
        if before is not None:
            await asyncio.wait([before])
            if error := before.exception():  # It ended the call; what was sent behind it must not overtake it.
                raise error
        try:
            return await answer(context)
        except Exception as error:
            return await self._refused(error, visit, refused)

    async def _refused(self, error: Exception, visit: Visit, refused: Refused) -> Any:
        """The answer to a message that was refused; raises what concerns the whole call."""
        refusal = await self._door.refusal(error, visit)
        if refusal.code not in _OF_ONE:
            raise refusal
        telemetry.refused(refusal.code, refusal.reason)
        return refused(visit.request, refusal)

    async def _next(self) -> bytes | None:
        """The next message, None at the end; TooLate or Exhausted when there is no end."""
        while self._count and (seconds := self._pace()):
            await asyncio.sleep(min(seconds, _LONGEST_PACE_SECONDS))
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                raw = await self._read()
        except TimeoutError:
            raise TooLate("STREAM_IDLE", f"no message came for {IDLE_SECONDS:g} s; make another call") from None
        if not isinstance(raw, bytes):
            return None
        self._count += 1
        self._bytes += len(raw)
        if self._count > MOST_MESSAGES or self._bytes > MOST_BYTES:
            raise Exhausted(
                "STREAM_TOO_LONG",
                f"a call takes {MOST_MESSAGES} messages of {MOST_BYTES} bytes together; make another one for the rest",
            )
        return raw
