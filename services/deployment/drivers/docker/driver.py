"""Replicas as containers of an engine, one image for each version on an endpoint.

Nothing is remembered that matters: names and labels follow from the key, and what is there is read from the engine.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from services.deployment.drivers.docker import compare
from services.deployment.drivers.docker.building import Building, Obstacle
from services.deployment.drivers.docker.errors import Refused
from services.deployment.drivers.docker.names import key_of_tag, replica_name
from services.deployment.drivers.docker.options import options_of
from services.deployment.drivers.docker.replicas import STEADY_SECONDS, Look, down, uptime_seconds
from services.deployment.drivers.docker.spec import GRPC, STOP_SECONDS, specs_of
from services.deployment.drivers.docker.world import World
from services.deployment.drivers.port import LOG_BYTES, Change, Key, Replica, State, Workload
from services.deployment.drivers.starts import Starts
from services.deployment.fetch import Unreachable, fetch

_READY_SECONDS = 2.0
_REFUSED_SECONDS = 10.0
_LAST_WORDS_BYTES = 4096


class DockerDriver:
    """The driver `docker`. Settings of an environment: see domain/driver_settings.py."""

    def __init__(self, world: World, building: Building) -> None:
        self._world = world
        self._building = building
        self._told_to_stop_at: dict[str, float] = {}
        # Restarts that the engine had counted when a container was last steady, and starts of our own, by container.
        self._steady_at: dict[str, int] = {}
        self._starts: dict[str, Starts] = {}
        self._problems: dict[Key, tuple[State, str, bool]] = {}
        self._last_words: dict[str, str] = {}

    async def plan(self, wanted: Iterable[Workload]) -> Sequence[Change]:
        await self._world.look()
        changes, replicas, keys = [], set(), set()
        for workload in wanted:
            keys.add(workload.key)
            for name, spec in self._specs(workload).items():
                replicas.add(name)
                if change := _change(name, self._world.container(name), spec):
                    changes.append(change)
        surplus = [look for look in self._world.containers if look.replica not in replicas or self._world.is_twin(look)]
        changes.extend(Change("stop", look.name) for look in surplus)
        changes.extend(Change("stop", tag) for tag in self._world.tags if self._key_of(tag) not in keys)
        return changes

    async def apply(self, workload: Workload) -> Sequence[Change]:
        await self._world.look()
        key, specs = workload.key, self._specs(workload)
        changes: list[Change] = []
        try:
            for look in self._world.of(key):
                if look.replica not in specs:
                    await self._end(look)
                elif self._world.is_twin(look):
                    await self._world.remove(look)
                    changes.append(Change("repair", look.name, f"a second {look.replica}"))
            for name, spec in specs.items():
                changes.extend(await self._ensure(workload, name, spec))
            await self._forget_images(key, but=next(iter(specs.values()))["Image"] if specs else "")
        except Refused as refused:
            self._problems[key] = State.DOWN, f"the engine refuses it: {refused}", False
        return changes

    async def _ensure(self, workload: Workload, name: str, spec: Mapping[str, Any]) -> Sequence[Change]:
        look = self._world.container(name)
        if look is not None and not compare.is_of(look.facts, spec):
            if not await self._end(look):
                return ()
            look = None
        if look is None:
            if await self._has_image(workload, spec["Image"]):
                await self._world.create(name, spec, network=spec["HostConfig"]["NetworkMode"])
                await self._world.engine.start(name)
            return ()
        if why := compare.beyond_repair(look.facts, spec):
            await self._world.remove(look)  # The next turn makes it anew.
            return (Change("repair", name, why),)
        if not look.alive:
            await self._revive(workload, look, spec["Image"])
            return ()
        if look.id in self._told_to_stop_at:  # Its end was begun, and it is wanted once more.
            await self._end(look)
            return ()
        if uptime_seconds(look, datetime.now(UTC)) > STEADY_SECONDS:
            self._steady_at[look.id] = look.restarts
            self._starts.pop(look.id, None)
        self._problems.pop(workload.key, None)
        return await self._world.put_right(look, spec)

    async def _revive(self, workload: Workload, look: Look, tag: str) -> None:
        """The engine starts again what ended by itself. We start what was told to end, and slowly what is refused."""
        if look.status == "restarting":
            if look.refused:
                await self._world.halt(look)
            return
        if look.status == "removing":
            return
        if look.refused and (datetime.now(UTC) - look.finished).total_seconds() < _REFUSED_SECONDS:
            return
        starts = Starts() if self._told_to_stop_at.pop(look.id, 0.0) else self._starts.get(look.id, Starts())
        if starts.wait_seconds(time.time()) or not await self._has_image(workload, tag):
            return
        self._starts[look.id] = Starts(starts.count + 1, time.time())
        await self._world.start(look)

    async def _has_image(self, workload: Workload, tag: str) -> bool:
        """Whether a replica may be started now; what is in the way is shown."""
        outcome = await self._building.ready(workload, options_of(workload.settings, self._world.installation), tag)
        if isinstance(outcome, Obstacle):
            state = State.REFUSED if outcome.artifact else State.DOWN
            self._problems[workload.key] = state, outcome.text, outcome.artifact
        else:
            self._problems.pop(workload.key, None)
        return outcome is True

    async def observe(self) -> Sequence[Replica]:
        await self._world.look(afresh=True)
        looks = [look for look in self._world.containers if not self._world.is_twin(look)]
        self._keep_only({look.id for look in looks})
        replicas = list(await asyncio.gather(*(self._seen(look) for look in looks)))
        with_containers = {look.key for look in looks}
        return [*replicas, *(self._without(key) for key in sorted(self._remains() - with_containers))]

    def _remains(self) -> set[Key]:
        """Keys of which there is something, if only trouble."""
        tags = {key for key in map(self._key_of, self._world.tags) if key is not None}
        return tags | self._problems.keys() | self._building.under_way()

    def _without(self, key: Key) -> Replica:
        """Stands for a key that has no container: what is in its way, or what is left of it."""
        name = replica_name(self._world.installation.name, key, 0)
        if key in self._building.under_way():
            return Replica(name, key, State.STARTING, problem="its image is being built")
        left = State.DOWN, "no container yet, or no more: there is only its image", False
        state, problem, artifact = self._problems.get(key, left)
        return Replica(name, key, state, problem=problem, artifact=artifact)

    async def _seen(self, look: Look) -> Replica:
        restarts = max(look.restarts - self._steady_at.get(look.id, 0), 0)
        if not look.alive:
            state, problem, artifact = self._problems.get(look.key, (State.DOWN, "", False))
            if state is State.REFUSED:
                return Replica(look.replica, look.key, state, problem=problem, artifact=artifact, run=look.run)
            words = await self._words(look) if look.refused else ""
            return down(look, restarts, last_words=words)
        seen = partial(Replica, look.replica, look.key, address=look.address(), run=look.run, restarts=restarts)
        if look.id in self._told_to_stop_at:
            return seen(State.STOPPING)
        if look.status == "paused":
            return seen(State.DOWN, problem=f"{look.replica} is paused")
        if not look.address():
            return seen(State.STARTING, problem="its port is not published")
        try:
            status, _ = await fetch(look.address(), "/v2/health/ready", timeout=_READY_SECONDS)
        except Unreachable as error:
            return seen(State.STARTING, problem=str(error))
        seen = partial(seen, grpc_address=look.address(GRPC))
        return seen(State.READY) if status == 200 else seen(State.STARTING, problem=f"ready: {status}")

    async def _words(self, look: Look) -> str:
        """The last line of what a replica printed before it refused."""
        if look.run not in self._last_words:
            text = await self._world.engine.log(look.id, _LAST_WORDS_BYTES)
            self._last_words[look.run] = (text.strip().splitlines() or [""])[-1]
        return self._last_words[look.run]

    async def drain(self, key: Key) -> None:
        await self._world.look()
        for look in self._world.of(key):
            if look.alive or look.status == "restarting":
                await self._end(look, keep=True)

    async def remove(self, key: Key) -> None:
        await self._world.look()
        self._building.forget(key)
        gone = [await self._end(look) for look in self._world.of(key)]
        if all(gone):
            self._problems.pop(key, None)
            await self._forget_images(key, but="")

    async def logs(self, key: Key) -> Mapping[str, str]:
        await self._world.look(afresh=True)
        looks = self._world.of(key)
        texts = await asyncio.gather(*(self._world.engine.log(look.id, LOG_BYTES) for look in looks))
        return {look.replica: text for look, text in zip(looks, texts, strict=True)}

    async def close(self) -> None:
        await self._building.close()
        await self._world.engine.close()

    async def end(self) -> None:
        """Ends every replica and takes it away, for a service that ends and shall leave nothing behind."""
        while replicas := await self.observe():
            for key in {replica.key for replica in replicas}:
                await self.remove(key)
            await asyncio.sleep(0.05)

    async def _end(self, look: Look, *, keep: bool = False) -> bool:
        """SIGTERM once, SIGKILL when that was of no use for long; takes away what has ended. Whether it is gone."""
        if look.alive:
            since = self._told_to_stop_at.get(look.id)
            if since is None:
                await self._world.engine.signal(look.id, "SIGTERM")
                self._told_to_stop_at[look.id] = time.monotonic()
            elif time.monotonic() - since > STOP_SECONDS:
                await self._world.engine.signal(look.id, "SIGKILL")
            self._world.changed()
            return False
        if keep:
            await self._world.halt(look)
            return False
        await self._world.remove(look)
        return True

    async def _forget_images(self, key: Key, *, but: str) -> None:
        for tag in self._world.tags:
            if tag != but and self._key_of(tag) == key:
                await self._world.forget_image(tag)

    def _specs(self, workload: Workload) -> dict[str, dict[str, Any]]:
        return specs_of(workload, options_of(workload.settings, self._world.installation), self._world.installation)

    def _key_of(self, tag: str) -> Key | None:
        return key_of_tag(self._world.installation.name, tag)

    def _keep_only(self, containers: set[str]) -> None:
        self._told_to_stop_at = {one: at for one, at in self._told_to_stop_at.items() if one in containers}
        self._steady_at = {one: count for one, count in self._steady_at.items() if one in containers}
        self._starts = {one: starts for one, starts in self._starts.items() if one in containers}


def _change(name: str, look: Look | None, spec: Mapping[str, Any]) -> Change | None:
    if look is None or not (look.alive or compare.is_of(look.facts, spec)):
        return Change("start", name)
    if not compare.is_of(look.facts, spec):
        return Change("replace", name)
    if why := compare.beyond_repair(look.facts, spec):
        return Change("repair", name, why)
    if not look.alive:
        return Change("start", name)
    if changed := compare.limits_changed(look.facts, spec):
        return Change("repair", name, compare.in_words(changed, look.facts))
    if look.status == "paused":
        return Change("repair", name, "it is paused")
    return Change("repair", name, f"it is called {look.name}") if look.name != name else None
