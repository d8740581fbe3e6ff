"""The roles of which one process per service is active: projector, reactor, controllers, under the service's fence."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from kernel import telemetry
from kernel.fence import Fence, Lost
from kernel.log import Hole
from kernel.logs import structlog
from kernel.position import Position
from kernel.postgres import UNREACHABLE
from kernel.tasks import together

_log = structlog.get_logger()
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

Role = tuple[str, Callable[[], Awaitable[None]]]


async def stay_active(
    fence: Fence, roles: Sequence[Role], position: Position, freed: Sequence[Callable[[], None]]
) -> None:
    """Runs the roles whenever this process holds the fence, for ever; calls `freed` each time it no longer does."""
    while True:
        try:
            async with fence.held():
                await together([fence.watch(), *(kept_running(name, run, position) for name, run in roles)])
        except (Lost, *UNREACHABLE) as lost:
            _log.warning("fence_lost", error=str(lost))
            await asyncio.sleep(_FIRST_PAUSE_SECONDS * 5)
        finally:
            for tell in freed:
                tell()


async def kept_running(name: str, run: Callable[[], Awaitable[None]], position: Position) -> None:
    """Runs a role; starts it again after an error, ever more slowly; stops for good at a hole in the log."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await run()
            return
        except Hole as hole:
            position.halt(str(hole))
            telemetry.HALTED.set(1)
            _log.critical("log_has_a_hole", role=name, expected=hole.expected, found=hole.found)
            return
        except Exception:
            # Python before 3.12 loses a cancellation that comes just as a wait with a limit ends; the task still knows.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from None
            telemetry.RESTARTS.labels(name).inc()
            _log.exception("role_failed", role=name)
        if asyncio.get_running_loop().time() - started > _LONGEST_PAUSE_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
