"""Secrets: named where they are kept, handed over when a replica starts, and found nowhere else."""

import asyncio
import base64
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kernel.errors import Refusal
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.environments_pb2 import KubernetesSecret, SecretRef
from services.deployment.domain.environment import define
from services.deployment.domain.secrets import check_no_secrets, check_secrets, looks_secret
from services.deployment.drivers.kubernetes.manifests import BadArtifact, objects_of
from services.deployment.drivers.kubernetes.options import Installation, options_of
from services.deployment.drivers.orders import Telemetry
from services.deployment.drivers.port import Key, Replica, Secret, State, Workload
from services.deployment.drivers.process import ProcessDriver
from services.deployment.drivers.secrets import Keeper, NoSecret
from services.deployment.settings import Settings, lent_variables
from services.deployment.workloads import workload_of
from tests.deployment import models
from tests.deployment.build import SHA, endpoint, environment, version, version_name
from tests.deployment.calls import eventually
from tests.deployment.conftest import ENDPOINT, LEASE_SECONDS, Plane

VALUE = "s3cr3t-of-the-feature-store"
FILE = SecretRef(file="feature-store")
CLUSTER = {"gateway": "infra/public", "url": "https://models.example.com", "artifacts": "pvc://artifacts"}
INSTALLATION = Installation(namespaces=("models",), images=("registry.example/modelog:1",), nats_secret="nats")


@pytest.mark.parametrize(
    ("driver", "name", "ref", "reason"),
    [
        ("process", "STORE_KEY", FILE, ""),
        ("process", "STORE_KEY", SecretRef(environment_variable="STORE"), ""),
        ("kubernetes", "STORE_KEY", SecretRef(kubernetes_secret=KubernetesSecret(secret="s", key="k")), ""),
        ("kubernetes", "STORE_KEY", FILE, "WRONG_SOURCE"),
        ("process", "STORE_KEY", SecretRef(kubernetes_secret=KubernetesSecret(secret="s", key="k")), "WRONG_SOURCE"),
        ("process", "LD_PRELOAD", FILE, "RESERVED_VARIABLE"),
        ("process", "PYTHONPATH", FILE, "RESERVED_VARIABLE"),
        ("process", "PATH", FILE, "RESERVED_VARIABLE"),
        ("process", "MODELOG_NATS_URL", FILE, "RESERVED_VARIABLE"),
    ],
)
def test_where_a_driver_reads_secrets_from(driver: str, name: str, ref: SecretRef, reason: str) -> None:
    if not reason:
        check_secrets(driver, {name: ref})
        return
    with pytest.raises(Refusal) as caught:
        check_secrets(driver, {name: ref})
    assert caught.value.violations[0].reason == reason


LIKE_SECRETS = [
    {"password": "hunter2"},
    {"db_password": "x"},
    {"api-key": "x"},
    {"ACCESS_TOKEN": "x"},
    {"image": "https://user:hunter2@registry.example/modelog:1"},
    {"image": "AKIAIOSFODNN7EXAMPLE"},
    {"image": "ghp_16C7e42F292c6912E7710c838347Ae178B4a"},
    {"artifacts": "https://host/path/aGVsbG8gd29ybGQ5MTIzNDU2Nzg5MDEyMzQ1Njc4OTA"},
    {"url": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2ln"},
]
NO_SECRETS = [
    {"threads": "4", "memory_mib": "2048"},
    {"image": "registry.example/team/modelog-inference:2026.3.1"},
    {"image": "registry.example/modelog@sha256:" + "0123456789abcdef" * 4},
    {"pull_secret": "registry-credentials"},
    {"artifacts": "pvc://artifacts-of-the-whole-company/folder/of/models/2026"},
    {"url": "https://models.eu-central-1.production.example.com:8443"},
]


@pytest.mark.parametrize("settings", LIKE_SECRETS)
def test_what_looks_like_a_secret_is_refused_and_not_repeated(settings: dict[str, str]) -> None:
    wanted = facts.EnvironmentChanged(driver_settings=CLUSTER | settings)
    outcome = environment().when(define, driver="kubernetes", terms=wanted, drivers={"kubernetes": {}})
    assert outcome.refusal is not None
    assert outcome.refusal.violations[0].reason == "LOOKS_LIKE_A_SECRET"
    assert "`secrets`" in str(outcome.refusal)
    assert all(value not in repr(outcome.refusal) for value in settings.values() if len(value) > 1)


@pytest.mark.parametrize("settings", NO_SECRETS)
def test_what_people_write_is_none(settings: dict[str, str]) -> None:
    check_no_secrets(settings, {"pull_secret": None})


def test_of_random_keys_nearly_all_are_recognised() -> None:
    chance = random.Random(7)
    keys = [base64.b64encode(chance.randbytes(30)).decode().replace("/", "x") for _ in range(500)]
    assert sum(map(looks_secret, keys)) >= 490


# -- what an installation lends


def test_only_what_is_lent_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "risk").mkdir()
    (tmp_path / "risk" / "feature-store").write_text(VALUE + "\n")
    (tmp_path / "risk" / "huge").write_bytes(b"x" * (64 * 1024 + 1))
    (tmp_path / "risk" / "binary").write_bytes(b"\xff\xfe")
    keeper = Keeper(tmp_path, {"STORE": VALUE})
    assert VALUE not in repr(keeper)
    given = keeper.values("risk", [Secret("A", "file", "feature-store"), Secret("B", "environment_variable", "STORE")])
    assert given == {"A": VALUE, "B": VALUE}
    for wrong in ("missing", "huge", "binary"):
        with pytest.raises(NoSecret, match="secret A"):
            keeper.values("risk", [Secret("A", "file", wrong)])
    with pytest.raises(NoSecret, match="cannot be read"):
        keeper.values("other", [Secret("A", "file", "feature-store")])
    for lent in (keeper, Keeper()):
        with pytest.raises(NoSecret, match="MODELOG_SECRET_VARIABLES"):
            lent.values("risk", [Secret("A", "environment_variable", "HOME")])
    with pytest.raises(NoSecret, match="MODELOG_SECRETS_DIR"):
        Keeper().values("risk", [Secret("A", "file", "feature-store")])


