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
from services.deployment.drivers.kubernetes.names import APPLIED, Manifest, selector
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
        # (digest of the manifest, revision of the object) that were found to say the same.
        self._same: dict[tuple[str, str, str], tuple[str, str]] = {}

    async def look(self) -> None:
        """Returns when everything is known as it is about now. PlatformAway."""
        if not self._tasks:
            self._begin()
        for task in self._tasks:
            if task.done():
                task.result()
        unknown = [mirror for mirror in self._mirrors.values() if not mirror.known]
        if unknown:
            await asyncio.gather(*(mirror.ready(_FIRST_LIST_SECONDS) for mirror in unknown))

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

    def named(self, name: str, *kinds: ApiKind) -> Iterator[tuple[ApiKind, Manifest]]:
        """The objects of these kinds that have a name, in all namespaces."""
        for kind in kinds:
            for namespace in self.installation.namespaces:
                mirror = self._mirrors.get((kind.name, namespace))
                if mirror is not None and (live := mirror.objects.get(name)) is not None:
                    yield kind, live

    def change(self, manifest: Manifest) -> Change | None:
        """What applying the manifest would do; None when there is nothing to do. Cheap while nothing happens."""
        live, meta = self.get(manifest), manifest["metadata"]
        if live is None:
            return change_of(manifest, None)
        which = manifest["kind"], meta["namespace"], meta["name"]
        looked_at = meta["annotations"][APPLIED], live["metadata"]["resourceVersion"]
        if self._same.get(which) == looked_at:
            return None
        change = change_of(manifest, live)
        if change is None:
            self._same[which] = looked_at
        return change

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
        self._same.pop((kind.name, live["metadata"]["namespace"], live["metadata"]["name"]), None)
        self._mirrors[kind.name, live["metadata"]["namespace"]].drop(live)
        _log.info("deleted", what=f"{kind.name} {live['metadata']['name']}")
