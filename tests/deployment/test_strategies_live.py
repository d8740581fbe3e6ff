"""Rolling and shadow on real replicas behind a real Envoy, with a driver that fails, and with two services at once."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.strategies_pb2 import Amount
from services.deployment.domain.states import FAILED, ROLLED_BACK, SUCCEEDED
from services.deployment.drivers.port import Change, Key, PlatformAway, Replica, State, Workload
from services.deployment.drivers.process import ProcessDriver
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.deployment import models
from tests.deployment.build import canary
from tests.deployment.calls import Load, eventually
from tests.deployment.town import PATH, ROW, Town, town, version_name

ONE, TWO = version_name(1), version_name(2)


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Town]:
    async with town(nats, postgres, tmp_path, schema) as made:
        yield made


async def serving(place: Town, second: bytes, *, replicas: int = 1) -> tuple[str, str]:
    """Version 1 serves, version 2 is registered: host and path of predictions."""
    address = await place.found(replicas=replicas)
    await place.register(1, models.classifier())
    await place.register(2, second)
    assert (await place.finished(await place.request(1))).state == SUCCEEDED
    host, _, path = address.removeprefix("http://").partition("/")
    return host, f"/{path}{PATH}"


def replicas_of(place: Town) -> list[str]:
    folder = Path(place.live.rooms.settings.data_dir) / "replicas"
    return sorted(path.name for path in folder.iterdir())


async def test_replicas_are_replaced_one_by_one_without_a_failed_request(place: Town) -> None:
    host, path = await serving(place, models.classifier(bias=1.0), replicas=3)
    assert len(replicas_of(place)) == 3
    shares: list[int] = []
    async with Load(host, path, ROW) as load:
        name = await place.request(2, rolling=types.Rolling(max_surge=Amount(count=1), max_unavailable=Amount(count=1)))
        task = asyncio.create_task(place.finished(name))
        while not task.done():
            traffic = {one.version: one.percent for one in (await place.endpoint()).traffic}
            if traffic.get(TWO, 0) not in shares:
                shares.append(traffic.get(TWO, 0))
            assert len(replicas_of(place)) <= 4
            await asyncio.sleep(0.05)
        ended = await task
    assert ended.state == SUCCEEDED, ended
    assert set(load.statuses) == {200}, load.statuses
    assert {ONE, TWO} <= set(load.versions)
    assert shares[-1] == 100
    assert 66 in shares, shares

    async def all_new() -> bool:
        return replicas_of(place) == [f"risk_fraud-eu_fraud_2_{number}" for number in (1, 2, 3)]

    await eventually(all_new)


@pytest.mark.parametrize("limit", [None, 0.2])
async def test_a_shadow_is_compared_and_never_answers(place: Town, limit: float | None) -> None:
    """The biased version answers otherwise; that ends it only where somebody set a limit."""
    host, path = await serving(place, models.classifier(bias=3.0))
    shadow = types.Shadow(percent=100, duration=Duration(seconds=3), min_compared=20)
    if limit is not None:
        shadow.max_disagreement = limit
    async with Load(host, path, ROW) as load:
        ended = await place.finished(await place.request(2, shadow=shadow))
    assert ended.state == (SUCCEEDED if limit is None else ROLLED_BACK), ended
    comparison = ended.comparison
    assert comparison.compared >= 20
    assert comparison.different == comparison.compared
    assert comparison.max_difference > 0.1
    assert comparison.only_serving == 0
    assert set(load.statuses) == {200}, load.statuses
    assert set(load.versions) == {ONE}
    assert not ended.moved_traffic
    state = await place.endpoint()
    assert [(one.version, one.percent) for one in state.traffic] == [(ONE, 100)]
    assert replicas_of(place) == ["risk_fraud-eu_fraud_1_1"]


async def test_an_equal_version_agrees(place: Town) -> None:
    host, path = await serving(place, models.classifier())
    shadow = types.Shadow(percent=50, duration=Duration(seconds=2), max_disagreement=0, min_compared=5)
    async with Load(host, path, ROW):
        ended = await place.finished(await place.request(2, shadow=shadow))
    assert ended.state == SUCCEEDED, ended
    assert ended.comparison.equal == ended.comparison.compared >= 5
    assert ended.comparison.only_shadow == 0
    assert ended.last_result.verdict == types.VERDICT_PASSED


async def test_a_crash_loop_fails_before_the_deadline_for_replicas(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, path = await serving(place, models.classifier(bias=1.0))
    real = ProcessDriver.observe

    async def observe(self: ProcessDriver) -> Sequence[Replica]:
        """The new replicas end by themselves again and again."""
        return [_crashing(one) if one.key.version == TWO else one for one in await real(self)]

    monkeypatch.setattr(ProcessDriver, "observe", observe)
    async with Load(host, path, ROW) as load:
        ended = await place.finished(await place.request(2, canary=canary(10).canary))
    assert (ended.state, ended.trigger) == (FAILED, types.TRIGGER_CRASH_LOOP)
    assert set(load.statuses) == {200}


def _crashing(one: Replica) -> Replica:
    return replace(one, state=State.DOWN, restarts=6, problem="exit status 1")


class Faulty:
    """A driver that answers slowly, wrongly and twice, by chance: what it says may be old, and it may do nothing."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._observe, self._apply, self._remove = (
            ProcessDriver.observe,
            ProcessDriver.apply,
            ProcessDriver.remove,
        )
        self._before: Sequence[Replica] = ()
        self.faults = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        faulty = self

        async def observe(driver: ProcessDriver) -> Sequence[Replica]:
            await faulty.maybe()
            if faulty._before and faulty.happens(0.3):
                return faulty._before
            faulty._before = await faulty._observe(driver)
            return [*faulty._before, *faulty._before] if faulty.happens(0.1) else faulty._before

        async def apply(driver: ProcessDriver, workload: Workload) -> Sequence[Change]:
            await faulty.maybe(OSError("no more processes"))
            changes = await faulty._apply(driver, workload)
            return await faulty._apply(driver, workload) if faulty.happens(0.3) else changes

        async def remove(driver: ProcessDriver, key: Key) -> None:
            await faulty.maybe()
            await faulty._remove(driver, key)

        for name, method in (("observe", observe), ("apply", apply), ("remove", remove)):
            monkeypatch.setattr(ProcessDriver, name, method)

    def happens(self, share: float) -> bool:
        happens = self._chance.random() < share
        self.faults += happens
        return happens

    async def maybe(self, *errors: Exception) -> None:
        if self.happens(0.2):
            await asyncio.sleep(self._chance.uniform(0, 0.3))
        if self.happens(0.15):
            raise self._chance.choice([PlatformAway("no answer"), *errors])


