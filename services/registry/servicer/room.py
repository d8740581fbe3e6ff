"""What the doors of all resources share."""

from typing import Any

from kernel.fold import Kind
from kernel.rooms import Rooms
from kernel.transact import Decided
from modelog.type.v1.read_pb2 import ReadOptions


class Room:
    def __init__(self, rooms: Rooms) -> None:
        self._transact = rooms.transact
        self._resources = rooms.resources
        self._pool = rooms.pool

    async def _after(self, kind: Kind, decided: Decided) -> Any:
        """The resource as the write left it, also when the answer is that of an earlier, equal request.

        After a dry run it is empty: nothing was left behind.
        """
        if not decided.revision:
            return kind.message()
        if decided.state is not None:
            return decided.state
        return await self._resources.load(kind, decided.name, ReadOptions(as_of_revision=decided.revision))
