"""The driver `docker` on a real engine: images, limits, what others change, and engines that fail."""

import io
import socket
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.deployment.drivers.docker.building import Building
from services.deployment.drivers.docker.driver import DockerDriver
from services.deployment.drivers.docker.engine import Engine as Client
from services.deployment.drivers.docker.image import ARTIFACT
from services.deployment.drivers.docker.options import Installation
from services.deployment.drivers.docker.world import World
from services.deployment.drivers.port import Key, PlatformAway, Replica, State, Workload
from testkit.engine import BASE, SERVING, Engine
from tests.deployment import models
from tests.deployment.calls import acall, eventually
from tests.deployment.drivers.between import between
from tests.deployment.drivers.docker_stand import NETWORK, DockerStand, docker_stand
from tests.deployment.drivers.stand import gone, ready, seen

pytestmark = pytest.mark.docker
ROW = models.request([[1.0, 2.0, 3.0]])


@pytest.fixture
async def stand(docker_engine: Engine, tmp_path: Path) -> AsyncIterator[DockerStand]:
    async with docker_stand(tmp_path, docker_engine) as made:
        yield made


async def shows(stand: DockerStand, workload: Workload, state: State, text: str) -> Replica:
    """Applies until a replica is seen like that."""
    last: list[Replica] = []

    async def shown() -> Replica | None:
        await stand.driver.apply(workload)
        last[:] = await seen(stand, workload.key)
        return next((one for one in last if one.state is state and text in one.problem), None)

    try:
        found: Replica = await eventually(shown)
    except AssertionError:
        raise AssertionError(f"no {state} with {text!r}: {last}") from None
    return found


async def test_the_same_inputs_make_the_same_image(stand: DockerStand, docker_engine: Engine, tmp_path: Path) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    (image,) = stand.images()
    labels = image["Labels"]
    assert labels["modelog.version"] == workload.key.version
    assert labels["modelog.digest"] == workload.sha256
    assert labels["modelog.revision"] == labels["org.opencontainers.image.revision"] == "7"
    assert (labels["org.opencontainers.image.title"], labels["org.opencontainers.image.version"]) == ("fraud", "1")
    await gone(stand, workload.key)
    assert stand.images() == []
    docker_engine.call("POST", "/build/prune", params={"all": "1"})
    elsewhere = DockerStand(tmp_path / "elsewhere", docker_engine, name=stand.name)
    again = elsewhere.workload(1)
    await ready(elsewhere, replace(again, key=Key("projects/risk/endpoints/other", again.key.version)))
    assert [one["Id"] for one in stand.images()] == [image["Id"]]
    await elsewhere.driver.close()
    other = stand.workload(2, content=models.classifier(bias=9.0))
    await ready(stand, other)
    assert len({one["Id"] for one in stand.images()}) == 2


async def test_people_build_the_same_files_with_the_dockerfile(stand: DockerStand, docker_engine: Engine) -> None:
    content = models.classifier(bias=1.0)
    workload = stand.workload(1, content=content)
    await ready(stand, workload)
    (image,) = stand.images()
    # Engines without BuildKit build all stages, needed or not.
    args = {
        "BASE": BASE,
        "RUNTIME": SERVING,
        "MODEL": "model.onnx",
        "SHA256": workload.sha256,
        "NAME": "fraud",
        "VERSION": "1",
    }
    docker_engine.build("by-hand:1", args=args, target="version", more={"model.onnx": content})
    try:
        assert model_files(docker_engine, "by-hand:1") == model_files(docker_engine, image["Id"])
        assert model_files(docker_engine, "by-hand:1")["artifact"] == (0, 0, 0o444, content)
        mine, theirs = (docker_engine.get(f"/images/{name}/json")["Config"] for name in (image["Id"], "by-hand:1"))
        for name in ("Env", "Entrypoint", "User", "WorkingDir", "ExposedPorts"):
            assert mine[name] == theirs[name]
        assert theirs["Labels"].items() <= mine["Labels"].items()
        with pytest.raises(RuntimeError, match="checksum"):
            docker_engine.build("by-hand:2", args=args, target="version", more={"model.onnx": b"another"})
    finally:
        docker_engine.call("DELETE", "/images/by-hand:1")


