"""Turns many single look-ups into few queries: keys asked for within a millisecond share one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

_SPREAD_SECONDS = 0.001
Key = TypeVar("Key")
Value = TypeVar("Value")


class Batcher(Generic[Key, Value]):
    """Looks keys up through `fetch`, which answers those it found; at most `lanes` queries run at once."""

    def __init__(
        self, fetch: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]], *, lanes: int = 2, most: int = 500
    ) -> None:
        self._fetch = fetch
        self._lanes = lanes
        self._most = most
        self._waiting: dict[Key, list[asyncio.Future[Value | None]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._next = 0.0
        self._shared = False
        self._loop: asyncio.AbstractEventLoop | None = None  # Asking for the running loop costs a system call.

    async def get(self, key: Key) -> Value | None:
        """The value, or None when there is none. Errors of the query reach every caller that shared it."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Value | None] = loop.create_future()
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = [future]
            self._schedule(loop)
        else:
            waiting.append(future)
        return await future

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """A single caller's key goes at once; among many callers a query waits until the last one is old enough."""
        if self._scheduled or len(self._running) >= self._lanes:
            return
        self._scheduled = True
        early = self._next - loop.time() if self._running or self._shared else 0.0
        if early > 0:
            loop.call_later(early, self._start, loop)
        else:
            loop.call_soon(self._start, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        self._next = loop.time() + _SPREAD_SECONDS
        keys = list(self._waiting)[: self._most]
        self._shared = len(keys) > 1
        if not keys:
            return
        task = loop.create_task(self._run({key: self._waiting.pop(key) for key in keys}))
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._waiting and self._loop is not None:
            self._schedule(self._loop)

    async def _run(self, waiting: dict[Key, list[asyncio.Future[Value | None]]]) -> None:
        try:
            found = await self._fetch(list(waiting))
        except Exception as error:  # Every caller must hear of it, whatever it is.
            for future in (one for futures in waiting.values() for one in futures):
                if not future.done():
                    future.set_exception(error)
            return
        for key, futures in waiting.items():
            value = found.get(key)
            for future in futures:
                if not future.done():
                    future.set_result(value)
