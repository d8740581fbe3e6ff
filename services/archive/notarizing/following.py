"""Follows the log into the tree, and stops at whatever does not go on from it.

What was hashed is never replaced by what a log says later: the last 256 leaves are compared with the log at each start,
and the witness, who has a copy of every payload, vouches for no root that its copy does not lead to.
"""

import asyncio
from collections.abc import Sequence

from kernel.log import Entry, Hole, Log
from kernel.position import Position
from services.archive.merkle import leaf_hash
from services.archive.notarizing.tree import TreeDamaged, TreeFiles

_OVERLAP = 256
_LOOK_SECONDS = 5.0
_LINGER_SECONDS = 0.4  # Each stretch is written and synced as files of its own; who signs gathers for longer still.


class Diverged(Exception):
    """The log has another fact than was hashed at its revision."""


class Following:
    """`run()` goes on for ever; why it stopped stands in `position.halted`, until it goes on."""

    def __init__(self, log: Log, tree: TreeFiles, position: Position) -> None:
        self._log = log
        self._tree = tree
        self._position = position

    async def run(self) -> None:
        while True:
            try:
                await self.follow()
            except (Diverged, Hole, TreeDamaged, OSError) as error:
                self._position.halt(f"{type(error).__name__}: {error}")
            await asyncio.sleep(_LOOK_SECONDS)
            self._position.halted = ""

    async def follow(self) -> None:
        """From the end of the tree on, for ever. Raises Diverged, Hole, TreeDamaged or OSError."""
        await asyncio.to_thread(self._tree.open)
        size = self._tree.size
        first = max(0, size - _OVERLAP)
        known = self._tree.leaves(first, size)
        self._position.advance(size)
        async for entries in self._log.follow(first, linger_seconds=_LINGER_SECONDS):
            _compare(entries, known, first)
            leaves = [leaf_hash(one.payload) for one in entries if one.revision > self._tree.size]
            if leaves:
                await asyncio.to_thread(self._tree.append, leaves)
                self._position.advance(self._tree.size)


def _compare(entries: Sequence[Entry], known: Sequence[bytes], first: int) -> None:
    """known: leaf hashes of the revisions behind `first`."""
    for one in entries:
        place = one.revision - first - 1
        if place < len(known) and leaf_hash(one.payload) != known[place]:
            raise Diverged(f"revision {one.revision} of the log is not what was hashed")
