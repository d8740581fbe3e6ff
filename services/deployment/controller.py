"""Closes the difference between what the facts want and what the platform does, and records every step as a fact.

It keeps no state that matters: each turn begins with the facts as folded and the platform as observed, so it may be
killed at any line. What it records it records under request ids made of the state it decided on, so that a step taken
twice is recorded once.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from prometheus_client import Counter

from kernel.logs import structlog
from kernel.rooms import Rooms
from services.deployment import queries
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_MONITOR, KNOWN_VERSION, ROLLOUT, endpoint
from services.deployment.domain.conduct import Move, Scene, next_move
from services.deployment.domain.starting import Place, start_move
from services.deployment.domain.states import PENDING, is_unfinished
from services.deployment.drivers.port import Key, PlatformAway, Replica, Workload
from services.deployment.failpoints import reached
from services.deployment.gateway import grpc
from services.deployment.gateway.config import Table, cluster_of
from services.deployment.gateway.envoy import Applied
from services.deployment.looking import Looking, observed
from services.deployment.platforms import Platform, Traffic
from services.deployment.recorder import Recorder
from services.deployment.repairs import Repairs
from services.deployment.shadowing import Shadows
from services.deployment.sights import Sight, clusters_of, is_routed, joined, room_beside, table_of
from services.deployment.windows import Windows
from services.deployment.workloads import workload_of

_log = structlog.get_logger()
FAILED_ROLLBACKS = Counter("modelog_rollback_failures_total", "Attempts to go back that have failed; each is an alarm.")
_BUSY_SECONDS = 0.2
_IDLE_SECONDS = 1.5
# At rest the facts of others are looked through this often at most.
_GLANCE_SECONDS = 0.1


class Controller:
    """platforms: by the driver's name, as environments name it."""

    def __init__(self, rooms: Rooms, platforms: Mapping[str, Platform]) -> None:
        self._rooms = rooms
        self._platforms = platforms
        self._traffics = tuple({id(one.traffic): one.traffic for one in platforms.values()}.values())
        self._windows = Windows(partial(rooms.resources.load, KNOWN_MONITOR))
        self._shadows = Shadows(rooms)
        self._repairs = Repairs()
        self._looking = Looking(rooms)
        # Of each driver, as last known: what is away goes on as it was, and holds up nobody it shares traffic with.
        self._tables: dict[str, Table] = {}
        self._recorder = Recorder(rooms)
        self._looked_at = 0

    async def run(self) -> None:
        """Turns for ever: at once after a fact, often while something is under way, seldom otherwise."""
        try:
            while True:
                before = self._recorder.revision
                settled = await self.turn()
                if self._recorder.revision > before:
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_SECONDS if settled else _BUSY_SECONDS):
                        await self._news(settled=settled)
        finally:
            await self._shadows.close()
            for platform in self._platforms.values():
                await platform.driver.close()

    async def _news(self, *, settled: bool) -> None:
        """Returns after a fact; where nothing is under way, after one of an endpoint. Most facts are of others."""
        while True:
            await self._rooms.position.wait(self._looked_at + 1)
            self._looked_at = self._rooms.position.revision
            if not (settled and self._looking.rest.unchanged(await queries.work(self._rooms.pool))):
                return
            await asyncio.sleep(_GLANCE_SECONDS)

    async def turn(self) -> bool:
        """Looks at everything once and does what can be done now. Whether nothing is under way any more."""
        self._looked_at = max(self._rooms.position.revision, self._recorder.revision)
        for keeper in {id(one.keeper): one.keeper for one in self._platforms.values()}.values():
            if keeper is not None:
                await keeper.ensure()
        await self._rooms.resources.wait(self._recorder.revision)
        replicas = await observed(self._platforms)
        reached("controller.observed")
        work = await queries.work(self._rooms.pool)
        sights = await self._looking.all(work, replicas)
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
        await self._repair(sights, replicas)
        newest = {sight.rollout.name for sight in sights}
        self._windows.forget(newest)
        await self._shadows.forget(newest)
        return all(sight.settled and is_routed(sight, applied) for sight in sights)

    async def _start(self, sights: Iterable[Sight]) -> None:
        away: set[str] = set()
        for sight in sights:
            driver = sight.environment.driver
            if driver in away or self._looking.rest.skips(sight.endpoint.name):
                continue
            for workload in await self._workloads(sight):
                # Fewer than there are: the surplus goes when the gateway has let go of it.
                if driver not in away and sight.surplus(workload.key.version) <= 0:
                    await self._apply(sight, workload, away)

    async def _apply(self, sight: Sight, workload: Workload, away: set[str]) -> None:
        """Tells the driver; one that does not answer is put among those that are away."""
        driver, (name, version) = sight.environment.driver, workload.key
        try:
            changes = await self._platforms[driver].driver.apply(workload)
        except PlatformAway as error:  # Asking once more for each endpoint would hold up those elsewhere.
            _log.error("platform_away", driver=driver, endpoint=name, version=version, error=str(error))
            away.add(driver)
            return
        except OSError as error:  # A full disk, too many processes: other endpoints go on, and this one later.
            _log.error("replicas_not_started", endpoint=name, version=version, error=str(error))
            return
        served = version in {share.version for share in sight.endpoint.traffic}
        for change in changes:
            self._repairs.changed(name, change, served=served)

    async def _workloads(self, sight: Sight) -> Sequence[Workload]:
        """What shall run; made once for a sight, which lives as long as nothing changes that it was made from."""
        if len(sight.workloads) != len(sight.wanted):
            sight.workloads = []
            for version, count in sight.wanted.items():
                known = await self._rooms.resources.load(KNOWN_VERSION, version)
                sight.workloads.append(replace(workload_of(sight.endpoint, known, sight.environment), replicas=count))
        return sight.workloads

    async def _route(self, sights: Sequence[Sight], replicas: Mapping[str, object]) -> dict[str, Applied]:
        """What came of the routes, by driver; drivers whose traffic cannot be reached are left out."""
        done: dict[str, Applied] = {}
        for traffic in self._traffics:
            drivers = {name for name, one in self._platforms.items() if one.traffic is traffic}
            present = drivers & replicas.keys()
            for name in present:
                self._tables[name] = table_of(sight for sight in sights if sight.environment.driver == name)
            if not present or not drivers <= self._tables.keys():
                continue  # A table without the endpoints of whoever is away would take their routes down.
            try:
                applied = await traffic.apply(joined(self._tables[name] for name in drivers))
            except PlatformAway as away:
                _log.error("traffic_away", drivers=sorted(drivers), error=str(away))
                continue
            done.update(dict.fromkeys(drivers, applied))
            for name, what in applied.repaired.items():
                self._repairs.found(name, what)
        return done

    async def _stop(
        self, sights: Sequence[Sight], replicas: Mapping[str, Sequence[Replica]], applied: Mapping[str, Applied]
    ) -> None:
        """Ends what nobody wants, once the gateway has had its last answer; and surplus, which it no longer asks."""
        away: set[str] = set()
        for sight in sights:
            driver = sight.environment.driver
            if driver not in applied or not any(sight.surplus(version) > 0 for version in sight.wanted):
                continue
            for workload in await self._workloads(sight):
                asked = grpc.with_beside([cluster_of(*workload.key)]) & applied[driver].behind
                if driver not in away and not asked and sight.surplus(workload.key.version) > 0:
                    await self._apply(sight, workload, away)
        wanted = {Key(sight.endpoint.name, version) for sight in sights for version in sight.wanted}
        for name, done in applied.items():
            for key in {replica.key for replica in replicas.get(name, ())} - wanted:
                if not grpc.with_beside([cluster_of(*key)]) & done.clusters:
                    try:
                        await self._platforms[name].driver.remove(key)
                    except PlatformAway as error:
                        _log.error("replicas_not_stopped", endpoint=key.endpoint, version=key.version, error=str(error))

    async def _advance(self, sight: Sight, applied: Applied, sights: Sequence[Sight]) -> None:
        """At most one fact about this endpoint."""
        name, rollout = sight.endpoint.name, sight.rollout
        if rollout.state == PENDING and sight.active:
            await self._take_up(sight, sights)
        elif is_unfinished(rollout.state):
            window = await self._windows.of(rollout, self._traffic(sight), sight.scene.now)
            sight.scene = Scene(
                now=sight.scene.now,
                seen=sight.scene.seen,
                routed=name in applied.routed,
                window=window,
                retired=sight.scene.retired,
                comparison=await self._shadows.of(rollout, window),
            )
            if move := next_move(sight.endpoint, rollout, sight.scene):
                await self._make(sight, move)
        elif not sight.active:
            if not sight.scene.seen and not any(one.startswith(clusters_of(name)) for one in applied.clusters):
                await self._recorder.record(ENDPOINT, sight.endpoint, "remove", endpoint.finish_removal)
        elif sight.endpoint.address != (address := self._address(sight)):
            await self._recorder.record(ENDPOINT, sight.endpoint, "address", partial(endpoint.move, address=address))

    async def _take_up(self, sight: Sight, sights: Sequence[Sight]) -> None:
        """Starts a rollout, or says what holds it."""
        rollout, environment = sight.rollout, sight.environment
        version = await self._rooms.resources.load(KNOWN_VERSION, rollout.version)
        place = Place(sight.endpoint, sight.scene.now, room_beside(sight, sights))
        move = start_move(rollout, environment, version, place)
        sight.waits = move is None
        if move is not None:
            reads = ((ENVIRONMENT, environment.name), (KNOWN_VERSION, rollout.version))
            await self._recorder.record(ROLLOUT, rollout, move.key, move.verb, reads)

    async def _make(self, sight: Sight, move: Move) -> None:
        if move.on_endpoint:
            reads = ((ROLLOUT, sight.rollout.name), (KNOWN_VERSION, sight.rollout.version))
            key = f"{sight.rollout.name}/{sight.rollout.generation}/{move.key}"
            await self._recorder.record(ENDPOINT, sight.endpoint, key, move.verb, reads)
            return
        if await self._recorder.record(ROLLOUT, sight.rollout, move.key, move.verb) and move.key == "fail-rollback":
            FAILED_ROLLBACKS.inc()
            attempt = sight.rollout.rollback_attempts + 1
            _log.error("rollback_failed", rollout=sight.rollout.name, endpoint=sight.endpoint.name, attempt=attempt)

    def _traffic(self, sight: Sight) -> Traffic:
        return self._platforms[sight.environment.driver].traffic

    def _address(self, sight: Sight) -> str:
        platform = self._platforms[sight.environment.driver]
        return platform.address_of(sight.endpoint.name, sight.environment.driver_settings)

    async def _repair(self, sights: Iterable[Sight], replicas: Mapping[str, Sequence[Replica]]) -> None:
        """Records what was found different from the facts and is put right; once a minute for each endpoint.

        replicas: by driver; of endpoints whose platform does not answer nothing can be told yet.
        """
        active = {sight.endpoint.name: sight for sight in sights if sight.active}
        wanted = {name: sight.wanted for name, sight in active.items() if sight.environment.driver in replicas}
        self._repairs.forget(active)
        found_now = (one for found in replicas.values() for one in found)
        self._repairs.look(found_now, wanted, active.keys() - wanted.keys())
        for name, found in self._repairs.due():
            if name not in wanted:
                continue
            if await self._recorder.record(
                ENDPOINT, active[name].endpoint, "repair", partial(endpoint.repair, found=found)
            ):
                self._repairs.recorded(name)
