"""What is on the engine, as of a moment ago, and what is done to it."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from services.deployment.drivers.docker import compare
from services.deployment.drivers.docker.engine import Engine
from services.deployment.drivers.docker.names import INSTALLATION, Facts, key_of_tag
from services.deployment.drivers.docker.options import Installation
from services.deployment.drivers.docker.replicas import Look
from services.deployment.drivers.port import Change, Key, PlatformAway

# One look serves a whole turn of the controller, however many endpoints it has.
_FRESH_SECONDS = 0.5
_GO_BY = (
    *(("State", name) for name in ("Status", "ExitCode", "StartedAt", "FinishedAt")),
    *(("Config", "Cmd"), ("NetworkSettings", "Networks")),
)


class World:
    """Containers and tags of this installation; each call of `look` sees anew what was changed or has become old."""

    def __init__(self, engine: Engine, installation: Installation) -> None:
        self.engine = engine
        self.installation = installation
        self.containers: Sequence[Look] = ()
        self.tags: Sequence[str] = ()
        self._by_replica: dict[str, Look] = {}
        self._looked_at = float("-inf")
        self._networks: set[str] = set()

    async def look(self, *, afresh: bool = False) -> None:
        if not afresh and time.monotonic() - self._looked_at < _FRESH_SECONDS:
            return
        began = time.monotonic()
        label = f"{INSTALLATION}={self.installation.name}"
        try:
            looks = [Look(one) for one in await self.engine.containers(label)]
            # One that was renamed stands for its replica, unless there is one of the right name.
            looks.sort(key=lambda look: (look.replica, look.name != look.replica, look.id))
            tags = [tag for one in await self.engine.images(label) for tag in one.get("RepoTags") or ()]
            _complete(looks)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlatformAway(f"the engine's answer makes no sense: {error!r}") from error
        self.containers = looks
        self.tags = sorted(tag for tag in tags if key_of_tag(self.installation.name, tag) is not None)
        self._by_replica = {look.replica: look for look in reversed(looks)}
        self._looked_at = began

    def changed(self) -> None:
        self._looked_at = float("-inf")

    def container(self, replica: str) -> Look | None:
        return self._by_replica.get(replica)

    def is_twin(self, look: Look) -> bool:
        """Whether another container stands for its replica already."""
        return self._by_replica[look.replica].id != look.id

    def of(self, key: Key) -> list[Look]:
        return [look for look in self.containers if look.key == key]

    async def create(self, name: str, spec: Mapping[str, Any], *, network: str) -> None:
        self.changed()
        await self.engine.ensure_network(network, {INSTALLATION: self.installation.name})
        await self.engine.create(name, spec)

    async def start(self, look: Look) -> None:
        self.changed()
        await self.engine.start(look.id)

    async def remove(self, look: Look) -> None:
        self.changed()
        await self.engine.remove(look.id)

    async def halt(self, look: Look) -> None:
        self.changed()
        await self.engine.halt(look.id)

    async def forget_image(self, tag: str) -> None:
        self.changed()
        await self.engine.forget_image(tag)

    async def put_right(self, look: Look, spec: Mapping[str, Any]) -> list[Change]:
        """What somebody has changed of a running container, and can be put right while it runs."""
        changes = []
        if changed := compare.limits_changed(look.facts, spec):
            await self.engine.update(look.id, changed)
            changes.append(Change("repair", look.replica, compare.in_words(changed, look.facts)))
        if look.status == "paused":
            await self.engine.resume(look.id)
            changes.append(Change("repair", look.replica, "it is paused"))
        if look.name != look.replica:
            await self.engine.rename(look.id, look.replica)
            changes.append(Change("repair", look.replica, f"it is called {look.name}"))
        if changes:
            self.changed()
        return changes


def _complete(looks: Sequence[Look]) -> None:
    """Raises where the engine has left out what we go by: half an answer must not be taken for no replicas."""
    for look in looks:
        one: Facts = look.facts
        for part, name in _GO_BY:
            one[part][name]
        one["Name"], one["HostConfig"]["RestartPolicy"]["Name"]
