"""Whole rollouts: real service, real replicas, real Envoy, real requests."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from nats import connect as connect_nats

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import types_pb2 as types
from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch
from services.deployment.domain.states import FAILED, PAUSED, ROLLED_BACK, SUCCEEDED
from services.deployment.drivers import child
from services.deployment.drivers.port import Change, Workload
from services.deployment.drivers.process import ProcessDriver
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.deployment import models
from tests.deployment.calls import Load, eventually
from tests.deployment.town import ENDPOINT, PATH, ROW, Town, town, version_name


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Town]:
    async with town(nats, postgres, tmp_path, schema) as made:
        yield made


def canary(*percents: int, seconds: float = 0.5, **analysis: Any) -> types.Canary:
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


async def test_going_back_after_success_names_no_version_and_loses_no_request(place: Town) -> None:
    address = await place.found()
    await place.register(1, models.classifier())
    await place.register(2, models.classifier(bias=1.0))
    await place.finished(await place.request(1))
    await place.finished(await place.request(2, blue_green=types.BlueGreen()))
    host, _, path = address.removeprefix("http://").partition("/")
    async with Load(host, f"/{path}{PATH}", ROW) as load:
        reply = await place.stub.RollBack(rpc.RollBackRequest(parent=ENDPOINT, reason="customers complain"))
        place.newest = reply.revision
        undone = await place.finished(reply.name)
        await asyncio.sleep(0.2)
    assert (undone.state, undone.version, undone.previous_version) == (SUCCEEDED, version_name(1), version_name(2))
    assert set(load.statuses) == {200}, load.statuses
    assert [one.version for one in (await place.endpoint()).traffic] == [version_name(1)]


async def test_predictions_reach_the_telemetry_stream(place: Town) -> None:
    address = await place.found()
    await place.register(1, models.classifier())
    await place.finished(await place.request(1))
    status, answer = await place.predict(address)
    assert status == 200
    client = await connect_nats(place.others.nats.url)
    try:
        subscription = await client.jetstream().subscribe("telemetry.predictions.risk.fraud-eu", ordered_consumer=True)
        batch = PredictionBatch.FromString((await subscription.next_msg(timeout=10)).data)
    finally:
        await client.close()
    assert (batch.endpoint, batch.version) == (ENDPOINT, version_name(1))
    assert list(batch.prediction_ids) == [f"{answer['id']}-0"]
    assert [column.name for column in batch.inputs] == list(models.COLUMNS)
    assert [column.name for column in batch.outputs] == ["label", "probabilities_0", "probabilities_1"]
    assert [list(column.numbers) for column in batch.inputs] == [[1.0], [2.0], [3.0]]


async def test_a_killed_replica_comes_back_and_that_is_recorded(place: Town) -> None:
    address = await place.found()
    await place.register(1, models.classifier())
    await place.finished(await place.request(1))
    folder = Path(place.live.rooms.settings.data_dir) / "replicas" / "risk_fraud-eu_fraud_1_1"
    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)

    async def recorded() -> bool:
        return "was gone and is started again" in (await place.endpoint()).last_repair

    await eventually(recorded, seconds=10)
    assert await place.answers(address, 200)


async def test_a_replica_that_dies_within_a_turn_is_recorded_too(place: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started again in the turn that saw it ready, it is never seen down."""
    await place.found()
    await place.register(1, models.classifier())
    await place.finished(await place.request(1))
    folder = Path(place.live.rooms.settings.data_dir) / "replicas" / "risk_fraud-eu_fraud_1_1"
    first_run, apply = (folder / "pid").read_text(), ProcessDriver.apply

    async def die_before_apply(driver: ProcessDriver, workload: Workload) -> Sequence[Change]:
        if (folder / "pid").read_text() == first_run and child.signal_child(folder, signal.SIGKILL):
            while child.lives(folder):
                await asyncio.sleep(0.01)
        return await apply(driver, workload)

    monkeypatch.setattr(ProcessDriver, "apply", die_before_apply)

    async def recorded() -> bool:
        return "was gone and is started again" in (await place.endpoint()).last_repair

    await eventually(recorded, seconds=10)


async def test_a_removed_endpoint_leaves_nothing_running(place: Town) -> None:
    address = await place.found()
    await place.register(1, models.classifier())
    await place.finished(await place.request(1))
    await place.stub.RemoveEndpoint(rpc.RemoveEndpointRequest(name=ENDPOINT))

    async def removed() -> bool:
        return (await place.endpoint()).state == types.ENDPOINT_STATE_REMOVED

    await eventually(removed)
    assert await place.answers(address, 404)
    assert list((Path(place.live.rooms.settings.data_dir) / "replicas").iterdir()) == []
    reply = await place.stub.ListServingIntervals(rpc.ListServingIntervalsRequest(parent="projects/risk"))
    assert [bool(row.to_revision) for row in reply.serving_intervals] == [True]


async def test_a_paused_canary_holds_its_share_until_it_is_resumed(place: Town) -> None:
    await place.found()
    await place.register(1, models.classifier())
    await place.register(2, models.classifier(bias=1.0))
    await place.finished(await place.request(1))
    steps = [types.CanaryStep(percent=30, pause=True)]
    name = await place.request(2, canary=types.Canary(steps=steps))
    await place.reaches(name, PAUSED)
    await asyncio.sleep(0.5)
    assert [(one.version, one.percent) for one in (await place.endpoint()).traffic] == [
        (version_name(2), 30),
        (version_name(1), 70),
    ]
    reply = await place.stub.ResumeRollout(rpc.ResumeRolloutRequest(name=name))
    place.newest = reply.revision
    assert (await place.finished(name)).state == SUCCEEDED
