"""The notary: signs a root of the log within a second of each fact, and never one that contradicts an earlier one.

Ed25519 is deterministic and the head is written down before it is signed, so a crash at any moment ends in the same
signature. Whatever does not fit stops the signing with a named alarm, until it fits again: SHRUNK (the log ends before
what was signed or copied), CONTRADICTION (the copy no longer leads to the signed root), COPY_HALTED (the copy stopped
at a hole).
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kernel.errors import Unavailable
from kernel.log import Log
from kernel.logs import structlog
from kernel.position import Position
from services.archive.checkpoint import Head, sign
from services.archive.checkpoints import Ledger
from services.archive.growth import Growth

_log = structlog.get_logger()
_LOOK_SECONDS = 5.0
MOST_FACTS = 256

SIGNING, CATCHING_UP, ALARM = "SIGNING", "CATCHING_UP", "ALARM"


class Roots(Protocol):
    """Where roots come from: the archive's copy."""

    async def root(self, size: int) -> bytes:
        """Root over the first `size` leaves; KeyError or ValueError when the tree does not reach that far."""


class Alarm(Exception):
    """What the notary sees contradicts what it signed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Notary:
    """`run()` signs for ever, under the service's fence."""

    def __init__(
        self,
        *,
        origin: str,
        key: Callable[[], Ed25519PrivateKey],
        ledger: Ledger,
        roots: Roots,
        position: Position,
        log: Log,
        clock: Callable[[], datetime],
        pause_seconds: float,
        rotated: Callable[[Head, Ed25519PrivateKey], Ed25519PrivateKey] = lambda _head, key: key,
    ) -> None:
        """rotated: the key to sign with behind a head that is signed: another one where somebody asked for it."""
        self._origin = origin
        self._open_key = key
        self._ledger = ledger
        self._roots = roots
        self._position = position
        self._growth = Growth(position)
        self._log = log
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._rotated = rotated

    async def run(self) -> None:
        self._ledger.open()
        key = self._open_key()
        try:
            while True:
                key = await self._round_or_alarm(key)
        finally:
            self._growth.close()

    async def _round_or_alarm(self, key: Ed25519PrivateKey) -> Ed25519PrivateKey:
        """Returns the key for the next round."""
        try:
            await self.round(key)
            head = self._ledger.head()
            if head and self._ledger.recorded(head):
                return await asyncio.to_thread(self._rotated, head, key)
        except Alarm as alarm:
            if self._ledger.say(ALARM, alarm.reason, alarm.message):
                _log.critical("notary_alarm", reason=alarm.reason, message=alarm.message)
            await asyncio.sleep(_LOOK_SECONDS)
        return key

    async def round(self, key: Ed25519PrivateKey) -> None:
        """Looks once, and signs if there is something new. Raises Alarm."""
        last = self._ledger.head()
        signed_size = last.size if last else 0
        copied = self._position.revision
        end = await self._log.head()
        if end < max(copied, signed_size):
            known = f"{signed_size} were signed and {copied} copied"
            raise Alarm("SHRUNK", f"the log ends at {end} although {known}")
        if self._position.halted:
            raise Alarm("COPY_HALTED", f"the copy stopped at {copied}: {self._position.halted}")
        if copied < signed_size:
            self._ledger.say(CATCHING_UP)
            await self._grown(signed_size, _LOOK_SECONDS)
            return
        if last:
            await self._agree(last)
            await self._finish(last, key)
        self._ledger.say(SIGNING)
        if not await self._grown(signed_size + 1, _LOOK_SECONDS):
            return
        await self._grown(signed_size + MOST_FACTS, self._pause_seconds)
        head = Head(self._origin, self._position.revision, await self._root(self._position.revision))
        if last:
            await self._agree(last)
        await asyncio.to_thread(self._ledger.intend, head)
        await self._finish(head, key)

    async def _finish(self, head: Head, key: Ed25519PrivateKey) -> None:
        """Signs and records a head that was written down, unless it is recorded already."""
        if not self._ledger.recorded(head):
            note = sign(head, key)
            await asyncio.to_thread(self._ledger.record, head, note, self._clock())

    async def _agree(self, head: Head) -> None:
        """The copy still leads to the head; read anew each time, so that a change of the tables is found too."""
        if (found := await self._root(head.size)) != head.root:
            text = f"the first {head.size} facts lead to {found.hex()} but {head.root.hex()} was signed"
            raise Alarm("CONTRADICTION", text)

    async def _root(self, size: int) -> bytes:
        try:
            return await self._roots.root(size)
        except (KeyError, ValueError) as error:
            raise Alarm("CONTRADICTION", f"the copy's tree does not reach {size}: {error}") from error

    async def _grown(self, revision: int, seconds: float) -> bool:
        """Whether the copy reaches the revision in time."""
        try:
            return await self._growth.reached(revision, seconds)
        except Unavailable as halted:
            raise Alarm("COPY_HALTED", halted.message) from halted
