"""Closes the difference between what the facts want and what the platform does, and records every step as a fact.

It keeps no state that matters: each turn begins with the facts as folded and the platform as observed, so it may be
killed at any line. What it records it records under request ids made of the state it decided on, so that a step taken
twice is recorded once.
"""

import asyncio
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
from modelog.deployment.v1.types_pb2 import ENDPOINT_STATE_ACTIVE, Endpoint, Environment, Rollout
from modelog.type.v1.principal_pb2 import Principal
from services.deployment import queries
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT, endpoint
from services.deployment.domain.conduct import Move, Scene, Seen, next_move, wanted_versions
from services.deployment.domain.quota import Room, room_of
from services.deployment.domain.starting import Place, start_move
from services.deployment.domain.states import PENDING, is_unfinished
from services.deployment.drivers.port import Change, Key, PlatformAway, Replica, State
from services.deployment.failpoints import reached
from services.deployment.gateway.config import Route, Table, cluster_of
from services.deployment.gateway.envoy import Applied
from services.deployment.platforms import Platform, Traffic
from services.deployment.repairs import Repairs
from services.deployment.windows import Windows
from services.deployment.workloads import workload_of

_log = structlog.get_logger()
_ACTOR = Principal(id="services/deployment", auth_method="controller")
_BUSY_SECONDS = 0.2
_IDLE_SECONDS = 1.0


@dataclass
class Sight:
    """One endpoint in one turn."""

    endpoint: Endpoint
    environment: Environment
    rollout: Rollout
    scene: Scene
    wanted: list[str] = field(default_factory=list)
    ready: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # It was asked for, and something of its environment does not let it start.
    waits: bool = False

    @property
    def active(self) -> bool:
        return bool(self.endpoint.state == ENDPOINT_STATE_ACTIVE)

    @property
    def settled(self) -> bool:
        """Nothing is under way: everything wanted is ready and nothing else is there."""
        ready = all(self.scene.of(version).ready >= self.endpoint.replicas for version in self.wanted)
        return (
            self.active
            and (self.waits or not is_unfinished(self.rollout.state))
            and ready
            and set(self.scene.seen) <= set(self.wanted)
        )


