"""Replicas as processes of this machine, one folder each.

    <folder>/<replica>/order.json   what it was told
    <folder>/<replica>/lock         locked by the replica as long as it lives
    <folder>/<replica>/answer.json  its address, or why it refused
    <folder>/<replica>/pid          which process it is
    <folder>/<replica>/starts.json  how often it has been started since it was last steady, and when last
    <folder>/<replica>/log          what it printed

A service that starts anew finds its replicas here and goes on with them. When none comes back their lease ends them.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.deployment.artifacts import NotInStore, locate
from services.deployment.drivers import child, folders
from services.deployment.drivers.looks import Looks, status
from services.deployment.drivers.orders import Orders, Telemetry
from services.deployment.drivers.port import LOG_BYTES, Change, Key, Replica, State, Workload
from services.deployment.drivers.secrets import Keeper, NoSecret
from services.deployment.drivers.starts import Starts
from services.deployment.failpoints import reached
from services.deployment.fetch import Unreachable
from services.deployment.inference.order import Order, to_json

_READY_SECONDS = 2.0
_STOP_SECONDS = 15.0
_STEADY_SECONDS = 30.0
_NO_SECRETS = Keeper()
# As many as lead to the longest pause.
_REFUSED_STARTS = 10


@dataclass
class _Life:
    """What this process remembers of a replica; a new process starts with a fresh memory."""

    told_to_stop_at: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    problem: str = ""
    artifact: bool = False


class ProcessDriver:
    """The driver `process`. Settings of an environment: `threads`, threads of each replica (1); `memory_mib`, address

    space it may use, `resident_mib`, memory in use beyond which it is drained and started again, and `cpus`, cores it
    may run on (no limits); `batch_rows`, most rows of requests that run together (32; 0 is never), `batch_delay_ms`,
    how long requests that queue wait for more (0); `telemetry_percent`, share of requests that is published (100);
    `grpc`, `off` for HTTP only. New ones hold for replicas that start from then on.
    """

    def __init__(
        self,
        folder: Path,
        store: Path,
        telemetry: Telemetry,
        *,
        lease: Path,
        lease_seconds: float,
        secrets: Keeper = _NO_SECRETS,
    ) -> None:
        self._folder = folder.absolute()
        self._store = store.absolute()
        self._orders = Orders(self._folder, telemetry, lease.absolute(), lease_seconds)
        self._secrets = secrets
        self._lives: dict[str, _Life] = {}
        self._paths: dict[str, Path] = {}
        self._looks = Looks()
        self._applied: dict[Key, Workload] = {}
        self._folder.mkdir(parents=True, exist_ok=True)

    async def plan(self, wanted: Iterable[Workload]) -> Sequence[Change]:
        changes = []
        running = {path.name: path for path in self._folders()}
        for workload in wanted:
            for replica in folders.ids(workload):
                path = running.pop(replica, None)
                if path is None or not child.lives(path):
                    changes.append(Change("start", replica))
                elif folders.told(path) != self._orders.of(workload, replica, artifact=Path()).sha256:
                    changes.append(Change("replace", replica))
        changes.extend(Change("stop", replica) for replica in running)
        return changes

    async def apply(self, workload: Workload) -> Sequence[Change]:
        wanted = folders.ids(workload)
        if self._applied.get(workload.key) == workload and self._looks.certain(wanted):
            return ()
        self._applied[workload.key] = workload
        stem = f"{folders.stem(workload.key)}_"  # Ids have no underscore, so no other key's replicas begin like that.
        for name in os.listdir(self._folder):  # noqa: PTH208 - of hundreds of replicas, for each of hundreds of keys.
            if name.startswith(stem) and name not in wanted and (self._folder / name / "order.json").exists():
                self._end(self._folder / name)
                self._applied.pop(workload.key, None)  # To be asked again, and harder, until it is gone.
        for replica in wanted:
            await self._ensure(workload, replica)
        return ()

    async def _ensure(self, workload: Workload, replica: str) -> None:
        path, life = self._folder / replica, self._life(replica)
        try:
            artifact = locate(workload.uri, workload.sha256, self._store)
        except NotInStore as error:
            life.problem, life.artifact = str(error), True
            path.mkdir(exist_ok=True)
            if not child.lives(path):  # What runs already was verified when it started and goes on.
                child.write_private(path / "order.json", to_json(self._orders.of(workload, replica, artifact=Path())))
            return
        order, starts = self._orders.of(workload, replica, artifact=artifact), folders.starts(path)
        if child.lives(path):
            if folders.told(path) != order.sha256 or life.told_to_stop_at:
                self._stop(path)
            elif starts.count > 1 and time.time() - starts.at > _STEADY_SECONDS:
                folders.write_starts(path, Starts(1, starts.at, starts.why))
            return
        if life.told_to_stop_at:  # It ended because it was told to, which is no reason to wait.
            life.told_to_stop_at, starts = 0.0, Starts()
        life.problem, life.artifact = "", False
        # What was refused will hardly be otherwise the next time, but somebody may have put the artifact right.
        refused = folders.answer(path).get("refused") and folders.told(path) == order.sha256
        pacing = Starts(_REFUSED_STARTS, starts.at) if refused else starts
        if not pacing.wait_seconds(time.time()):
            try:
                secrets = self._secrets.values(workload.key.endpoint.split("/")[1], workload.secrets)
            except NoSecret as error:  # Shown as what it is, and looked for again at each turn.
                life.problem = str(error)
                path.mkdir(exist_ok=True)
                child.write_private(path / "order.json", to_json(order))
                return
            await asyncio.to_thread(self._start, path, life, order, starts, secrets)

    def _start(self, path: Path, life: _Life, order: Order, starts: Starts, secrets: Mapping[str, str]) -> None:
        def prepare() -> None:
            why = str(folders.answer(path).get("ended", ""))
            (path / "answer.json").unlink(missing_ok=True)
            folders.write_starts(path, Starts(starts.count + 1, time.time(), why))
            child.write_private(path / "order.json", to_json(order))

        if life.process:
            life.process.poll()
        command = [sys.executable, "-m", "services.deployment.inference", str(path / "order.json")]
        life.process = child.start(path, command, prepare=prepare, secrets=secrets)

    async def observe(self) -> Sequence[Replica]:
        return await self._looks.all(self._folders(), self._look)

    async def _look(self, path: Path) -> Replica:
        life, answer = self._life(path.name), folders.answer(path)
        if life.process:
            life.process.poll()
        address, starts = str(answer.get("address", "")), folders.starts(path)
        restarts = max(starts.count - 1, 0)
        run = folders.run(path)
        seen = partial(Replica, path.name, folders.key(path), address=address, run=run, restarts=restarts)
        seen = partial(seen, grpc_address=str(answer.get("grpc_address", "")))
        if not child.lives(path):
            if life.problem or answer.get("refused"):
                problem = life.problem or str(answer["refused"])
                return seen(State.REFUSED, problem=problem, artifact=life.artifact or bool(answer.get("artifact")))
            return seen(
                State.DOWN, problem=folders.why_down(path, life.process.returncode if life.process else None, starts)
            )
        if life.told_to_stop_at:
            return seen(State.STOPPING)
        if not address:
            return seen(State.STARTING)
        try:
            ready = await status(address, "/v2/health/ready", timeout=_READY_SECONDS)
        except Unreachable as error:
            return seen(State.STARTING, problem=str(error))
        if ready != 200:
            return seen(State.STARTING, problem=str(answer.get("ended", "")) or f"ready: {ready}")
        problem = f"started again, for {starts.why}" if starts.why else ""
        return seen(State.READY, problem=problem, memory_bytes=folders.memory(run))

    async def drain(self, key: Key) -> None:
        for path in self._folders():
            if folders.key(path) == key:
                self._stop(path)

    async def remove(self, key: Key) -> None:
        for path in self._folders():
            if folders.key(path) == key:
                self._end(path)
        for path in self._folder.glob(f"{folders.stem(key)}_*"):  # Begun by somebody who died before it had an order.
            if not (path / "order.json").exists() and not child.lives(path):
                shutil.rmtree(path, ignore_errors=True)

    def _end(self, path: Path) -> None:
        """Stops a replica, or forgets the one that has stopped."""
        if child.lives(path):
            self._stop(path)
            return
        life = self._lives.pop(path.name, None)
        if life and life.process:
            life.process.poll()
        folders.forget(path)

    async def logs(self, key: Key) -> Mapping[str, str]:
        return {path.name: child.tail(path, LOG_BYTES) for path in self._folders() if folders.key(path) == key}

    async def close(self) -> None:
        """There is nothing that it holds on to."""

    async def end(self) -> None:
        """Ends every replica and waits for it, for a service that ends and shall leave nothing behind."""
        deadline = time.monotonic() + _STOP_SECONDS
        while alive := [path for path in self._folders() if child.lives(path)]:
            for path in alive:
                self._stop(path, hard=time.monotonic() > deadline)
            await asyncio.sleep(0.05)

    def _stop(self, path: Path, *, hard: bool = False) -> None:
        """SIGTERM once, SIGKILL when that was of no use for long."""
        life = self._life(path.name)
        self._looks.forget(path.name)
        if not life.told_to_stop_at:
            reached("process.before-stop")
            if child.signal_child(path, signal.SIGTERM):
                life.told_to_stop_at = time.monotonic()
        elif hard or time.monotonic() - life.told_to_stop_at > _STOP_SECONDS:
            child.signal_child(path, signal.SIGKILL)

    def _life(self, replica: str) -> _Life:
        return self._lives.setdefault(replica, _Life())

    def _folders(self) -> list[Path]:
        # As texts, for with hundreds of replicas the making of paths is most of what a look costs.
        names = sorted(os.listdir(self._folder))  # noqa: PTH208
        known, self._paths = self._paths, {}
        for name in names:
            if os.path.exists(f"{self._folder}/{name}/order.json"):  # noqa: PTH110
                self._paths[name] = known.get(name) or self._folder / name
        return list(self._paths.values())
