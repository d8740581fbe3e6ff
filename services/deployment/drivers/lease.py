"""A file that says: whoever keeps these processes is alive. Processes end themselves when it stands still.

It needs neither log nor views, so what serves outlives the outage of both, but not that of its keeper.
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

_TOUCHES = 10
_LOOKS = 4


async def keep(path: Path, seconds: float) -> None:
    """Touches the lease for ever, ten times within its length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        path.touch()
        await asyncio.sleep(seconds / _TOUCHES)


async def until_lost(path: Path, seconds: float) -> None:
    """Returns when nobody has touched the lease for its length, by this process's own clock."""
    seen, since = 0, time.monotonic()
    while time.monotonic() - since <= seconds:
        await asyncio.sleep(seconds / _LOOKS)
        touched = 0
        with suppress(OSError):
            touched = path.stat().st_mtime_ns
        if touched and touched != seen:
            seen, since = touched, time.monotonic()
