"""Requests take turns at the model, and those that wait while it is busy run together.

A request that finds the model idle never waits for others. What queues up behind it is put together along the first
dimension, run once and cut apart again, as far as the shapes allow; when that fails each request is run by itself, so
an error stays with the request that caused it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

Feed = Mapping[str, Any]
Arrays = list[Any]

# A run that takes less than handing it to a thread and back is made at once. Larger ones would hold up health answers.
_QUICK_SECONDS = 0.000_25
_QUICK_ROWS = 64
_WEIGHT = 0.1  # Of the newest run in the moving average.


@dataclass(eq=False, slots=True)
class _Turn:
    """One request: what it feeds, and where its answer goes. shape: equal for those that can run together."""

    feed: Feed
    rows: int
    shape: object
    answer: asyncio.Future[Arrays]
    since: float


class Turns:
    """Runs requests one after the other, or together: up to most_rows, 0 or 1 for each by itself.

    delay_seconds: how long a batch that is not full yet may wait for more once requests queue. ran(requests, rows)
    hears of every run.
    """

    def __init__(
        self,
        run: Callable[[Feed], Arrays],
        *,
        most_rows: int = 0,
        delay_seconds: float = 0.0,
        ran: Callable[[int, int], None] = lambda _requests, _rows: None,
    ) -> None:
        self._run = run
        self._most_rows = most_rows
        self._delay_seconds = delay_seconds
        self._ran = ran
        self._thread = ThreadPoolExecutor(1, "model")
        self._queue: deque[_Turn] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._usual_seconds = 1.0  # Until it is known to be quick.
        self.busy_seconds = 0.0  # For how long the model ran.

    @property
    def waiting(self) -> int:
        """Requests that wait for the model."""
        return len(self._queue)

    async def run(self, feed: Feed, rows: int) -> Arrays:
        """The model's arrays for one request; what the model raises for it. Cancelled, it is not run when it waits."""
        if not self._busy and not self._queue and rows <= _QUICK_ROWS and self._usual_seconds < _QUICK_SECONDS:
            began = time.perf_counter()
            try:
                return self._run(feed)
            finally:
                self._took(time.perf_counter() - began, 1)
                self._ran(1, rows)
        loop = asyncio.get_running_loop()
        turn = _Turn(feed, rows, _shape(feed, rows), loop.create_future(), loop.time())
        self._queue.append(turn)
        if not self._busy:
            self._next(loop)
        return await turn.answer

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts what is due; called whenever the model is idle."""
        while self._queue and self._queue[0].answer.cancelled():
            self._queue.popleft()
        if not self._queue or self._busy:
            return
        group = self._group()
        wait = self._queue[0].since + self._delay_seconds - loop.time()
        if self._may_grow(group) and wait > 0:
            if self._timer is None:
                self._timer = loop.call_later(wait, self._due, loop)
            return
        for turn in group:
            self._queue.remove(turn)
        self._busy = True
        self._thread.submit(self._work, group).add_done_callback(partial(self._finished, loop, group))

    def _may_grow(self, group: Sequence[_Turn]) -> bool:
        """Only requests that queued behind others wait for more: a lone one has none to wait for."""
        return self._delay_seconds > 0 and len(group) > 1 and sum(one.rows for one in group) < self._most_rows

    def _due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._next(loop)

    def _group(self) -> list[_Turn]:
        """The first that waits, and those behind it that fit to it, in their order."""
        first, rows = self._queue[0], self._queue[0].rows
        group = [first]
        if first.shape is None:
            return group
        for turn in list(self._queue)[1:]:
            if turn.shape != first.shape or turn.answer.cancelled():
                continue
            if rows + turn.rows > self._most_rows:
                break
            rows += turn.rows
            group.append(turn)
        return group

    def _work(self, group: Sequence[_Turn]) -> list[Arrays | Exception]:
        """On the thread: the answers, or what the model raised, request by request."""
        began = time.perf_counter()
        answers: list[Arrays | Exception] = []
        if len(group) > 1 and (together := self._together(group)) is not None:
            answers.extend(together)
        else:
            answers.extend(self._alone(turn.feed) for turn in group)
        self._took(time.perf_counter() - began, len(group))
        return answers

    def _together(self, group: Sequence[_Turn]) -> list[Arrays] | None:
        """The answers of one run for all, or None when it fails or does not answer a line for each row."""
        feed = {name: np.concatenate([turn.feed[name] for turn in group]) for name in group[0].feed}
        rows = sum(turn.rows for turn in group)
        try:
            arrays = self._run(feed)
        except Exception:  # Whichever of them it was: each is run again by itself, and keeps its own error.
            return None
        if not all(array.ndim and array.shape[0] == rows for array in arrays):
            return None
        ends = np.cumsum([turn.rows for turn in group])[:-1]
        return [list(parts) for parts in zip(*(np.split(array, ends) for array in arrays), strict=True)]

    def _alone(self, feed: Feed) -> Arrays | Exception:
        try:
            return self._run(feed)
        except Exception as error:  # It goes to the one who asked.
            return error

    def _took(self, seconds: float, requests: int) -> None:
        self.busy_seconds += seconds
        self._usual_seconds += _WEIGHT * (seconds / requests - self._usual_seconds)

    def _finished(
        self, loop: asyncio.AbstractEventLoop, group: Sequence[_Turn], done: Future[list[Arrays | Exception]]
    ) -> None:
        loop.call_soon_threadsafe(self._answer, loop, group, done)

    def _answer(
        self, loop: asyncio.AbstractEventLoop, group: Sequence[_Turn], done: Future[list[Arrays | Exception]]
    ) -> None:
        self._busy = False
        self._ran(len(group), sum(turn.rows for turn in group))
        for turn, answer in zip(group, done.result(), strict=True):
            if turn.answer.done():  # Nobody waits for it any more.
                continue
            if isinstance(answer, Exception):
                turn.answer.set_exception(answer)
            else:
                turn.answer.set_result(answer)
        self._next(loop)


def _shape(feed: Feed, rows: int) -> object:
    """What must be equal to run together: names, types and all dimensions but the first; None when it runs alone."""
    if not rows or not all(array.ndim and array.shape[0] == rows for array in feed.values()):
        return None
    return tuple((name, array.dtype, array.shape[1:]) for name, array in feed.items())
