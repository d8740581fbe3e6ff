"""What every part of the door is made from."""

from collections.abc import Mapping, Sequence

from kernel.errors import NotFound
from kernel.resources import refuse_past
from kernel.rooms import Rooms
from modelog.texts import markers_in
from modelog.type.v1.read_pb2 import ReadOptions
from services.archive.growth import Growth
from services.archive.parts import Parts
from services.archive.queries import Stored


class Room:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._parts = Parts(rooms)
        self._transact = rooms.transact
        self._resources = rooms.resources
        self._copy = self._parts.copy
        self._checkpoints = self._parts.checkpoints
        self._statements = self._parts.statements

    def _growth(self) -> Growth:
        return Growth(self._rooms.position)

    async def _texts_of(self, entries: Sequence[Stored]) -> Mapping[str, str]:
        """What the markers in these facts stand for."""
        return await self._rooms.texts.read({mark for one in entries for mark in markers_in(one.payload)})

    async def _check_project(self, project: str) -> None:
        """A hold on nothing, or a rule for it, would be a mistake nobody sees. Projects never go away, so one look is
        enough."""
        if await self._copy.has(project):
            return
        await self._resources.catch_up()
        if not await self._copy.has(project):
            raise NotFound("PROJECT_NOT_FOUND", f"there is no {project}", metadata={"resource": project})

    async def _wait(self, read: ReadOptions) -> None:
        """at_least, for reads where another field already says as of when."""
        refuse_past(read, "what sizes and revisions of the request say")
        await self._resources.wait(read.at_least)
