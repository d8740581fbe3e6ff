"""Copies the log into the vault, and stops with a named alarm at whatever does not go on from what is kept.

    LOG_SHRUNK     the log ends before the copy does
    LOG_DIVERGED   a fact of the log is another than the copy has at its revision
    LOG_HOLE       the log skips revisions
    COPY_DAMAGED, COPY_CUT, OUT_OF_ORDER   the copy's own files

What is kept is never replaced by what a log says later. An alarm is looked at again every few seconds, so that it ends
by itself when a person has put the log right.
"""

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import Gauge

from kernel.log import Entry, Hole, Log
from kernel.logs import structlog
from services.archive.vault.vault import CopyTrouble, Vault

KEEPING, ALARM = "KEEPING", "ALARM"
_OVERLAP = 256  # Facts before the end of the copy that are compared with the log at each start.
_LOOK_SECONDS = 5.0
_LINGER_SECONDS = 0.02

_log = structlog.get_logger()
TROUBLE = Gauge("modelog_archive_copy_alarm", "1 while the archive's copy of the log has stopped. A person must look.")


class Keeping:
    """`run()` copies for ever, under the service's fence; `promised` tells up to where the copy was vouched for."""

    def __init__(self, log: Log, vault: Vault, promised: Callable[[], int]) -> None:
        self._log = log
        self._vault = vault
        self._promised = promised

    async def run(self) -> None:
        while True:
            try:
                await self.keep()
            except (CopyTrouble, Hole, OSError) as error:
                reason, message = _told(error)
                TROUBLE.set(1)
                if await asyncio.to_thread(self._vault.say, ALARM, reason, message):
                    _log.critical("copy_alarm", reason=reason, message=message)
            await asyncio.sleep(_LOOK_SECONDS)

    async def keep(self) -> None:
        """From the end of the copy on, for ever. Raises CopyTrouble, Hole or OSError."""
        await asyncio.to_thread(self._vault.open, self._promised())
        size, head = self._vault.size, await self._log.head()
        if head < size:
            raise CopyTrouble("LOG_SHRUNK", f"the log ends at {head} although {size} facts were copied from it")
        known = {one.revision: one for one in self._vault.read(max(1, size - _OVERLAP + 1), size)}
        async for entries in self._log.follow(max(0, size - _OVERLAP), linger_seconds=_LINGER_SECONDS):
            _compare(entries, known)
            more = [one for one in entries if one.revision > size]
            if more:
                await asyncio.to_thread(self._vault.append, more)
            if entries[-1].revision >= size:
                TROUBLE.set(0)
                await asyncio.to_thread(self._vault.say, KEEPING)


def _compare(entries: Sequence[Entry], known: dict[int, Entry]) -> None:
    for one in entries:
        kept = known.get(one.revision, one)
        if kept != one:
            raise CopyTrouble("LOG_DIVERGED", f"revision {one.revision} of the log is not what was copied from it")


def _told(error: Exception) -> tuple[str, str]:
    if isinstance(error, CopyTrouble):
        return error.reason, error.message
    if isinstance(error, Hole):
        return "LOG_HOLE", str(error)
    return "COPY_UNWRITABLE", str(error)
