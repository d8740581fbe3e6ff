"""What a look at a replica found, kept for a while: asking each one every second costs more than it tells.

A replica that answered ready is asked again after some seconds. Until then it is ready as long as it lives and its
files are those that were read: its lock is tried at each look, so its death is seen at once. One that hangs is taken
out by the gateway's own health checks meanwhile.
"""

import asyncio
import os
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from services.deployment.drivers import child
from services.deployment.drivers.port import Replica, State
from services.deployment.fetch import Unreachable

_FRESH_SECONDS = 8.0
_FILES = ("order.json", "answer.json", "pid")

Marks = tuple[tuple[int, int], ...]


class _Kept(NamedTuple):
    replica: Replica
    marks: Marks
    until: float


class Looks:
    """Looks at replicas by their folders."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def all(self, paths: Sequence[Path], look: Callable[[Path], Awaitable[Replica]]) -> Sequence[Replica]:
        """Every replica, in the order of `paths`; `look` is called for those of which nothing certain is known."""
        found = {path.name: self._known(path) for path in paths}
        asked = [(path, _marks(path)) for path in paths if found[path.name] is None]
        seen = await asyncio.gather(*(look(path) for path, _ in asked))
        for (path, marks), replica in zip(asked, seen, strict=True):
            found[path.name] = replica
            if replica.state is State.READY:
                # Not all at once: what was looked at together comes due one after the other.
                until = self._clock() + _FRESH_SECONDS * (1 + zlib.crc32(path.name.encode()) % 100 / 400)
                self._kept[path.name] = _Kept(replica, marks, until)
        self._kept = {name: one for name, one in self._kept.items() if name in found}
        return [one for one in found.values() if one is not None]

    def certain(self, names: Iterable[str]) -> bool:
        """Whether all of these replicas were ready and as before at the last look."""
        return all(name in self._kept for name in names)

    def forget(self, name: str) -> None:
        """The next look asks the replica itself: it has been told to stop."""
        self._kept.pop(name, None)

    def _known(self, path: Path) -> Replica | None:
        kept = self._kept.get(path.name)
        if kept is None:
            return None
        if self._clock() < kept.until and child.lives(path) and _marks(path) == kept.marks:
            return kept.replica
        del self._kept[path.name]
        return None


def _marks(path: Path) -> Marks:
    """Changes whenever one of the files is written anew."""
    marks = []
    for name in _FILES:
        try:
            found = os.stat(f"{path}/{name}")  # noqa: PTH116 - each second for each replica: no Path is made for it.
        except OSError:
            marks.append((0, 0))
        else:
            marks.append((found.st_ino, found.st_mtime_ns))
    return tuple(marks)


async def status(address: str, path: str, *, timeout: float) -> int:
    """The status of a GET on a replica, whose answer nobody reads: a fifth of the cost of `fetch`. Unreachable."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
            finally:
                writer.close()
        return int(line.split()[1])
    except (OSError, TimeoutError, ValueError, IndexError) as error:
        raise Unreachable(f"{address}{path}: {error!r}") from error
