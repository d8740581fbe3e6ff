"""Replicas as processes of this machine, one folder each.

    <folder>/<replica>/order.json   what it was told
    <folder>/<replica>/lock         locked by the replica as long as it lives
    <folder>/<replica>/answer.json  its address, or why it refused
    <folder>/<replica>/pid          which process it is
    <folder>/<replica>/log          what it printed

A service that starts anew finds its replicas here and goes on with them. When none comes back their lease ends them.
"""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from services.deployment.artifacts import NotInStore, locate
from services.deployment.drivers import child
from services.deployment.drivers.port import Change, Key, Replica, State, Workload
from services.deployment.fetch import Unreachable, fetch
from services.deployment.inference.order import Column, Order, to_json

_READY_SECONDS = 2.0
_STOP_SECONDS = 15.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_SECONDS = 30.0


@dataclass(frozen=True)
class Telemetry:
    """Where replicas publish what they answered; nowhere when the url is empty."""

    url: str = ""
    user: str = ""
    password_file: str = ""
    ca_file: str = ""


@dataclass
class _Life:
    """What this process remembers of a replica; a new process starts with a fresh memory."""

    starts: int = 0
    started_at: float = 0.0
    told_to_stop_at: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    problem: str = ""
    artifact: bool = False
    pauses: float = field(default=_FIRST_PAUSE_SECONDS)


