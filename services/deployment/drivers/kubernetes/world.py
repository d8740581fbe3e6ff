"""What a cluster has of ours, and the writes on it. Driver and traffic look at the same world."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kernel.logs import structlog
from services.deployment.drivers.kubernetes.compare import change_of
from services.deployment.drivers.kubernetes.errors import Refused
from services.deployment.drivers.kubernetes.kinds import ALL, BY_NAME, ApiKind
from services.deployment.drivers.kubernetes.mirror import Mirror
from services.deployment.drivers.kubernetes.names import Manifest, selector
from services.deployment.drivers.kubernetes.options import Installation
from services.deployment.drivers.port import Change

if TYPE_CHECKING:
    from services.deployment.drivers.kubernetes.api import Api  # It needs the extra `kubernetes`.

_log = structlog.get_logger()
_FIRST_LIST_SECONDS = 5.0
_CONFLICT = 409


class World:
    """The namespaces of an installation, watched from the first look on until `close`."""

    def __init__(self, api: Api, installation: Installation) -> None:
        self.api = api
        self.installation = installation
        self._mirrors: dict[tuple[str, str], Mirror] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def look(self) -> None:
        """Returns when everything is known as it is about now. PlatformAway."""
        if not self._tasks:
            self._begin()
        for task in self._tasks:
            if task.done():
                task.result()
        await asyncio.gather(*(mirror.ready(_FIRST_LIST_SECONDS) for mirror in self._mirrors.values()))

    def _begin(self) -> None:
        found = selector(self.installation)
        self._mirrors = {
            (kind.name, namespace): Mirror(self.api, kind, namespace, found)
            for kind in ALL
            for namespace in self.installation.namespaces
        }
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(mirror.run()) for mirror in self._mirrors.values()]

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._mirrors = {}
        await self.api.close()

    def all(self, *kinds: ApiKind) -> Iterator[tuple[ApiKind, Manifest]]:
        """Every object of these kinds, in all namespaces."""
        for kind in kinds:
            for (name, _), mirror in self._mirrors.items():
                if name == kind.name:
                    for live in list(mirror.objects.values()):
                        yield kind, live

    def get(self, manifest: Manifest) -> Manifest | None:
        """The live object of a manifest."""
        mirror = self._mirrors.get((manifest["kind"], manifest["metadata"]["namespace"]))
        return mirror.objects.get(manifest["metadata"]["name"]) if mirror else None

    def change(self, manifest: Manifest) -> Change | None:
        return change_of(manifest, self.get(manifest))

    async def ensure(self, manifest: Manifest) -> tuple[Change, ...]:
        """Makes the object as the manifest wants it; what that took, if anything. Refused, PlatformAway."""
        change = self.change(manifest)
        if change is None:
            return ()
        try:
            live = await self.api.apply(manifest)
        except Refused as refused:
            if refused.status != _CONFLICT:
                raise
            # Somebody else says that a field of ours is theirs. What a manifest holds is ours; theirs is the rest.
            _log.warning("fields_taken_back", what=change.what, conflict=str(refused))
            live = await self.api.apply(manifest, force=True)
        self._mirrors[manifest["kind"], manifest["metadata"]["namespace"]].put(live)
        _log.info("applied", verb=change.verb, what=change.what, difference=change.difference)
        return (change,)

    async def delete(self, kind: ApiKind, live: Manifest) -> None:
        await self.api.delete(BY_NAME[kind.name], live)
        self._mirrors[kind.name, live["metadata"]["namespace"]].drop(live)
        _log.info("deleted", what=f"{kind.name} {live['metadata']['name']}")
