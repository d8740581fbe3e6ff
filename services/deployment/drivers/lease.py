"""A file that says: whoever keeps these processes is alive. Processes end themselves when it stands still.

It needs neither log nor views, so what serves outlives the outage of both, but not that of its keeper.
"""

import asyncio
import time
from pathlib import Path

_TOUCHES = 10
_LOOKS = 4
_LONGEST_LOOK_SECONDS = 0.5


async def keep(path: Path, seconds: float) -> None:
    """Touches the lease for ever, ten times within its length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        path.touch()
        await asyncio.sleep(seconds / _TOUCHES)


async def until_lost(path: Path, seconds: float) -> None:
    """Returns when nobody has touched the lease for its length, by our own clock, or somebody took it away."""
    seen, since = 0, time.monotonic()
    while time.monotonic() - since <= seconds:
        await asyncio.sleep(min(seconds / _LOOKS, _LONGEST_LOOK_SECONDS))
        touched = 0
        try:
            touched = path.stat().st_mtime_ns
        except FileNotFoundError:
            if seen:
                return
        except OSError:
            continue
        if touched and touched != seen:
            seen, since = touched, time.monotonic()
