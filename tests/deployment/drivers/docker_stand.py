"""The driver `docker` on a real engine, for the contract suite and the tests of faults."""

import asyncio
import json
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.deployment import failpoints
from services.deployment.drivers.docker import connected
from services.deployment.drivers.docker.driver import DockerDriver
from services.deployment.drivers.docker.names import INSTALLATION, VERSION
from services.deployment.drivers.docker.options import Installation
from services.deployment.drivers.port import Key, Workload
from testkit.engine import SERVING, Engine
from tests.deployment import models
from tests.deployment.conftest import ENDPOINT, version

NETWORK = "modelog-test"


@dataclass
class DockerStand:
    folder: Path
    engine: Engine
    settings: dict[str, str] = field(default_factory=dict)
    # Of its own, so that tests on one engine do not see each other.
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")
    points: tuple[str, ...] = failpoints.DOCKER_POINTS

    def __post_init__(self) -> None:
        self.driver = self.connected()

    def connected(self) -> DockerDriver:
        installation = Installation(name=self.name, images=(SERVING,), networks=(NETWORK,))
        return connected(
            installation, self.engine.socket, store=self.folder / "artifacts", folder=self.folder / "images"
        )

    def workload(self, number: int, *, replicas: int = 1, content: bytes | None = None) -> Workload:
        uri, digest = models.store(self.folder / "artifacts", content or models.classifier(bias=float(number)))
        inputs = tuple((name, "FP32") for name in models.COLUMNS)
        key = Key(ENDPOINT, version(number))
        return Workload(key, replicas, uri, digest, "onnx", inputs, settings=self.settings, revision=7)

    def spoil(self, workload: Workload) -> None:
        (self.folder / "artifacts" / "sha256" / workload.sha256).write_bytes(b"something else")

    def crash(self) -> None:
        old = self.driver
        asyncio.get_running_loop().create_task(old.close())  # Its connections would die with the process.
        self.driver = self.connected()

    def containers(self, key: Key | None = None) -> list[Any]:
        labels = [f"{INSTALLATION}={self.name}", *([f"{VERSION}={key.version}"] if key else [])]
        listed = self.engine.get("/containers/json", all="1", filters=json.dumps({"label": labels}))
        return [self.engine.get(f"/containers/{one['Id']}/json") for one in listed]

    def images(self) -> list[Any]:
        labels = [f"{INSTALLATION}={self.name}"]
        found: list[Any] = self.engine.get("/images/json", filters=json.dumps({"label": labels}))
        return found

    def running(self, key: Key) -> int:
        return sum(one["State"]["Status"] == "running" for one in self.containers(key))

    def left(self) -> list[str]:
        return [*(one["Name"] for one in self.containers()), *(str(one["RepoTags"]) for one in self.images())]

    def disturb(self, key: Key) -> None:
        for one in self.containers(key):
            self.engine.call("DELETE", f"/containers/{one['Id']}", params={"force": "1"})

    def crash_loop(self, key: Key) -> None:
        """Not by the engine, which would take it for somebody's wish."""
        for one in self.containers(key):
            if one["State"]["Pid"]:
                with suppress(ProcessLookupError):
                    os.kill(one["State"]["Pid"], signal.SIGKILL)

    def print_much(self, key: Key) -> None:
        for one in self.containers(key):
            with Path(f"/proc/{one['State']['Pid']}/fd/1").open("w") as output:
                output.writelines(f"line {number} of what it says\n" for number in range(10_000))
            query = {"stdout": "1", "tail": "1"}
            while b"line 9999" not in self.engine.call("GET", f"/containers/{one['Id']}/logs", params=query).content:
                time.sleep(0.05)  # The engine reads what was written a little later.

    def clear(self) -> None:
        for one in self.containers():
            self.engine.call("DELETE", f"/containers/{one['Id']}", params={"force": "1"})
        for one in self.images():
            for tag in one["RepoTags"] or ():
                self.engine.call("DELETE", f"/images/{tag}")


@asynccontextmanager
async def docker_stand(folder: Path, engine: Engine, **settings: str) -> AsyncIterator[DockerStand]:
    stand = DockerStand(folder, engine, settings)
    try:
        yield stand
    finally:
        await stand.driver.close()
        stand.clear()