class ProcessDriver:
    """The driver `process`. Settings of an environment: `threads`, threads of each replica (1)."""

    def __init__(self, folder: Path, store: Path, telemetry: Telemetry, *, lease: Path, lease_seconds: float) -> None:
        self._folder = folder.absolute()
        self._store = store.absolute()
        self._telemetry = telemetry
        self._lease = lease.absolute()
        self._lease_seconds = lease_seconds
        self._lives: dict[str, _Life] = {}
        self._folder.mkdir(parents=True, exist_ok=True)

    async def plan(self, wanted: Iterable[Workload]) -> Sequence[Change]:
        changes = []
        running = {path.name: path for path in self._folders()}
        for workload in wanted:
            for replica in _ids(workload):
                path = running.pop(replica, None)
                if path is None or not child.lives(path):
                    changes.append(Change("start", replica))
                elif _told(path) != self._order(workload, replica, artifact=Path()).sha256:
                    changes.append(Change("replace", replica))
        changes.extend(Change("stop", replica) for replica in running)
        return changes

    async def apply(self, workload: Workload) -> None:
        wanted = _ids(workload)
        for path in self._folders():
            if path.name not in wanted and _key(path) == workload.key:
                self._stop(path)
        for replica in wanted:
            await self._ensure(workload, replica)

    async def _ensure(self, workload: Workload, replica: str) -> None:
        path, life = self._folder / replica, self._life(replica)
        try:
            artifact = locate(workload.uri, workload.sha256, self._store)
        except NotInStore as error:
            life.problem, life.artifact = str(error), True
            path.mkdir(exist_ok=True)
            if not child.lives(path):  # What runs already was verified when it started and goes on.
                child.write_private(path / "order.json", to_json(self._order(workload, replica, artifact=Path())))
            return
        order = self._order(workload, replica, artifact=artifact)
        if child.lives(path):
            if _told(path) != order.sha256 or life.told_to_stop_at:
                self._stop(path)
            elif time.monotonic() - life.started_at > _STEADY_SECONDS:
                life.pauses = _FIRST_PAUSE_SECONDS
            return
        life.told_to_stop_at = 0.0
        life.problem, life.artifact = "", False
        if time.monotonic() < life.started_at + (life.pauses if life.starts else 0.0):
            return
        await asyncio.to_thread(self._start, path, life, order)

    def _start(self, path: Path, life: _Life, order: Order) -> None:
        def prepare() -> None:
            (path / "answer.json").unlink(missing_ok=True)
            child.write_private(path / "order.json", to_json(order))

        if life.process:
            life.process.poll()
        command = [sys.executable, "-m", "services.deployment.inference", str(path / "order.json")]
        life.process = child.start(path, command, prepare=prepare)
        life.starts += 1
        life.started_at = time.monotonic()
        life.pauses = min(life.pauses * 2, _LONGEST_PAUSE_SECONDS) if life.starts > 1 else life.pauses

    async def observe(self) -> Sequence[Replica]:
        return await asyncio.gather(*(self._look(path) for path in self._folders()))

    async def _look(self, path: Path) -> Replica:
        life, answer = self._life(path.name), _answer(path)
        if life.process:
            life.process.poll()
        address = str(answer.get("address", ""))
        seen = partial(Replica, path.name, _key(path), address=address, run=_run(path))
        if not child.lives(path):
            if life.problem or answer.get("refused"):
                problem = life.problem or str(answer["refused"])
                return seen(State.REFUSED, problem=problem, artifact=life.artifact or bool(answer.get("artifact")))
            return seen(State.DOWN, problem=f"{path.name} is not running")
        if life.told_to_stop_at:
            return seen(State.STOPPING)
        if not address:
            return seen(State.STARTING)
        try:
            status, _ = await fetch(address, "/v2/health/ready", timeout=_READY_SECONDS)
        except Unreachable as error:
            return seen(State.STARTING, problem=str(error))
        return seen(State.READY) if status == 200 else seen(State.STARTING, problem=f"ready: {status}")

    async def drain(self, key: Key) -> None:
        for path in self._folders():
            if _key(path) == key:
                self._stop(path)

    async def remove(self, key: Key) -> None:
        for path in self._folders():
            if _key(path) != key:
                continue
            if child.lives(path):
                self._stop(path)
                continue
            life = self._lives.pop(path.name, None)
            if life and life.process:
                life.process.poll()
            shutil.rmtree(path, ignore_errors=True)

    async def close(self) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        while alive := [path for path in self._folders() if child.lives(path)]:
            for path in alive:
                self._stop(path, hard=time.monotonic() > deadline)
            await asyncio.sleep(0.05)

    def _stop(self, path: Path, *, hard: bool = False) -> None:
        """SIGTERM once, SIGKILL when that was of no use for long."""
        life = self._life(path.name)
        if not life.told_to_stop_at:
            if child.signal_child(path, signal.SIGTERM):
                life.told_to_stop_at = time.monotonic()
        elif hard or time.monotonic() - life.told_to_stop_at > _STOP_SECONDS:
            child.signal_child(path, signal.SIGKILL)

    def _order(self, workload: Workload, replica: str, *, artifact: Path) -> Order:
        return Order(
            replica=replica,
            endpoint=workload.key.endpoint,
            version=workload.key.version,
            artifact=str(artifact),
            sha256=workload.sha256,
            answer_file=str(self._folder / replica / "answer.json"),
            format=workload.format,
            inputs=tuple(Column(*one) for one in workload.inputs),
            outputs=tuple(Column(*one) for one in workload.outputs),
            threads=int(workload.settings.get("threads", "1")),
            nats_url=self._telemetry.url,
            nats_user=self._telemetry.user,
            nats_password_file=self._telemetry.password_file,
            nats_ca_file=self._telemetry.ca_file,
            lease_file=str(self._lease),
            lease_seconds=self._lease_seconds,
        )

    def _life(self, replica: str) -> _Life:
        return self._lives.setdefault(replica, _Life())

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if (path / "order.json").exists())


def _ids(workload: Workload) -> list[str]:
    """`risk_fraud-eu_fraud_3_1`: the first replica of version 3 of fraud on fraud-eu."""
    _, project, _, endpoint = workload.key.endpoint.split("/")
    _, _, _, model, _, number = workload.key.version.split("/")
    return [f"{project}_{endpoint}_{model}_{number}_{index + 1}" for index in range(workload.replicas)]


def _key(path: Path) -> Key:
    order = _json(path / "order.json")
    return Key(order.get("endpoint", ""), order.get("version", ""))


def _told(path: Path) -> str:
    return str(_json(path / "order.json").get("sha256", ""))


def _run(path: Path) -> str:
    try:
        return (path / "pid").read_text()
    except OSError:  # Whoever started it died before it could say so.
        return ""


def _answer(path: Path) -> dict[str, Any]:
    return _json(path / "answer.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content
