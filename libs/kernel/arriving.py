"""Requests that have begun and not arrived. gRPC reads a call's message before our code runs, for as long as it takes.

What our code does see is that the call's method was looked up, in the task that then waits. So a call is noted there,
for almost nothing, and a task that waits too long is cancelled, which gives its place back. Its stream lasts until the
caller ends it or the connection grows too old: only who takes a request in can answer it (see `kernel.rpc`).
"""

import asyncio
import time
from typing import Any
from weakref import WeakKeyDictionary

SECONDS = 10.0
# More than this many on their way at once are no coincidence: further ones are taken in one by one, by address.
_MOST_UNWATCHED = 64
_SWEEP_SECONDS = 1.0


class Arriving:
    """The calls of one server between the look-up of their method and their first step in it."""

    def __init__(self) -> None:
        # Weakly: gRPC resets a stream that ended without an answer when the last who knows its task has gone.
        self._since: WeakKeyDictionary[asyncio.Task[Any], float] = WeakKeyDictionary()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._since)

    def begin(self) -> bool:
        """Notes the call of the current task; False when too many are on their way already."""
        if len(self._since) >= _MOST_UNWATCHED:
            return False
        task = asyncio.current_task()
        if task is not None:
            self._since[task] = time.monotonic()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
        return True

    def arrived(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._since.pop(task, None)

    def _sweep(self) -> None:
        """Ends what takes too long; rests while nothing is on its way."""
        overdue = time.monotonic() - SECONDS
        for task, since in list(self._since.items()):
            if since < overdue:
                self._since.pop(task, None)
                task.cancel()
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep) if self._since else None