def test_the_service_never_lends_what_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", VALUE)
    monkeypatch.setenv("MODELOG_POSTGRES_URL", "postgres://")
    lent = lent_variables(Settings("nats://x", "postgres://x", secret_variables="STORE, MODELOG_POSTGRES_URL, NOT_SET"))
    assert lent == {"STORE": VALUE}


# -- replicas


def driver_of(folder: Path) -> ProcessDriver:
    return ProcessDriver(
        folder / "replicas",
        folder / "artifacts",
        Telemetry(),
        lease=folder / "lease",
        lease_seconds=LEASE_SECONDS,
        secrets=Keeper(folder / "secrets"),
    )


async def seen(driver: ProcessDriver, workload: Workload) -> list[Replica]:
    await driver.apply(workload)
    return [one for one in await driver.observe() if one.key == workload.key]


async def test_a_process_gets_its_secret_and_no_file_does(plane: Plane) -> None:
    """`plane` keeps the lease; the driver is one with secrets, over the same folder."""
    driver, folder = driver_of(plane.folder), plane.folder
    workload = replace(plane.workload(1, models.classifier()), secrets=(Secret("STORE_KEY", "file", "feature-store"),))

    async def refused() -> bool:
        return [one.state for one in await seen(driver, workload)] == [State.REFUSED]

    await eventually(refused)
    (replica,) = await seen(driver, workload)
    assert "secret STORE_KEY" in replica.problem
    assert not replica.artifact
    (folder / "secrets" / "risk").mkdir(parents=True)
    (folder / "secrets" / "risk" / "feature-store").write_text(VALUE)

    async def ready() -> bool:
        return [one.state for one in await seen(driver, workload)] == [State.READY]

    try:
        await eventually(ready)
        (replica,) = await driver.observe()
        pid = (folder / "replicas" / replica.id / "pid").read_text()
        environ = await asyncio.to_thread((Path("/proc") / pid / "environ").read_bytes)
        assert f"STORE_KEY={VALUE}".encode() in environ.split(b"\0")
        written = [path for path in folder.rglob("*") if path.is_file() and "secrets" not in path.parts]
        assert {"order.json", "log"} <= {path.name for path in written}
        assert [path for path in written if VALUE.encode() in path.read_bytes()] == []
        assert VALUE not in repr((await driver.observe(), workload, await driver.plan([workload])))
    finally:
        await driver.end()


def kubernetes(*secrets: Secret, **settings: str) -> list[dict[str, Any]]:
    workload = Workload(
        Key(ENDPOINT, version_name(1)),
        1,
        f"cas:sha256/{SHA}",
        SHA,
        "onnx",
        settings=CLUSTER | settings,
        secrets=secrets,
    )
    return objects_of(workload, options_of(workload.settings, INSTALLATION), INSTALLATION)


def test_a_cluster_is_told_the_name_of_the_secret() -> None:
    place = environment(
        driver="kubernetes",
        driver_settings=CLUSTER,
        secrets={"STORE_KEY": SecretRef(kubernetes_secret=KubernetesSecret(secret="store", key="key"))},
    )
    workload = workload_of(endpoint().state, version().state, place.state)
    assert workload.secrets == (Secret("STORE_KEY", "kubernetes_secret", "store", "key"),)
    deployment = next(one for one in kubernetes(*workload.secrets) if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    reference = {"secretKeyRef": {"name": "store", "key": "key"}}
    assert container["env"] == [{"name": "STORE_KEY", "valueFrom": reference}]
    bare = next(one for one in kubernetes() if one["kind"] == "Deployment")
    assert "env" not in bare["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("taken", ["nats", "registry"])
def test_secrets_of_the_installation_are_not_for_models(taken: str) -> None:
    with pytest.raises(BadArtifact, match="installation's own"):
        kubernetes(Secret("X", "kubernetes_secret", taken, "password"), pull_secret="registry")