def model_files(engine: Engine, image: str) -> dict[str, tuple[int, int, int, bytes]]:
    """Owner, group, mode and content of what lies beside the artifact."""
    made = engine.call("POST", "/containers/create", json={"Image": image}).json()["Id"]
    try:
        content = engine.call("GET", f"/containers/{made}/archive", params={"path": str(Path(ARTIFACT).parent)}).content
    finally:
        engine.call("DELETE", f"/containers/{made}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = [one for one in archive.getmembers() if one.isfile()]
        return {
            Path(one.name).name: (one.uid, one.gid, one.mode & 0o777, archive.extractfile(one).read())  # type: ignore[union-attr]
            for one in files
        }


async def test_a_replica_is_nobody_special_and_has_limits(docker_engine: Engine, tmp_path: Path) -> None:
    async with docker_stand(tmp_path, docker_engine, memory_mib="512", cpus="500m") as stand:
        workload = stand.workload(1)
        (one,) = await ready(stand, workload)
        assert (await acall(one.address, "/v2/models/fraud/infer", ROW))[0] == 200
        (container,) = stand.containers()
        status = Path(f"/proc/{container['State']['Pid']}/status").read_text()
        assert "Uid:\t10001\t10001\t10001\t10001" in status
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        host = container["HostConfig"]
        assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (512 << 20, 512 << 20, 500_000_000)
        assert host["ReadonlyRootfs"]
        root = Path(f"/proc/{container['State']['Pid']}/mounts").read_text().splitlines()[0].split()
        assert root[1] == "/"
        assert "ro" in root[3].split(",")
        assert {one["HostIp"] for found in container["NetworkSettings"]["Ports"].values() for one in found} == {
            "127.0.0.1"
        }


async def test_what_wants_too_much_memory_is_seen_to_have_wanted_it(docker_engine: Engine, tmp_path: Path) -> None:
    async with docker_stand(tmp_path, docker_engine, memory_mib="64") as stand:
        workload = stand.workload(1, content=bytes(100 << 20))
        one = await shows(stand, workload, State.DOWN, "more than its 64 MiB of memory")
        assert one.restarts >= 1


async def test_a_model_that_does_not_load_is_refused_with_its_own_words(stand: DockerStand) -> None:
    one = await shows(stand, stand.workload(1, content=b"no model"), State.REFUSED, "ONNX Runtime cannot load")
    assert not one.artifact
    await gone(stand, one.key)
    assert stand.left() == []


async def test_other_bytes_than_the_approved_ones_get_into_no_image(stand: DockerStand) -> None:
    workload = stand.workload(1)
    stand.spoil(workload)
    assert (await shows(stand, workload, State.REFUSED, "was approved")).artifact
    assert stand.left() == []


async def test_an_artifact_that_was_changed_since_is_not_started_again(stand: DockerStand) -> None:
    """Though the image still has the approved one: what was approved is gone, and somebody has to know."""
    workload = stand.workload(1)
    await ready(stand, workload)
    stand.spoil(workload)
    assert [one.state for one in await seen(stand, workload.key)] == [State.READY]
    stand.disturb(workload.key)
    assert (await shows(stand, workload, State.REFUSED, "was approved")).artifact
    assert stand.running(workload.key) == 0


async def test_an_image_that_cannot_be_built_says_what_to_do_and_the_old_version_goes_on(
    docker_engine: Engine, tmp_path: Path
) -> None:
    async with docker_stand(tmp_path, docker_engine) as stand:
        first, second = stand.workload(1), replace(stand.workload(2), settings={"image": "nobody/has-this:1"})
        before = await ready(stand, first)
        one = await shows(stand, second, State.DOWN, "build it from deploy/serving.Dockerfile")
        assert "nobody/has-this:1" in one.problem
        assert await seen(stand, first.key) == before
        await gone(stand, second.key)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("update", {"Memory": 128 << 20, "MemorySwap": 128 << 20}),
        ("update", {"RestartPolicy": {"Name": "no"}}),
        ("pause", None),
        ("rename?name=somebody-elses", None),
        ("kill", None),
        ("stop", None),
        ("disconnect", None),
    ],
)
async def test_what_somebody_does_to_a_container_is_put_right(stand: DockerStand, path: str, body: Any) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    (container,) = stand.containers()
    url = f"/containers/{container['Id']}/{path}"
    if path == "disconnect":
        url, body = f"/networks/{NETWORK}/disconnect", {"Container": container["Id"]}
    stand.engine.call("POST", url, json=body).raise_for_status()

    async def noticed() -> bool:
        return bool(await stand.driver.plan([workload]))

    await eventually(noticed)

    async def healed() -> bool:
        await stand.driver.apply(workload)
        states = [one.state for one in await seen(stand, workload.key)]
        return states == [State.READY] and not await stand.driver.plan([workload])

    await eventually(healed, seconds=10)
    (one,) = await seen(stand, workload.key)
    assert (await acall(one.address, "/v2/models/fraud/infer", ROW))[0] == 200
    (container,) = stand.containers()
    assert container["HostConfig"]["Memory"] == 1024 << 20
    assert container["Name"] == f"/{one.id}"


