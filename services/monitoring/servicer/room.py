"""What every part of the door works with."""

from collections.abc import Sequence
from typing import Any

from kernel.fold import Kind
from kernel.rooms import Rooms
from kernel.rpc import Context
from kernel.transact import Decide, Decided


class Room:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._transact = rooms.transact
        self._resources = rooms.resources
        self._pool = rooms.pool
        self._kept = rooms.kept

    async def _write(
        self, kind: Kind, request: Any, context: Context, verb: Decide, *, reads: Sequence[tuple[Kind, str]] = ()
    ) -> Decided:
        """A write on the resource that the request names."""
        return await self._transact(kind, request.name, context.cause(), verb, reads=reads)
