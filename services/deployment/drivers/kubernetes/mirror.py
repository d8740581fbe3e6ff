"""What a cluster has of one kind in one namespace, kept up to date by a watch that goes on where it was."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from kernel.logs import structlog
from services.deployment.drivers.kubernetes.errors import Expired, Refused
from services.deployment.drivers.kubernetes.kinds import ApiKind
from services.deployment.drivers.kubernetes.names import Manifest
from services.deployment.drivers.port import PlatformAway

if TYPE_CHECKING:
    from services.deployment.drivers.kubernetes.api import Api  # It needs the extra `kubernetes`.

_log = structlog.get_logger()
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# How long the API may be away before what we know of it counts as unknown.
_STALE_SECONDS = 10.0
_ABSENT_SECONDS = 30.0
_NOT_FOUND = 404


class Mirror:
    """Objects by name. A revision only ever grows, so what comes late never replaces what is newer."""

    def __init__(self, api: Api, kind: ApiKind, namespace: str, selector: str) -> None:
        self._api = api
        self._kind = kind
        self._namespace = namespace
        self._selector = selector
        self._objects: dict[str, Manifest] = {}
        self._listed = asyncio.Event()
        self._failing_since = 0.0
        self._problem = "not listed yet"
        self._newest = ""
        self.lists = 0

    @property
    def objects(self) -> dict[str, Manifest]:
        return self._objects

    @property
    def known(self) -> bool:
        """Whether it has been listed, and nothing stands in the way of its watch."""
        return self._listed.is_set() and not self._failing_since

    async def ready(self, seconds: float) -> None:
        """Returns once it has been listed. PlatformAway when it has not within so long, or has failed for too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._listed.wait()
        except TimeoutError:
            raise PlatformAway(f"{self._kind.plural} of {self._namespace}: {self._problem}") from None
        if self._failing_since and time.monotonic() - self._failing_since > _STALE_SECONDS:
            raise PlatformAway(f"{self._kind.plural} of {self._namespace}: {self._problem}")

    def put(self, live: Manifest) -> None:
        """What a write of our own has answered, so that we see it before the watch brings it."""
        name = live["metadata"]["name"]
        known = self._objects.get(name)
        if known is None or _revision(live) >= _revision(known):
            self._objects[name] = live

    def drop(self, live: Manifest) -> None:
        """What we have deleted ourselves; what was made anew under its name stays."""
        name, uid = live["metadata"]["name"], live["metadata"]["uid"]
        if name in self._objects and self._objects[name]["metadata"]["uid"] == uid:
            del self._objects[name]

    async def run(self) -> None:
        """Lists, then watches, for ever."""
        revision, pause = "", _FIRST_PAUSE_SECONDS
        while True:
            try:
                if not revision:
                    revision = await self._list()
                revision = await self._watch(revision)
                self._failing_since, pause = 0.0, _FIRST_PAUSE_SECONDS
                await asyncio.sleep(_FIRST_PAUSE_SECONDS)  # A server that ends every watch at once is not run over.
            except Expired:
                revision = ""
            except (PlatformAway, Refused) as error:
                if self._absent(error):
                    revision = ""
                    await asyncio.sleep(_ABSENT_SECONDS)
                    continue
                self._problem = str(error)
                self._failing_since = self._failing_since or time.monotonic()
                _log.warning("watch_lost", kind=self._kind.plural, namespace=self._namespace, error=str(error))
                revision = self._newest or revision
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _absent(self, error: Exception) -> bool:
        """Whether the cluster does not have this kind at all, which is as good as having none of it."""
        if not (self._kind.optional and isinstance(error, Refused) and error.status == _NOT_FOUND):
            return False
        self._objects = {}
        self._failing_since = 0.0
        self._listed.set()
        return True

    async def _list(self) -> str:
        items, revision = await self._api.list(self._kind, self._namespace, self._selector)
        self.lists += 1
        objects = {one["metadata"]["name"]: one for one in items}
        # What we have made after the list was made is not in it.
        newer = {name: one for name, one in self._objects.items() if _revision(one) > _number(revision)}
        self._objects = objects | newer
        self._newest = revision
        self._failing_since = 0.0
        self._listed.set()
        return revision

    async def _watch(self, revision: str) -> str:
        """Follows until the server ends the watch; the revision to go on from."""
        self._newest = revision
        async for verb, live in self._api.watch(self._kind, self._namespace, self._selector, revision):
            self._failing_since = 0.0
            self._newest = live["metadata"]["resourceVersion"]
            name = live["metadata"].get("name", "")
            known = self._objects.get(name)
            late = known is not None and _revision(live) < _revision(known)
            if verb == "BOOKMARK" or late:
                continue
            if verb == "DELETED":
                self._objects.pop(name, None)
            else:
                self._objects[name] = live
        return self._newest


def _revision(live: Manifest) -> int:
    return _number(live["metadata"]["resourceVersion"])


def _number(revision: str) -> int:
    """Revisions of one kind are compared as numbers, which the API promises since Kubernetes 1.35 and always held."""
    return int(revision) if revision.isdigit() else 0
