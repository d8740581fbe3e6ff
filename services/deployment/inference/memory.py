"""A replica that leaks is noticed by itself before the machine notices it."""

import asyncio
import resource
from pathlib import Path

_LOOK_SECONDS = 0.5
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:  # No Linux: the most it ever had, in bytes there.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def until_above(resident_mib: int) -> str:
    """Returns when more is in use, and says so."""
    while (now := resident_bytes() >> 20) <= resident_mib:
        await asyncio.sleep(_LOOK_SECONDS)
    return f"{now} MiB of memory were in use, more than the {resident_mib} MiB of its environment (resident_mib)"
