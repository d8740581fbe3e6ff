"""Makes the sights of a turn: each endpoint as the facts want it, with the replicas that were found."""

import asyncio
from collections.abc import Mapping, Sequence

from kernel.logs import structlog
from kernel.rooms import Rooms
from modelog.deployment.v1.types_pb2 import Rollout
from services.deployment import queries
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT
from services.deployment.domain.conduct import Scene
from services.deployment.domain.states import is_unfinished
from services.deployment.domain.targets import wanted_replicas
from services.deployment.drivers.port import PlatformAway, Replica
from services.deployment.platforms import Platform
from services.deployment.rest import Rest
from services.deployment.sights import Sight, seen_of, sort

_log = structlog.get_logger()


class Looking:
    """rest: what is known of endpoints at rest."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.rest = Rest()

    async def all(self, work: Sequence[queries.Work], replicas: Mapping[str, Sequence[Replica]]) -> Sequence[Sight]:
        """A sight of each endpoint at work. replicas: by driver. Of those that rest as before nothing is made anew."""
        by_endpoint: dict[str, list[tuple[str, Replica]]] = {one.endpoint: [] for one in work}
        for driver, found in replicas.items():
            for replica in found:
                by_endpoint.setdefault(replica.key.endpoint, []).append((driver, replica))
        sights = {one.endpoint: self.rest.known(one, by_endpoint[one.endpoint]) for one in work}
        new = [one for one in work if sights[one.endpoint] is None]
        made = await asyncio.gather(*(self._look(one, by_endpoint[one.endpoint]) for one in new))
        for one, sight in zip(new, made, strict=True):
            sights[one.endpoint] = sight
            self.rest.keep(one, by_endpoint[one.endpoint], sight)
        self.rest.forget(sights.keys())
        return [sight for sight in sights.values() if sight is not None]

    async def _look(self, one: queries.Work, replicas: Sequence[tuple[str, Replica]]) -> Sight:
        resources = self._rooms.resources
        state = await resources.load(ENDPOINT, one.endpoint)
        environment = await resources.load(ENVIRONMENT, state.environment)
        rollout = await resources.load(ROLLOUT, one.rollout) if one.rollout else Rollout()
        retired = False
        if is_unfinished(rollout.state):
            retired = (await resources.load(KNOWN_VERSION, rollout.version)).retired
        mine = [replica for driver, replica in replicas if driver == environment.driver]
        seen = {version: seen_of(mine, version) for version in {replica.key.version for replica in mine}}
        sight = Sight(state, environment, rollout, Scene(self._rooms.clock(), seen, retired=retired))
        sight.wanted = wanted_replicas(
            state,
            rollout,
            present=lambda version: sight.scene.of(version).present,
            ready=lambda version: sight.scene.of(version).ready,
        )
        sort(sight, mine)
        return sight


async def observed(platforms: Mapping[str, Platform]) -> dict[str, Sequence[Replica]]:
    """Replicas by driver. One whose platform does not answer is left out: what is there goes on as it is."""
    found: dict[str, Sequence[Replica]] = {}
    for name, platform in platforms.items():
        try:
            found[name] = await platform.driver.observe()
        except PlatformAway as away:
            _log.error("platform_away", driver=name, error=str(away))
    return found
