"""What the contract suite needs of each platform: drivers as new processes make them, and a look at what is true."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from services.deployment import failpoints
from services.deployment.drivers.kubernetes import connected
from services.deployment.drivers.kubernetes.names import WORKLOAD, name_of
from services.deployment.drivers.kubernetes.options import Installation
from services.deployment.drivers.lease import keep
from services.deployment.drivers.port import Driver, Key, Replica, State, Workload
from services.deployment.drivers.process import ProcessDriver
from services.deployment.inference.bring import bring
from services.deployment.inference.order import ARTIFACT_REFUSED, ArtifactRefused
from testkit.kube.controllers import Failure
from testkit.kube_api import KubeApi
from tests.deployment import models
from tests.deployment.calls import eventually
from tests.deployment.conftest import ENDPOINT, LEASE_SECONDS, make_driver, version

INSTALLATION = Installation(namespaces=("models",), images=("registry.example/modelog-deployment:1",))
SETTINGS = {"gateway": "infra/public", "url": "https://models.example.com", "artifacts": "pvc://artifacts"}


class Stand(Protocol):
    """One platform. driver: the present one; `crash` puts a new one in its place, as a new process would."""

    @property
    def driver(self) -> Driver: ...
    @property
    def points(self) -> tuple[str, ...]: ...
    def workload(self, number: int, *, replicas: int = 1, content: bytes | None = None) -> Workload: ...
    def spoil(self, workload: Workload) -> None:
        """Other bytes than the approved ones lie in the store."""

    def crash(self) -> None: ...
    def running(self, key: Key) -> int:
        """Replicas that are there, by a look at the platform that does not go through the driver."""

    def left(self) -> list[str]:
        """Everything that is on the platform."""

    def disturb(self, key: Key) -> None:
        """Somebody else breaks a replica or what keeps it."""

    def crash_loop(self, key: Key) -> None:
        """Each call makes the present replica end by itself."""

    def print_much(self, key: Key) -> None: ...


@dataclass
class ProcessStand:
    folder: Path
    driver: ProcessDriver
    points: tuple[str, ...] = failpoints.PROCESS_POINTS

    def workload(self, number: int, *, replicas: int = 1, content: bytes | None = None) -> Workload:
        uri, digest = models.store(self.folder / "artifacts", content or models.classifier(bias=float(number)))
        inputs = tuple((name, "FP32") for name in models.COLUMNS)
        return Workload(Key(ENDPOINT, version(number)), replicas, uri, digest, "onnx", inputs)

    def spoil(self, workload: Workload) -> None:
        (self.folder / "artifacts" / "sha256" / workload.sha256).write_bytes(b"something else")

    def crash(self) -> None:
        self.driver = make_driver(self.folder)

    def _folders(self, key: Key) -> list[Path]:
        _, _, _, model, _, number = key.version.split("/")
        return sorted((self.folder / "replicas").glob(f"risk_fraud-eu_{model}_{number}_*"))

    def _processes(self, key: Key) -> list[int]:
        told = [str(path / "order.json").encode() for path in self._folders(key)]
        found = []
        for process in Path("/proc").iterdir():
            try:
                line = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
                alive = line and (process / "stat").read_text().rpartition(") ")[2][0] != "Z"
            except OSError:
                continue
            if alive and any(one in line for one in told):
                found.append(int(process.name))
        return found

    def running(self, key: Key) -> int:
        return len(self._processes(key))

    def left(self) -> list[str]:
        return [path.name for path in (self.folder / "replicas").iterdir()]

    def disturb(self, key: Key) -> None:
        for process in self._processes(key):
            os.kill(process, signal.SIGKILL)

    crash_loop = disturb

    def print_much(self, key: Key) -> None:
        for path in self._folders(key):
            with (path / "log").open("a") as file:
                file.writelines(f"line {number} of what it says\n" for number in range(10_000))


@dataclass
class KubernetesStand:
    folder: Path
    api: KubeApi
    form: str = "deployment"
    more: dict[str, str] = field(default_factory=dict)
    token: str = "first"

    def __post_init__(self) -> None:
        kinds = {"kserve": ("InferenceService",), "deployment": ("Deployment", "Service", "HorizontalPodAutoscaler")}
        both = ("NetworkPolicy", "PodDisruptionBudget")
        self.points = tuple(
            point for point in failpoints.KUBERNETES_POINTS if point.split(".")[2] in (*kinds[self.form], *both)
        )
        self.api.controllers.judge = self._judge
        self.open()

    def open(self) -> None:
        kubeconfig = self.api.kubeconfig(self.folder / f"kubeconfig-{self.token}", self.token)
        self.driver, self.routes = connected(INSTALLATION, kubeconfig)

    def _judge(self, pod: Any) -> Failure | None:
        """The init container, really run but for its mounts."""
        source, sha256, _ = pod["spec"]["initContainers"][0]["command"][-3:]
        try:
            bring(source.replace("/store", str(self.folder / "artifacts")), sha256, self.folder / "brought")
        except ArtifactRefused as refused:
            return Failure(ARTIFACT_REFUSED, str(refused), init=True)
        return None

    def workload(self, number: int, *, replicas: int = 1, content: bytes | None = None) -> Workload:
        uri, digest = models.store(self.folder / "artifacts", content or f"model {number}".encode())
        settings = {**SETTINGS, "form": self.form, "replicas_max": str(replicas + 2), **self.more}
        return Workload(Key(ENDPOINT, version(number)), replicas, uri, digest, "onnx", settings=settings, revision=7)

    def spoil(self, workload: Workload) -> None:
        (self.folder / "artifacts" / "sha256" / workload.sha256).write_bytes(b"something else")

    def crash(self) -> None:
        old = self.driver
        asyncio.get_running_loop().create_task(old.close())  # Its connections would die with the process.
        self.open()

    def _pods(self, key: Key) -> list[Any]:
        return self.api.store.select("pods", "models", f"{WORKLOAD}={name_of(key)}")

    def running(self, key: Key) -> int:
        return len(self._pods(key))

    def left(self) -> list[str]:
        return [f"{kind} {name}" for kind, _, name in self.api.store.objects if not name.endswith("-predictor")]

    def disturb(self, key: Key) -> None:
        if self.form == "kserve":
            spec: dict[str, Any] = {"predictor": {"automountServiceAccountToken": True}}
            self.api.edit("inferenceservices", name_of(key), {"spec": spec})
        else:
            spec = {"template": {"spec": {"automountServiceAccountToken": True}}}
            self.api.edit("deployments", name_of(key), {"spec": spec})

    def crash_loop(self, key: Key) -> None:
        self.api.controllers.failing[name_of(key)] = Failure(137, "out of memory")

    def print_much(self, key: Key) -> None:
        text = "".join(f"line {number} of what it says\n" for number in range(10_000))
        for pod in self._pods(key):
            self.api.controllers.logs[f"{pod['metadata']['name']}/{pod['spec']['containers'][0]['name']}"] = text


@asynccontextmanager
async def process_stand(folder: Path) -> AsyncIterator[ProcessStand]:
    keeping = asyncio.create_task(keep(folder / "lease", LEASE_SECONDS))
    stand = ProcessStand(folder, make_driver(folder))
    try:
        yield stand
    finally:
        await stand.driver.end()
        keeping.cancel()
        shutil.rmtree(folder / "replicas")


@asynccontextmanager
async def kubernetes_stand(folder: Path, form: str = "deployment", **more: str) -> AsyncIterator[KubernetesStand]:
    async with KubeApi() as api:
        stand = KubernetesStand(folder, api, form, more)
        try:
            yield stand
        finally:
            await stand.driver.close()


@contextmanager
def crashing_once_at_each(points: tuple[str, ...]) -> Iterator[list[str]]:
    """Raises Crash the first time each point is reached; gives the points where it has."""
    reached: list[str] = []

    def act(point: str) -> None:
        if point in points and point not in reached:
            reached.append(point)
            raise failpoints.Crash(point)

    failpoints.arm(act)
    try:
        yield reached
    finally:
        failpoints.arm(None)


async def seen(stand: Stand, key: Key) -> list[Replica]:
    return [one for one in await stand.driver.observe() if one.key == key]


async def ready(stand: Stand, workload: Workload) -> list[Replica]:
    """Applies until all replicas answer, dying and coming back on the way where points say so."""

    async def all_ready() -> list[Replica]:
        try:
            await stand.driver.apply(workload)
            found = await seen(stand, workload.key)
        except failpoints.Crash:
            stand.crash()
            return []
        return found if [one.state for one in found] == [State.READY] * workload.replicas else []

    found: list[Replica] = await eventually(all_ready)
    return found


async def gone(stand: Stand, key: Key) -> None:
    """Removes until there is nothing left."""

    async def nothing_left() -> bool:
        try:
            await stand.driver.remove(key)
            return not await seen(stand, key)
        except failpoints.Crash:
            stand.crash()
            return False

    await eventually(nothing_left)
