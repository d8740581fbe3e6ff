"""The process driver against real processes: starting, healing, adopting, refusing, removing."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from services.deployment import failpoints
from services.deployment.drivers.port import Change, State
from services.deployment.drivers.starts import Starts
from services.deployment.gateway.config import path_of
from tests.deployment import models
from tests.deployment.calls import acall, eventually
from tests.deployment.conftest import ENDPOINT, Plane, make_driver


def pid(plane: Plane, replica: str) -> int:
    return int((plane.folder / "replicas" / replica / "pid").read_text())


async def test_replicas_start_answer_and_are_removed(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier(), replicas=2)
    assert await plane.driver.plan([workload]) == [
        Change("start", "risk_fraud-eu_fraud_1_1"),
        Change("start", "risk_fraud-eu_fraud_1_2"),
    ]
    addresses = await plane.ready(workload)
    assert len(set(addresses)) == 2
    assert await plane.driver.plan([workload]) == []
    assert await plane.driver.plan([]) == [
        Change("stop", "risk_fraud-eu_fraud_1_1"),
        Change("stop", "risk_fraud-eu_fraud_1_2"),
    ]
    for address in addresses:
        assert (await acall(address, "/v2/models/fraud/infer", models.request([[1.0, 2.0, 3.0]])))[0] == 200

    async def gone() -> bool:
        await plane.driver.remove(workload.key)
        return not await plane.driver.observe()

    await eventually(gone)
    assert list((plane.folder / "replicas").iterdir()) == []


async def test_a_killed_replica_is_started_again(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier())
    await plane.ready(workload)
    (before,) = await plane.seen(workload)
    os.kill(pid(plane, "risk_fraud-eu_fraud_1_1"), signal.SIGKILL)

    async def down() -> bool:
        (seen,) = await plane.seen(workload)
        return seen.state is State.DOWN

    await eventually(down)
    await plane.ready(workload)
    (seen,) = await plane.seen(workload)
    assert seen.run != before.run


async def test_a_new_service_finds_the_replicas_of_the_one_before(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier())
    before = await plane.ready(workload)
    process = pid(plane, "risk_fraud-eu_fraud_1_1")
    plane.driver = make_driver(plane.folder)
    assert [one.state for one in await plane.driver.observe()] == [State.READY]
    assert await plane.ready(workload) == before
    assert pid(plane, "risk_fraud-eu_fraud_1_1") == process


async def test_two_services_at_once_start_one_replica(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier())
    other = make_driver(plane.folder)
    await asyncio.gather(plane.driver.apply(workload), other.apply(workload))
    await plane.ready(workload)
    running = [
        process
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and str(plane.folder / "replicas").encode() in (process / "cmdline").read_bytes()
    ]
    assert len(running) == 1


async def test_what_cannot_be_served_is_refused_with_its_reason(plane: Plane) -> None:
    wrong = plane.workload(1, models.classifier())
    (plane.folder / "artifacts" / wrong.uri.removeprefix("cas:")).write_bytes(b"something else")
    broken = plane.workload(2, b"not a model")
    missing = plane.workload(3, models.classifier(bias=3.0))
    (plane.folder / "artifacts" / missing.uri.removeprefix("cas:")).unlink()

    async def all_refused() -> bool:
        for workload in (wrong, broken, missing):
            await plane.driver.apply(workload)
        return [one.state for one in await plane.driver.observe()] == [State.REFUSED] * 3

    await eventually(all_refused)
    first, second, third = await plane.driver.observe()
    assert (first.artifact, second.artifact, third.artifact) == (True, False, True)
    assert "was approved" in first.problem
    assert "cannot load" in second.problem
    assert "put the artifact into the store" in third.problem


async def test_fewer_replicas_are_stopped(plane: Plane) -> None:
    await plane.ready(plane.workload(1, models.classifier(), replicas=2))
    fewer = plane.workload(1, models.classifier())

    async def one_left() -> bool:
        await plane.driver.apply(fewer)
        return [one.state for one in await plane.seen(fewer)] == [State.READY]

    await eventually(one_left)


def test_names_and_paths() -> None:
    assert path_of(ENDPOINT) == "/risk/fraud-eu"


async def test_a_replica_gets_no_more_memory_than_its_environment_allows(plane: Plane) -> None:
    """What leaks or is fed too much gets an error of its own; without a limit it would get the memory."""
    hungry = plane.workload(1, models.hungry(bytes_a_row=900 << 20))
    limited = replace(hungry, settings={"memory_mib": "1024", "cpus": "1"})
    (address,) = await plane.ready(limited)
    path, row = "/v2/models/fraud/infer", [1.0, 2.0, 3.0]
    process = psutil.Process(pid(plane, "risk_fraud-eu_fraud_1_1"))
    assert process.rlimit(psutil.RLIMIT_AS) == (1024 << 20, 1024 << 20)
    assert len(process.cpu_affinity()) == 1
    status, answer = await acall(address, path, models.request([row]))
    assert status == 500
    assert "model failed" in answer["error"]
    assert (await acall(address, "/v2/health/ready"))[0] == 200


async def test_the_pause_between_starts_grows_whoever_makes_them() -> None:
    pauses = [Starts(count, 100.0).pause_seconds for count in range(12)]
    assert pauses[:5] == [0.0, 0.25, 0.5, 1.0, 2.0]
    assert pauses[-1] == 10.0
    assert Starts(3, 100.0).wait_seconds(100.4) == pytest.approx(0.6)
    assert Starts(3, 100.0).wait_seconds(101.0) == 0.0
    assert Starts(3, 100.0).wait_seconds(50.0) == 1.0  # The clock was put back.


async def test_a_crash_loop_goes_on_being_one_under_the_next_service(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier())
    for _ in range(3):
        await plane.ready(workload)
        os.kill(pid(plane, "risk_fraud-eu_fraud_1_1"), signal.SIGKILL)

        async def down() -> bool:
            return [one.state for one in await plane.seen(workload)] == [State.DOWN]

        await eventually(down)
    plane.driver = make_driver(plane.folder)
    (seen,) = await plane.seen(workload)
    assert seen.restarts == 2
    assert "has ended 3 times" in seen.problem


async def test_a_replica_whose_starter_died_before_writing_its_pid_can_be_stopped(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier())

    def die(point: str) -> None:
        if point == "process.before-pid":
            raise failpoints.Crash(point)

    failpoints.arm(die)
    try:
        with pytest.raises(failpoints.Crash):
            await plane.driver.apply(workload)
    finally:
        failpoints.arm(None)
    plane.driver = make_driver(plane.folder)
    await plane.ready(workload)

    async def gone() -> bool:
        await plane.driver.remove(workload.key)
        return not await plane.driver.observe()

    await eventually(gone)
