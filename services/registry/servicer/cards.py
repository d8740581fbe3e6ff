"""The door of model cards: everything that is known of a version, read as of one revision."""

from kernel.errors import NotFound
from kernel.names import project_of
from kernel.rpc import Context
from modelog.registry.v1 import cards_pb2 as cards
from modelog.registry.v1.types_pb2 import Version
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.domain import MODEL, PROJECT, VERSION, card
from services.registry.servicer.room import Room

_MOST_ANCESTORS = 16


class Cards(Room):
    async def GetModelCard(self, request: cards.GetModelCardRequest, context: Context) -> cards.ModelCard:
        read = await self._pinned(request.read)
        version = await self._resources.load(VERSION, request.name, read)
        if not version.name:
            raise NotFound(VERSION.not_found_reason, f"there is no {request.name}", metadata={"resource": request.name})
        model = await self._resources.load(MODEL, VERSION.pattern.parent(request.name), read)
        project = await self._resources.load(PROJECT, project_of(request.name), read)
        ancestors = await self._ancestors(version, read)
        # As of a time: of the newest fact that any part of the card had seen by then.
        seen = max(one.revision for one in (version, model, project, *ancestors))
        return card.model_card(
            model, version, project.policy, ancestors=ancestors, as_of_revision=read.as_of_revision or seen
        )

    async def _pinned(self, read: ReadOptions) -> ReadOptions:
        """The same read of one revision, so that nothing moves between the resources that a card is made of."""
        if read.WhichOneof("as_of"):
            return read
        await self._resources.wait(read.at_least)
        reached = max(self._resources.reached, read.at_least)
        return ReadOptions(as_of_revision=reached) if reached else read

    async def _ancestors(self, version: Version, read: ReadOptions) -> list[Version]:
        """Its parents, nearest first, as far as they are known; a version names an older one, so there is no circle."""
        found: list[Version] = []
        while version.parent_version and len(found) < _MOST_ANCESTORS:
            version = await self._resources.load(VERSION, version.parent_version, read)
            if not version.name:
                break
            found.append(version)
        return found
