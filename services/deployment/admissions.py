"""What a decision about an environment has to know of everything that lives in it, as of now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kernel.names import project_of
from kernel.rooms import Rooms
from modelog.deployment.v1.types_pb2 import Environment, Rollout
from services.deployment import queries
from services.deployment.domain import ENDPOINT, ENVIRONMENT, ROLLOUT
from services.deployment.domain.admission import Around
from services.deployment.domain.promotion import Served
from services.deployment.domain.quota import Room, room_of

# Longer chains of environments nobody has; a longer one is refused as if it never ended.
_LONGEST_CHAIN = 32


class Admissions:
    """Reads what stands beside the resources that a verb reads."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def around(self, environment: str, *, version: str = "", endpoint: str = "") -> AsyncIterator[Around]:
        """What surrounds a decision that is made inside this block, for a version or an endpoint in an environment.

        Where there is a quota nobody else, in whichever process, decides on the project's quotas meanwhile: a sum over
        many endpoints is guarded by no single append, so whoever counts has to be the only one until it has appended.
        """
        await self._rooms.resources.catch_up()
        place = await self._rooms.resources.load(ENVIRONMENT, environment)
        served = await self.served(place, version)
        if not place.HasField("quota"):
            yield Around(self._rooms.clock(), served=served)
            return
        async with self.alone(environment):
            others = await self.others(place, but=endpoint)
            yield Around(self._rooms.clock(), others, served)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """One decision at a time on what spans a project's environments; the views know everything before it."""
        # In this process they queue here, so that those who wait do not use up the connections.
        async with self._turn, queries.only_one(self._rooms.pool, project_of(name)):
            await self._rooms.resources.catch_up()
            yield

    async def others(self, environment: Environment, *, but: str) -> Room:
        """The room that the endpoints of an environment take, but for one of them; 0 where no quota asks for it."""
        room = Room()
        if not environment.HasField("quota"):
            return room
        resources = self._rooms.resources
        for one in await queries.work_in(self._rooms.pool, environment.name):
            if one.endpoint != but:
                state = await resources.load(ENDPOINT, one.endpoint)
                newest = await resources.load(ROLLOUT, one.rollout) if one.rollout else Rollout()
                room = room.plus(room_of(state, newest, environment))
        return room

    async def served(self, environment: Environment, version: str) -> Served:
        """How a version has proved itself in the environment before this one."""
        before = environment.promotion.from_environment
        if not (before and version):
            return Served()
        return await queries.served(self._rooms.pool, before, version, self._rooms.clock())

    async def ahead(self, first: str) -> list[Environment]:
        """The environment `first`, the one before it, and so on; it ends where none is named or one comes again."""
        chain: list[Environment] = []
        while first and len(chain) < _LONGEST_CHAIN and first not in {one.name for one in chain}:
            chain.append(await self._rooms.resources.load(ENVIRONMENT, first))
            first = chain[-1].promotion.from_environment
        return chain