class Controller:
    """platforms: by the driver's name, as environments name it."""

    def __init__(self, rooms: Rooms, platforms: Mapping[str, Platform]) -> None:
        self._rooms = rooms
        self._platforms = platforms
        self._traffics = tuple({id(one.traffic): one.traffic for one in platforms.values()}.values())
        self._windows = Windows()
        self._repairs = Repairs()
        self._recorded = 0

    async def run(self) -> None:
        """Turns for ever: at once after a fact, often while something is under way, every second otherwise."""
        try:
            while True:
                before = self._recorded
                settled = await self.turn()
                if self._recorded > before:
                    continue
                pause = _IDLE_SECONDS if settled else _BUSY_SECONDS
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._rooms.position.wait(self._rooms.position.revision + 1)
        finally:
            for platform in self._platforms.values():
                await platform.driver.close()

    async def turn(self) -> bool:
        """Looks at everything once and does what can be done now. Whether nothing is under way any more."""
        for keeper in {id(one.keeper): one.keeper for one in self._platforms.values()}.values():
            if keeper is not None:
                await keeper.ensure()
        await self._rooms.resources.wait(self._recorded)
        replicas = await self._observe()
        reached("controller.observed")
        work = await queries.work(self._rooms.pool)
        sights = list(await asyncio.gather(*(self._look(one, replicas) for one in work)))
        for sight in sights:
            if sight.environment.driver not in self._platforms:
                _log.error("driver_missing", driver=sight.environment.driver, endpoint=sight.endpoint.name)
        here = [sight for sight in sights if sight.environment.driver in replicas]
        await self._start(here)
        reached("controller.started")
        applied = await self._route(here, replicas)
        reached("controller.routed")
        await self._stop(here, replicas, applied)
        reached("controller.stopped")
        for sight in here:
            if (done := applied.get(sight.environment.driver)) is not None:
                await self._advance(sight, done, sights)
        await self._repair(sights, [one for found in replicas.values() for one in found])
        self._windows.forget({sight.rollout.name for sight in sights})
        return all(sight.settled and _routed(sight, applied) for sight in sights)

    async def _observe(self) -> dict[str, Sequence[Replica]]:
        """Replicas by driver. One whose platform does not answer is left out: what is there goes on as it is."""
        found: dict[str, Sequence[Replica]] = {}
        for name, platform in self._platforms.items():
            try:
                found[name] = await platform.driver.observe()
            except PlatformAway as away:
                _log.error("platform_away", driver=name, error=str(away))
        return found

    async def _look(self, one: queries.Work, replicas: Mapping[str, Sequence[Replica]]) -> Sight:
        resources = self._rooms.resources
        state = await resources.load(ENDPOINT, one.endpoint)
        environment = await resources.load(ENVIRONMENT, state.environment)
        rollout = await resources.load(ROLLOUT, one.rollout) if one.rollout else Rollout()
        retired = False
        if is_unfinished(rollout.state):
            retired = (await resources.load(KNOWN_VERSION, rollout.version)).retired
        on_platform = replicas.get(environment.driver, ())
        mine = [replica for replica in on_platform if replica.key.endpoint == one.endpoint]
        seen = {version: _seen(mine, version) for version in {replica.key.version for replica in mine}}
        sight = Sight(state, environment, rollout, Scene(self._rooms.clock(), seen, retired=retired))
        sight.wanted = wanted_versions(state, rollout, sight.scene)
        for replica in mine:
            if replica.state is State.READY:
                sight.ready[replica.key.version] = (*sight.ready.get(replica.key.version, ()), replica.address)
        return sight

    async def _start(self, sights: Iterable[Sight]) -> None:
        away: set[str] = set()
        for sight in sights:
            name, driver = sight.endpoint.name, sight.environment.driver
            for version in sight.wanted if driver not in away else ():
                known = await self._rooms.resources.load(KNOWN_VERSION, version)
                workload = workload_of(sight.endpoint, known, sight.environment)
                try:
                    changes = await self._platforms[driver].driver.apply(workload)
                except PlatformAway as error:  # Asking once more for each endpoint would hold up those elsewhere.
                    _log.error("platform_away", driver=driver, endpoint=name, version=version, error=str(error))
                    away.add(driver)
                    break
                except OSError as error:  # A full disk, too many processes: other endpoints go on, and this one later.
                    _log.error("replicas_not_started", endpoint=name, version=version, error=str(error))
                    continue
                served = version in {share.version for share in sight.endpoint.traffic}
                for what in (_healed(change, served=served) for change in changes):
                    if what:
                        self._repairs.found(name, what)

    async def _route(self, sights: Sequence[Sight], replicas: Mapping[str, object]) -> dict[str, Applied]:
        """What came of the routes, by driver; drivers whose traffic cannot be reached are left out."""
        done: dict[str, Applied] = {}
        for traffic in self._traffics:
            drivers = {name for name, one in self._platforms.items() if one.traffic is traffic}
            if not drivers <= replicas.keys():
                continue  # A table without the endpoints of whoever is away would take their routes down.
            mine = [sight for sight in sights if sight.environment.driver in drivers]
            try:
                applied = await traffic.apply(_table(mine))
            except PlatformAway as away:
                _log.error("traffic_away", drivers=sorted(drivers), error=str(away))
                continue
            done.update(dict.fromkeys(drivers, applied))
            for name, what in applied.repaired.items():
                self._repairs.found(name, what)
        return done

    async def _stop(
        self, sights: Iterable[Sight], replicas: Mapping[str, Sequence[Replica]], applied: Mapping[str, Applied]
    ) -> None:
        """Ends what nobody wants, once the gateway has had its last answer."""
        wanted = {Key(sight.endpoint.name, version) for sight in sights for version in sight.wanted}
        for name, done in applied.items():
            for key in {replica.key for replica in replicas.get(name, ())} - wanted:
                if cluster_of(*key) not in done.clusters:
                    try:
                        await self._platforms[name].driver.remove(key)
                    except PlatformAway as away:
                        _log.error("replicas_not_stopped", endpoint=key.endpoint, version=key.version, error=str(away))

    async def _advance(self, sight: Sight, applied: Applied, sights: Sequence[Sight]) -> None:
        """At most one fact about this endpoint."""
        name, rollout = sight.endpoint.name, sight.rollout
        if rollout.state == PENDING and sight.active:
            await self._take_up(sight, sights)
        elif is_unfinished(rollout.state):
            sight.scene = Scene(
                now=sight.scene.now,
                seen=sight.scene.seen,
                routed=name in applied.routed,
                window=await self._windows.of(rollout, cluster_of(name, rollout.version), self._traffic(sight)),
                retired=sight.scene.retired,
            )
            if move := next_move(sight.endpoint, rollout, sight.scene):
                await self._make(sight, move)
        elif not sight.active:
            if not sight.scene.seen and not any(one.startswith(_clusters_of(name)) for one in applied.clusters):
                await self._record(ENDPOINT, sight.endpoint, "remove", endpoint.finish_removal)
        elif sight.endpoint.address != (address := self._address(sight)):
            await self._record(ENDPOINT, sight.endpoint, "address", partial(endpoint.move, address=address))

    async def _take_up(self, sight: Sight, sights: Sequence[Sight]) -> None:
        """Starts a rollout, or says what holds it."""
        rollout, environment = sight.rollout, sight.environment
        version = await self._rooms.resources.load(KNOWN_VERSION, rollout.version)
        place = Place(sight.endpoint, sight.scene.now, _room_beside(sight, sights))
        move = start_move(rollout, environment, version, place)
        sight.waits = move is None
        if move is not None:
            reads = ((ENVIRONMENT, environment.name), (KNOWN_VERSION, rollout.version))
            await self._record(ROLLOUT, rollout, move.key, move.verb, reads)

    async def _make(self, sight: Sight, move: Move) -> None:
        if move.on_endpoint:
            reads = ((ROLLOUT, sight.rollout.name), (KNOWN_VERSION, sight.rollout.version))
            key = f"{sight.rollout.name}/{sight.rollout.generation}/{move.key}"
            await self._record(ENDPOINT, sight.endpoint, key, move.verb, reads)
        else:
            await self._record(ROLLOUT, sight.rollout, move.key, move.verb)

    def _traffic(self, sight: Sight) -> Traffic:
        return self._platforms[sight.environment.driver].traffic

    def _address(self, sight: Sight) -> str:
        platform = self._platforms[sight.environment.driver]
        return platform.address_of(sight.endpoint.name, sight.environment.driver_settings)

    async def _repair(self, sights: Iterable[Sight], replicas: Iterable[Replica]) -> None:
        """Records what was found different from the facts and is put right; once a minute for each endpoint."""
        by_name = {sight.endpoint.name: sight for sight in sights if sight.active}
        self._repairs.forget(by_name)
        self._repairs.look(replicas, {name: sight.wanted for name, sight in by_name.items()})
        for name, found in self._repairs.due():
            if await self._record(ENDPOINT, by_name[name].endpoint, "repair", partial(endpoint.repair, found=found)):
                self._repairs.recorded(name)

    async def _record(self, kind: Kind, state: Any, key: str, verb: Any, reads: Any = ()) -> bool:
        """One fact, decided on exactly this state. False when the state has moved on: the next turn looks again."""
        cause = Cause(
            actor=_ACTOR,
            request_id=f"controller/{state.name}/{state.generation}/{key}",
            now=self._rooms.clock(),
            correlation_id=state.name,
            etag=etag_of(state),
        )
        reached("controller.before-fact")
        try:
            decided = await self._rooms.transact(kind, state.name, cause, verb, reads=reads)
        except Refusal as refusal:
            _log.info("step_not_taken", step=key, resource=state.name, reason=refusal.reason, message=refusal.message)
            return False
        reached("controller.after-fact")
        self._recorded = max(self._recorded, decided.revision)
        if decided.recorded:
            _log.info("step_taken", step=key, resource=state.name, revision=decided.revision)
        return True


