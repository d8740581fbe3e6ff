"""What every driver promises, whatever it runs replicas on."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.deployment.drivers.port import LOG_BYTES, State
from tests.deployment.calls import eventually
from tests.deployment.drivers.docker_stand import docker_stand
from tests.deployment.drivers.stand import (
    Stand,
    crashing_once_at_each,
    gone,
    kubernetes_stand,
    process_stand,
    ready,
    seen,
)

STANDS: dict[str, Callable[[Path], Any]] = {
    "process": process_stand,
    "kubernetes": kubernetes_stand,
    "kserve": lambda folder: kubernetes_stand(folder, "kserve"),
}


@pytest.fixture(params=[*STANDS, pytest.param("docker", marks=pytest.mark.docker)])
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    if request.param == "docker":
        async with docker_stand(tmp_path, request.getfixturevalue("docker_engine")) as on_engine:
            yield on_engine
        return
    async with STANDS[request.param](tmp_path) as made:
        yield made


async def test_applying_twice_is_applying_once_and_leaves_nothing_to_plan(stand: Stand) -> None:
    workload = stand.workload(1, replicas=2)
    planned = await stand.driver.plan([workload])
    assert {change.verb for change in planned} == {"start"}
    assert stand.left() == []
    before = await ready(stand, workload)
    assert len({one.address for one in before}) == 2
    await stand.driver.apply(workload)
    assert not await stand.driver.apply(workload)
    assert [one.run for one in await seen(stand, workload.key)] == [one.run for one in before]
    assert stand.running(workload.key) == 2
    assert not await stand.driver.plan([workload])
    assert {change.verb for change in await stand.driver.plan([])} == {"stop"}
    assert stand.running(workload.key) == 2


async def test_fewer_replicas_leave_nothing_of_those_that_go(stand: Stand) -> None:
    """As a rolling rollout asks for, where no autoscaler decides; what stays is not touched."""
    workload = stand.workload(1, replicas=3)
    fixed = {name: value for name, value in workload.settings.items() if name != "replicas_max"}
    workload = replace(workload, settings=fixed)
    before = await ready(stand, workload)
    fewer = replace(workload, replicas=1)

    async def one_is_left() -> bool:
        await stand.driver.apply(fewer)
        return len(await seen(stand, workload.key)) == 1

    await eventually(one_is_left)
    (left,) = await seen(stand, workload.key)
    assert left.run in {one.run for one in before}
    assert stand.running(workload.key) == 1
    assert not await stand.driver.plan([fewer])


async def test_a_driver_that_dies_anywhere_is_continued_by_the_next(stand: Stand) -> None:
    """At each point once, one after the other; in the end there is exactly what was asked for."""
    workload = stand.workload(1)
    with crashing_once_at_each(stand.points) as reached:
        await ready(stand, workload)
        assert stand.running(workload.key) == 1
        assert not await stand.driver.plan([workload])
        await gone(stand, workload.key)
    assert sorted(reached) == sorted(stand.points)
    assert stand.running(workload.key) == 0
    assert stand.left() == []


async def test_a_new_driver_finds_what_the_one_before_has_started(stand: Stand) -> None:
    workload = stand.workload(1)
    before = await ready(stand, workload)
    stand.crash()
    assert await seen(stand, workload.key) == before
    assert not await stand.driver.plan([workload])
    assert not await stand.driver.apply(workload)
    assert stand.running(workload.key) == 1


async def test_what_somebody_else_changed_is_seen_and_healed(stand: Stand) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    stand.disturb(workload.key)

    async def noticed() -> bool:
        return bool(await stand.driver.plan([workload]))

    await eventually(noticed)
    await ready(stand, workload)

    async def healed() -> bool:
        await stand.driver.apply(workload)
        one = [replica.state for replica in await seen(stand, workload.key)]
        return one == [State.READY] and not await stand.driver.plan([workload])

    await eventually(healed)


async def test_what_ends_by_itself_again_and_again_shows_it(stand: Stand) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)

    async def looping() -> bool:
        stand.crash_loop(workload.key)
        await stand.driver.apply(workload)
        (one,) = await seen(stand, workload.key)
        return one.restarts >= 1 and one.state is State.DOWN and "ended" in one.problem

    await eventually(looping)


async def test_replicas_drain_before_they_are_removed(stand: Stand) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    await stand.driver.drain(workload.key)

    async def stopping() -> bool:
        states = {one.state for one in await seen(stand, workload.key)}
        return states <= {State.STOPPING, State.DOWN} and bool(states)

    await eventually(stopping)
    await gone(stand, workload.key)
    assert stand.running(workload.key) == 0
    again = await ready(stand, workload)
    await stand.driver.remove(workload.key)
    if stand.running(workload.key):  # As long as it is there it is on its way out, and never ready.
        assert all(one.state is not State.READY for one in await seen(stand, again[0].key))
    await gone(stand, workload.key)


async def test_removing_twice_or_what_never_was_is_no_error(stand: Stand) -> None:
    workload = stand.workload(1)
    await stand.driver.remove(workload.key)
    await stand.driver.drain(workload.key)
    await ready(stand, workload)
    await gone(stand, workload.key)
    await stand.driver.remove(workload.key)
    assert stand.left() == []


async def test_logs_have_an_end(stand: Stand) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    stand.print_much(workload.key)
    (text,) = (await stand.driver.logs(workload.key)).values()
    assert 0 < len(text) <= LOG_BYTES
    assert text.endswith("line 9999 of what it says\n")
    assert await stand.driver.logs(stand.workload(9).key) == {}


async def test_other_bytes_than_the_approved_ones_never_serve(stand: Stand) -> None:
    workload = stand.workload(1)
    stand.spoil(workload)

    async def refused() -> bool:
        await stand.driver.apply(workload)
        states = [one.state for one in await seen(stand, workload.key)]
        assert State.READY not in states
        return states == [State.REFUSED]

    await eventually(refused)
    (one,) = await seen(stand, workload.key)
    assert one.artifact
    assert "was approved" in one.problem
    await gone(stand, workload.key)


async def test_versions_do_not_touch_each_other(stand: Stand) -> None:
    first, second = stand.workload(1), stand.workload(2)
    before = await ready(stand, first)
    await ready(stand, second)
    await gone(stand, second.key)
    assert await seen(stand, first.key) == before
