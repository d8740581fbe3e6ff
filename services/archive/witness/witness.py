"""The witness: cosigns each checkpoint of the notary that fits the copy and all it has vouched for before.

The notary takes roots from the tiles, which the projector made; the witness from the copy, which another reader of the
log made, in another store. So one broken reader, one edited table or one edited file leaves the two at odds, and the
witness silent, with a named alarm:

    BAD_SIGNATURE   the checkpoint is signed by no key that follows from the one the witness began with
    CONTRADICTION   the copy leads to another root, or not to the root that was vouched for last
    INCONSISTENT    the tiles give no proof that the new tree begins with the old one
    SHRUNK          checkpoints end before what was vouched for
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import Gauge

from kernel.logs import structlog
from services.archive.checkpoint import BadNote, Head
from services.archive.checkpoints import Checkpoints, Signed
from services.archive.keys import open_signed, published
from services.archive.merkle import Span, consistency_spans, consistent
from services.archive.vault.vault import Vault
from services.archive.witness.cosignature import cosign
from services.archive.witness.statements import Statements, Vouched

WITNESSING, ALARM = "WITNESSING", "ALARM"
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 5.0

_log = structlog.get_logger()
TROUBLE = Gauge("modelog_archive_witness_alarm", "1 while the witness refuses to vouch. A person must look.")


class Hashes(Protocol):
    """Where proofs come from: the tiles."""

    async def hashes(self, spans: Sequence[Span]) -> list[bytes]:
        """KeyError or ValueError when the stored tree does not reach that far."""


class Refused(Exception):
    """A checkpoint that the witness will not vouch for."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Witness:
    """`run()` vouches for ever, under the service's fence."""

    def __init__(
        self,
        *,
        name: str,
        checkpoints: Checkpoints,
        statements: Statements,
        vault: Vault,
        tiles: Hashes,
        reach: Callable[[], int],
        clock: Callable[[], datetime],
    ) -> None:
        """reach: up to where the tiles are folded, which may be behind the copy and behind what was signed."""
        self._name = name
        self._checkpoints = checkpoints
        self._statements = statements
        self._vault = vault
        self._tiles = tiles
        self._reach = reach
        self._clock = clock

    async def run(self) -> None:
        while not published(self._checkpoints.folder):
            await asyncio.sleep(_POLL_SECONDS)
        key = self.open()
        while True:
            try:
                done = await self.round(key)
                await asyncio.sleep(0 if done else _POLL_SECONDS)
            except Refused as refused:
                TROUBLE.set(1)
                if self._statements.say(ALARM, refused.reason, refused.message):
                    _log.critical("witness_alarm", reason=refused.reason, message=refused.message)
                await asyncio.sleep(_LOOK_SECONDS)

    def open(self) -> Ed25519PrivateKey:
        return self._statements.open(self._name, published(self._checkpoints.folder)[0]["vkey"])

    async def round(self, key: Ed25519PrivateKey) -> bool:
        """Looks at the next checkpoint; True when it was vouched for, False when there is none yet. Raises Refused."""
        last = self._statements.head()
        signed = self._next(last)
        if signed is None or min(self._vault.size, self._reach()) < signed.head.size:
            return False
        text = self._text(signed)
        await self._agree(signed.head)
        if last:
            await self._agree(last)
            await self._follows(last, signed.head)
        await asyncio.to_thread(self._statements.intend, signed.head)
        seconds = int(self._clock().timestamp())
        vouched = Vouched(signed.head, seconds, cosign(text, seconds, self._name, key))
        await asyncio.to_thread(self._statements.record, vouched, signed.sha256, key)
        TROUBLE.set(0)
        self._statements.say(WITNESSING)
        return True

    def _next(self, last: Head | None) -> Signed | None:
        """The oldest that is not vouched for; at the very first start the newest."""
        newest = self._checkpoints.newest()
        if last is None:
            return newest
        if newest is None or newest.head.size < last.size:
            raise Refused("SHRUNK", f"the checkpoints end before size {last.size}, which was vouched for")
        recorded = self._statements.newest()
        return self._checkpoints.covering(last.size if recorded is None or recorded.head != last else last.size + 1)

    def _text(self, signed: Signed) -> str:
        folder = self._checkpoints.folder
        try:
            if published(folder)[0]["vkey"] != self._statements.public()["log_vkey"]:
                raise BadNote("the log's first key is not the one that the witness began with")
            head = open_signed(folder, signed.note)
        except BadNote as bad:
            raise Refused("BAD_SIGNATURE", f"checkpoint {signed.head.size}: {bad}") from bad
        if head != signed.head:
            raise Refused(
                "BAD_SIGNATURE", f"checkpoint {signed.head.size} signs another head than is written beside it"
            )
        return head.body()

    async def _agree(self, head: Head) -> None:
        """The copy leads to this head; a closed segment's root was computed once, the rest is read from memory."""
        try:
            found = await asyncio.to_thread(self._vault.root, head.size)
        except KeyError as error:
            raise Refused("CONTRADICTION", f"the copy does not lead to size {head.size}: {error}") from error
        if found != head.root:
            text = f"the copy's first {head.size} facts lead to {found.hex()}, the checkpoint says {head.root.hex()}"
            raise Refused("CONTRADICTION", text)

    async def _follows(self, old: Head, new: Head) -> None:
        if old.size == new.size:
            if old.root != new.root:
                raise Refused("CONTRADICTION", f"two roots for size {new.size}")
            return
        try:
            proof = await self._tiles.hashes(consistency_spans(old.size, new.size))
        except (KeyError, ValueError) as error:
            raise Refused("INCONSISTENT", f"no proof from {old.size} to {new.size}: {error}") from error
        if not consistent(old.size, new.size, old.root, new.root, proof):
            raise Refused("INCONSISTENT", f"the tree of {new.size} does not begin with the one of {old.size}")
