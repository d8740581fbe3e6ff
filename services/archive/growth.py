"""Waiting for the copy to grow, with a limit, any number of times, at the cost of one waiter."""

import asyncio

from kernel.position import Position


class Growth:
    """Keeps its place among those who wait, so that waiting in short turns on a silent log piles nothing up."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._task: asyncio.Task[None] | None = None
        self._wanted = 0

    async def reached(self, revision: int, seconds: float) -> bool:
        """Whether the copy reaches the revision in time. Unavailable VIEWS_HALTED when it never will."""
        if self._position.revision >= revision:
            return True
        if self._task is None or self._task.done() or self._wanted != revision:
            self.close()
            self._task = asyncio.get_running_loop().create_task(self._position.wait(revision))
            self._wanted = revision
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        if not done:
            return False
        self._task.result()
        return True

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
