"""The process driver against real processes: starting, healing, adopting, refusing, removing."""

import asyncio
import os
import signal
from pathlib import Path

from services.deployment.drivers.port import Change, State
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
        return [one.state for one in await plane.seen(fewer)] == [State.READY, State.DOWN]

    await eventually(one_left)


def test_names_and_paths() -> None:
    assert path_of(ENDPOINT) == "/risk/fraud-eu"
