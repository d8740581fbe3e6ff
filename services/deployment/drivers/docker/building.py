"""Images, made beside the turns of the controller: a large model takes longer than a turn may."""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.deployment.artifacts import NotInStore, locate
from services.deployment.drivers.docker.engine import Engine
from services.deployment.drivers.docker.errors import NotBuilt, Refused
from services.deployment.drivers.docker.image import pack
from services.deployment.drivers.docker.names import DIGEST
from services.deployment.drivers.docker.options import Installation, Options
from services.deployment.drivers.port import Key, PlatformAway, Workload
from services.deployment.inference.order import ArtifactRefused

# So long a turn waits for an image; small ones are made within it.
_TURN_SECONDS = 0.5
_AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Obstacle:
    """Why there is no image. artifact: its bytes are not the approved ones, or are not there."""

    text: str
    artifact: bool = False


@dataclass
class _Making:
    task: asyncio.Task[None]
    since: float = field(default_factory=time.monotonic)


class Building:
    """Makes sure of the images of workloads, and of their artifacts. folder: for archives on their way; of its own."""

    def __init__(self, engine: Engine, installation: Installation, *, store: Path, folder: Path) -> None:
        self._engine = engine
        self._installation = installation
        self._store = store.absolute()
        self._folder = folder
        self._making: dict[tuple[Key, str], _Making] = {}
        self._verified: dict[Path, tuple[object, str]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.tar"):  # Of a process that died over it.
            left.unlink(missing_ok=True)

    def under_way(self) -> set[Key]:
        return {key for (key, _), one in self._making.items() if not one.task.done()}

    async def ready(self, workload: Workload, options: Options, tag: str) -> Obstacle | bool | None:
        """True: the image is there and the artifact is the approved one; None: it is being made; or what is in the way.

        What was in the way is tried again every ten seconds. PlatformAway.
        """
        making = self._making.get((workload.key, tag))
        if making is not None and making.task.done() and _stale(making):
            making = None
        if making is None:
            made = asyncio.create_task(self._make(workload, options, tag))
            making = self._making[workload.key, tag] = _Making(made)
        await asyncio.wait([making.task], timeout=_TURN_SECONDS)
        if not making.task.done():
            return None
        return self._outcome(workload.key, tag, making)

    def _outcome(self, key: Key, tag: str, making: _Making) -> Obstacle | bool:
        error = making.task.exception()
        if isinstance(error, NotInStore | ArtifactRefused):
            return Obstacle(str(error), artifact=True)
        if isinstance(error, NotBuilt | Refused | OSError):
            return Obstacle(f"the image {tag} is not built: {error}")
        del self._making[key, tag]  # Whoever starts one more replica has it all looked at anew.
        if error is not None:
            raise error
        return True

    async def _make(self, workload: Workload, options: Options, tag: str) -> None:
        artifact = locate(workload.uri, workload.sha256, self._store)
        there = await self._engine.image(tag)
        if there is not None and (there.get("Config") or {}).get("Labels", {}).get(DIGEST) == workload.sha256:
            await asyncio.to_thread(self._verify, artifact, workload.sha256)
            return
        base = await self._engine.image(options.image)
        if base is None:
            how = "build it from deploy/serving.Dockerfile (target runtime), or pull it"
            raise NotBuilt(f"the engine has no image {options.image!r}, in which replicas run: {how}")
        packing = partial(pack, tag=tag, installation=self._installation.name, folder=self._folder)
        packed = await asyncio.to_thread(packing, workload, artifact, base)
        try:
            said = await self._engine.load(packed.archive)
        finally:
            packed.archive.unlink(missing_ok=True)
        there = await self._engine.image(tag)
        if there is None or there["Id"] != packed.digest:
            had = there["Id"] if there else "no image"
            raise NotBuilt(f"the engine made {had} of {packed.digest} ({said or 'it says nothing'})")

    def _verify(self, artifact: Path, sha256: str) -> None:
        """Once for each state of the file."""
        state = artifact.stat()
        mark = state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, sha256
        if self._verified.get(artifact, (None, ""))[0] != mark:
            with artifact.open("rb") as file:
                self._verified[artifact] = mark, hashlib.file_digest(file, "sha256").hexdigest()
        if (digest := self._verified[artifact][1]) != sha256:
            raise ArtifactRefused(f"the artifact has digest {digest}, but {sha256} was approved")

    def forget(self, key: Key) -> None:
        """Nobody wants images of the key any more."""
        for one in [one for one in self._making if one[0] == key]:
            self._making.pop(one).task.cancel()

    async def close(self) -> None:
        tasks = [one.task for one in self._making.values()]
        self._making.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stale(making: _Making) -> bool:
    error = None if making.task.cancelled() else making.task.exception()
    return isinstance(error, PlatformAway) or time.monotonic() - making.since > _AGAIN_SECONDS