def _room_beside(sight: Sight, sights: Iterable[Sight]) -> Room:
    """What the other endpoints of its environment take; nobody asks where there is no quota."""
    room = Room()
    if sight.environment.HasField("quota"):
        for one in sights:
            if one.environment.name == sight.environment.name and one is not sight:
                room = room.plus(room_of(one.endpoint, one.rollout, one.environment))
    return room


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


def _healed(change: Change, *, served: bool) -> str:
    """What a change of the driver's says of somebody else's doing; empty when it was ours.

    served: the version has traffic, so all that it needs had been there.
    """
    if change.verb == "repair":
        return f"{change.what} was changed ({change.difference}) and is put right"
    if change.verb == "start" and served:
        return f"{change.what} was gone and is made again"
    return ""


def _routed(sight: Sight, applied: Mapping[str, Applied]) -> bool:
    done = applied.get(sight.environment.driver)
    return done is not None and sight.endpoint.name in done.routed


def _table(sights: Iterable[Sight]) -> Table:
    routes, clusters = {}, {}
    for sight in sights:
        name = sight.endpoint.name
        if not sight.active:
            continue
        weights = {cluster_of(name, share.version): share.percent for share in sight.endpoint.traffic}
        routes[name] = Route(name, weights, dict(sight.environment.driver_settings))
        for version in sight.wanted:
            cluster = cluster_of(name, version)
            if version in sight.ready or cluster in weights:
                clusters[cluster] = sight.ready.get(version, ())
    return Table(routes, clusters)


def _clusters_of(endpoint_name: str) -> str:
    _, project, _, id_ = endpoint_name.split("/")
    return f"{project}_{id_}_"
