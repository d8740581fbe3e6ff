"""Whole rollouts: real service, real replicas, real Envoy, real requests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from modelog.deployment.v1 import types_pb2 as types
from services.deployment.domain.states import FAILED, ROLLED_BACK, SUCCEEDED
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.deployment import models
from tests.deployment.calls import Load
from tests.deployment.town import ENDPOINT, PATH, ROW, Town, town, version_name


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Town]:
    async with town(nats, postgres, tmp_path, schema) as made:
        yield made


def canary(*percents: int, seconds: float = 0.5, **analysis: object) -> types.Canary:
    duration = Duration(nanos=int(seconds * 1e9)) if seconds < 1 else Duration(seconds=int(seconds))
    steps = [types.CanaryStep(percent=percent, duration=duration) for percent in percents]
    return types.Canary(steps=steps, analysis=types.Analysis(**analysis) if analysis else None)


async def test_first_version_serves_then_a_canary_takes_over_without_a_failed_request(place: Town) -> None:
    address = await place.found()
    await place.register(1, models.classifier())
    await place.register(2, models.classifier(bias=1.0))
    assert await place.answers(address, 503)
    first = await place.finished(await place.request(1))
    assert first.state == SUCCEEDED
    assert (await place.predict(address))[0] == 200
    host, _, path = address.removeprefix("http://").partition("/")
    async with Load(host, f"/{path}{PATH}", ROW) as load:
        name = await place.request(2, canary=canary(10, 50, max_error_rate=0.01, min_requests=5))
        second = await place.finished(name)
    assert second.state == SUCCEEDED, second
    assert set(load.statuses) == {200}, load.statuses
    assert load.versions[version_name(2)] > 0
    state = await place.endpoint()
    assert [(share.version, share.percent) for share in state.traffic] == [(version_name(2), 100)]
    assert second.steps_passed == 2
    assert second.last_result.requests >= 5


async def test_a_bad_version_is_rolled_back_by_itself(place: Town) -> None:
    address = await place.found()
    await place.register(1, models.classifier())
    await place.register(2, models.failing())
    await place.finished(await place.request(1))
    host, _, path = address.removeprefix("http://").partition("/")
    async with Load(host, f"/{path}{PATH}", ROW) as load:
        name = await place.request(2, canary=canary(20, seconds=30, max_error_rate=0.05, min_requests=10))
        ended = await place.finished(name)
        await asyncio.sleep(0.3)
        failed = load.statuses[500]
        await asyncio.sleep(0.3)
        assert load.statuses[500] == failed
    assert ended.state == ROLLED_BACK
    assert "error rate" in ended.cause
    assert ended.trigger == types.TRIGGER_ANALYSIS
    state = await place.endpoint()
    assert [(share.version, share.percent) for share in state.traffic] == [(version_name(1), 100)]
    assert load.statuses[200] > failed


async def test_a_version_that_cannot_be_loaded_fails_and_touches_nothing(place: Town) -> None:
    address = await place.found()
    await place.register(1, models.classifier())
    await place.register(2, b"not a model")
    await place.finished(await place.request(1))
    ended = await place.finished(await place.request(2, canary=canary(20)))
    assert (ended.state, ended.trigger) == (FAILED, types.TRIGGER_REPLICAS)
    assert "cannot load" in ended.cause
    assert (await place.predict(address))[0] == 200
    assert (await place.endpoint()).rollout == f"{ENDPOINT}/rollouts/1"