async def test_ports_that_others_have_taken_are_left_to_them(stand: DockerStand) -> None:
    """The engine gives ports in a row, so the next ones are taken."""
    await ready(stand, stand.workload(1))
    (container,) = stand.containers()
    last = max(int(one["HostPort"]) for found in container["NetworkSettings"]["Ports"].values() for one in found)
    taken = []
    for port in range(last + 1, last + 9):
        one = socket.socket()
        taken.append(one)
        try:
            one.bind(("127.0.0.1", port))
            one.listen()
        except OSError:  # Somebody has it already, which serves as well.
            continue
    try:
        (found,) = await ready(stand, stand.workload(2))
        assert int(found.address.rpartition(":")[2]) not in range(last + 1, last + 9)
    finally:
        for one in taken:
            one.close()


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_containers_come_back_with_their_engine(stand: DockerStand, way: str) -> None:
    workload = stand.workload(1, replicas=2)
    before = await ready(stand, workload)
    getattr(stand.engine, way)()
    try:
        with pytest.raises(PlatformAway):
            await stand.driver.observe()
        stand.driver._world.changed()
        with pytest.raises(PlatformAway):
            await stand.driver.apply(workload)
    finally:
        stand.engine.start()
    after = await ready(stand, workload)
    assert [one.id for one in after] == [one.id for one in before]
    assert not {one.run for one in after} & {one.run for one in before}
    for one in after:
        assert (await acall(one.address, "/v2/models/fraud/infer", ROW))[0] == 200


def over(stand: DockerStand, engine: Path) -> DockerDriver:
    """The driver, impatient, over another socket."""
    client = Client(engine, answer_seconds=0.5)
    installation = Installation(name=stand.name, images=(SERVING,), networks=(NETWORK,))
    building = Building(client, installation, store=stand.folder / "artifacts", folder=stand.folder / "images")
    return DockerDriver(World(client, installation), building)


@pytest.mark.parametrize("behaviour", ["slow", "garbage", "half", "broken"])
async def test_an_engine_that_makes_no_sense_is_away_and_nothing_is_touched(stand: DockerStand, behaviour: str) -> None:
    workload = stand.workload(1)
    before = await ready(stand, workload)
    async with between(stand.engine.socket, stand.folder) as there:
        driver = over(stand, there.socket)
        assert [one.run for one in await driver.observe()] == [one.run for one in before]
        there.behaviour = behaviour
        for call in (driver.observe, lambda: driver.plan([workload]), lambda: driver.remove(workload.key)):
            driver._world.changed()
            with pytest.raises(PlatformAway):
                await call()
        there.behaviour = "true"
        assert [one.run for one in await driver.observe()] == [one.run for one in before]
        await driver.close()


async def test_an_engine_that_does_everything_twice_runs_nothing_twice(stand: DockerStand) -> None:
    async with between(stand.engine.socket, stand.folder) as there:
        there.behaviour = "twice"
        await stand.driver.close()
        stand.driver = over(stand, there.socket)
        workload = stand.workload(1, replicas=2)
        await ready(stand, workload)
        assert stand.running(workload.key) == 2
        await gone(stand, workload.key)
        assert stand.left() == []
        await stand.driver.close()
