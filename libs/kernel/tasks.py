"""Tasks that end when they are told to.

Before Python 3.12 `asyncio.wait_for`, which both nats-py and asyncpg stand on, may swallow a cancellation that comes
just as its answer does. A task that goes on is therefore told again; a TaskGroup would wait for it for ever.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

_AGAIN_SECONDS = 0.5


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancels the tasks until they have ended; their errors are theirs."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs everything until all of it has returned or one raises, which ends the others and is raised."""
    tasks = [asyncio.get_running_loop().create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await end(tasks)
