"""Closes the difference between what the facts want and what the platform does, and records every step as a fact.

It keeps no state that matters: each turn begins with the facts as folded and the platform as observed, so it may be
killed at any line. What it records it records under request ids made of the state it decided on, so that a step taken
twice is recorded once.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kernel.cause import Cause
from kernel.errors import Refusal
from kernel.fold import Kind, etag_of
from kernel.logs import structlog
from kernel.rooms import Rooms
from modelog.deployment.v1.types_pb2 import ENDPOINT_STATE_ACTIVE, Endpoint, Rollout
from modelog.type.v1.principal_pb2 import Principal
from services.deployment import queries
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT, endpoint
from services.deployment.domain.conduct import Move, Scene, Seen, next_move, wanted_versions
from services.deployment.domain.states import is_unfinished
from services.deployment.drivers.port import Driver, Key, Replica, State
from services.deployment.gateway.config import Route, Table, cluster_of, path_of
from services.deployment.gateway.envoy import Applied, Gateway
from services.deployment.gateway.keeper import GatewayKeeper
from services.deployment.windows import Windows
from services.deployment.workloads import workload_of

_log = structlog.get_logger()
_ACTOR = Principal(id="services/deployment", auth_method="controller")
_BUSY_SECONDS = 0.2
_IDLE_SECONDS = 1.0
_REPAIR_SECONDS = 60.0


@dataclass
class Sight:
    """One endpoint in one turn."""

    endpoint: Endpoint
    rollout: Rollout
    scene: Scene
    wanted: list[str] = field(default_factory=list)
    ready: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return bool(self.endpoint.state == ENDPOINT_STATE_ACTIVE)

    @property
    def settled(self) -> bool:
        """Nothing is under way: everything wanted is ready and nothing else is there."""
        ready = all(self.scene.of(version).ready >= self.endpoint.replicas for version in self.wanted)
        return (
            self.active and not is_unfinished(self.rollout.state) and ready and set(self.scene.seen) <= set(self.wanted)
        )


class Controller:
    """drivers: by name, as environments name them. keeper: None where somebody else keeps the gateway."""

    def __init__(
        self,
        rooms: Rooms,
        drivers: Mapping[str, Driver],
        gateway: Gateway,
        keeper: GatewayKeeper | None,
        gateway_url: str,
    ) -> None:
        self._rooms = rooms
        self._drivers = drivers
        self._gateway = gateway
        self._keeper = keeper
        self._url = gateway_url
        self._windows = Windows(gateway)
        self._recorded = 0
        self._ready_runs: dict[str, str] = {}
        self._repaired: dict[str, float] = {}

    async def run(self) -> None:
        """Turns for ever: at once after a fact, often while something is under way, every second otherwise."""
        while True:
            before = self._recorded
            settled = await self.turn()
            if self._recorded > before:
                continue
            pause = _IDLE_SECONDS if settled else _BUSY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._rooms.position.wait(self._rooms.position.revision + 1)

    async def turn(self) -> bool:
        """Looks at everything once and does what can be done now. Whether nothing is under way any more."""
        if self._keeper is not None:
            await self._keeper.ensure()
        await self._rooms.resources.wait(self._recorded)
        replicas = [one for driver in self._drivers.values() for one in await driver.observe()]
        work = await queries.work(self._rooms.pool)
        sights = list(await asyncio.gather(*(self._look(one, replicas) for one in work)))
        await self._start(sights)
        applied = await self._gateway.apply(_table(sights))
        await self._stop(sights, replicas, applied)
        for sight in sights:
            await self._advance(sight, applied)
        await self._repair(sights, replicas)
        self._windows.forget({sight.rollout.name for sight in sights})
        return all(sight.settled and sight.endpoint.name in applied.routed for sight in sights)

    async def _look(self, one: queries.Work, replicas: Iterable[Replica]) -> Sight:
        resources = self._rooms.resources
        state = await resources.load(ENDPOINT, one.endpoint)
        rollout = await resources.load(ROLLOUT, one.rollout) if one.rollout else Rollout()
        retired = False
        if is_unfinished(rollout.state):
            retired = (await resources.load(KNOWN_VERSION, rollout.version)).retired
        mine = [replica for replica in replicas if replica.key.endpoint == one.endpoint]
        seen = {version: _seen(mine, version) for version in {replica.key.version for replica in mine}}
        sight = Sight(state, rollout, Scene(self._rooms.clock(), seen, retired=retired))
        sight.wanted = wanted_versions(state, rollout, sight.scene)
        for replica in mine:
            if replica.state is State.READY:
                sight.ready[replica.key.version] = (*sight.ready.get(replica.key.version, ()), replica.address)
        return sight

    async def _start(self, sights: Iterable[Sight]) -> None:
        for sight in sights:
            if not sight.wanted:
                continue
            environment = await self._rooms.resources.load(ENVIRONMENT, sight.endpoint.environment)
            driver = self._drivers.get(environment.driver)
            if driver is None:
                _log.error("driver_missing", driver=environment.driver, endpoint=sight.endpoint.name)
                continue
            for version in sight.wanted:
                known = await self._rooms.resources.load(KNOWN_VERSION, version)
                try:
                    await driver.apply(workload_of(sight.endpoint, known, environment))
                except OSError as error:  # A full disk, too many processes: other endpoints go on, and this one later.
                    _log.error("replicas_not_started", endpoint=sight.endpoint.name, version=version, error=str(error))

    async def _stop(self, sights: Iterable[Sight], replicas: Sequence[Replica], applied: Applied) -> None:
        """Ends what nobody wants, once the gateway has had its last answer."""
        wanted = {Key(sight.endpoint.name, version) for sight in sights for version in sight.wanted}
        for key in {replica.key for replica in replicas} - wanted:
            if cluster_of(*key) not in applied.clusters:
                for driver in self._drivers.values():
                    await driver.remove(key)

    async def _advance(self, sight: Sight, applied: Applied) -> None:
        """At most one fact about this endpoint."""
        name, rollout = sight.endpoint.name, sight.rollout
        if is_unfinished(rollout.state):
            sight.scene = Scene(
                now=sight.scene.now,
                seen=sight.scene.seen,
                routed=name in applied.routed,
                window=await self._windows.of(rollout, cluster_of(name, rollout.version)),
                retired=sight.scene.retired,
            )
            if move := next_move(sight.endpoint, rollout, sight.scene):
                await self._make(sight, move)
        elif not sight.active:
            if not sight.scene.seen and not any(one.startswith(_clusters_of(name)) for one in applied.clusters):
                await self._record(ENDPOINT, sight.endpoint, "remove", endpoint.finish_removal)
        elif sight.endpoint.address != (address := self._url + path_of(name)):
            await self._record(ENDPOINT, sight.endpoint, "address", partial(endpoint.move, address=address))

    async def _make(self, sight: Sight, move: Move) -> None:
        if move.on_endpoint:
            reads = ((ROLLOUT, sight.rollout.name), (KNOWN_VERSION, sight.rollout.version))
            key = f"{sight.rollout.name}/{sight.rollout.generation}/{move.key}"
            await self._record(ENDPOINT, sight.endpoint, key, move.verb, reads)
        else:
            await self._record(ROLLOUT, sight.rollout, move.key, move.verb)

    async def _repair(self, sights: Iterable[Sight], replicas: Iterable[Replica]) -> None:
        """Records that replicas which had been ready were found gone (they are started again); once a minute each.

        Going by the run, for one that ends between `observe` and `apply` is started again without being seen down.
        """
        by_name = {sight.endpoint.name: sight for sight in sights}
        for replica in replicas:
            ready_run = self._ready_runs.get(replica.id)
            if ready_run is not None and (replica.state is State.DOWN or replica.run != ready_run):
                if not await self._record_repair(by_name.get(replica.key.endpoint), replica):
                    continue  # The endpoint has just moved on: the next turn says it.
                del self._ready_runs[replica.id]
            if replica.state is State.READY:
                self._ready_runs[replica.id] = replica.run

    async def _record_repair(self, sight: Sight | None, replica: Replica) -> bool:
        """Whether there is nothing more to say of it."""
        if sight is None or not sight.active or replica.key.version not in sight.wanted:
            return True
        name = sight.endpoint.name
        if time.monotonic() < self._repaired.get(name, 0.0):
            return True
        found = f"replica {replica.id} was gone and is started again"
        if not await self._record(ENDPOINT, sight.endpoint, "repair", partial(endpoint.repair, found=found)):
            return False
        self._repaired[name] = time.monotonic() + _REPAIR_SECONDS
        return True

    async def _record(self, kind: Kind, state: Any, key: str, verb: Any, reads: Any = ()) -> bool:
        """One fact, decided on exactly this state. False when the state has moved on: the next turn looks again."""
        cause = Cause(
            actor=_ACTOR,
            request_id=f"controller/{state.name}/{state.generation}/{key}",
            now=self._rooms.clock(),
            correlation_id=state.name,
            etag=etag_of(state),
        )
        try:
            decided = await self._rooms.transact(kind, state.name, cause, verb, reads=reads)
        except Refusal as refusal:
            _log.info("step_not_taken", step=key, resource=state.name, reason=refusal.reason, message=refusal.message)
            return False
        self._recorded = max(self._recorded, decided.revision)
        if decided.recorded:
            _log.info("step_taken", step=key, resource=state.name, revision=decided.revision)
        return True


def _seen(replicas: Iterable[Replica], version: str) -> Seen:
    mine = [replica for replica in replicas if replica.key.version == version]
    refused = [replica for replica in mine if replica.state is State.REFUSED]
    problems = [replica.problem for replica in mine if replica.problem]
    return Seen(
        ready=sum(replica.state is State.READY for replica in mine),
        present=len(mine),
        problem=problems[0] if problems else "",
        refused=bool(refused),
        artifact=any(replica.artifact for replica in refused),
    )


def _table(sights: Iterable[Sight]) -> Table:
    routes, clusters = {}, {}
    for sight in sights:
        name = sight.endpoint.name
        if not sight.active:
            continue
        weights = {cluster_of(name, share.version): share.percent for share in sight.endpoint.traffic}
        routes[name] = Route(name, weights)
        for version in sight.wanted:
            cluster = cluster_of(name, version)
            if version in sight.ready or cluster in weights:
                clusters[cluster] = sight.ready.get(version, ())
    return Table(routes, clusters)


def _clusters_of(endpoint_name: str) -> str:
    _, project, _, id_ = endpoint_name.split("/")
    return f"{project}_{id_}_"