@pytest.mark.parametrize("strategy", ["canary", "rolling"])
async def test_a_driver_that_fails_by_chance_only_makes_it_slower(
    place: Town, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, path = await serving(place, models.classifier(bias=1.0), replicas=2)
    faulty = Faulty(seed=5)
    faulty.install(monkeypatch)
    how: dict[str, Any] = {
        "canary": {"canary": canary(10, 50, hold=0.5).canary},
        "rolling": {"rolling": types.Rolling()},
    }
    async with Load(host, path, ROW) as load:
        ended = await place.finished(await place.request(2, **how[strategy]), seconds=60)
    monkeypatch.undo()
    assert ended.state == SUCCEEDED, ended
    assert set(load.statuses) == {200}, load.statuses
    assert faulty.faults > 10
    assert [one.version for one in (await place.endpoint()).traffic] == [TWO]


async def test_of_two_services_one_acts_and_the_other_takes_over(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting: list[int] = []
    real = ProcessDriver.apply

    async def apply(self: ProcessDriver, workload: Workload) -> Sequence[Change]:
        acting.append(id(self))
        return await real(self, workload)

    monkeypatch.setattr(ProcessDriver, "apply", apply)
    async with AsyncExitStack() as outer, AsyncExitStack() as inner:
        first = await inner.enter_async_context(town(nats, postgres, tmp_path, schema, outlive=True))
        await serving(first, models.classifier(bias=1.0))
        second = await outer.enter_async_context(town(nats, postgres, tmp_path, schema))
        ended = await second.finished(await second.request(2, canary=canary(10, 50, hold=0.5).canary))
        assert ended.state == SUCCEEDED
        assert len(set(acting)) == 1, "the second one watches"
        await inner.aclose()
        ended = await second.finished(await second.request(1, canary=canary(50, hold=0.5).canary))
        assert ended.state == SUCCEEDED
        assert len(set(acting)) == 2, "and takes over when the first is gone"
