"""Analysis of real requests: comparison with the running version, too little traffic, and what a monitor says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from modelog.deployment.v1 import analysis_pb2 as wire
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import types_pb2 as types
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.monitoring.v1 import types_pb2 as monitored
from services.deployment.domain import KNOWN_MONITOR
from services.deployment.domain.states import PAUSED, PROGRESSING, ROLLED_BACK, SUCCEEDED
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.deployment import models
from tests.deployment.calls import Load
from tests.deployment.town import ENDPOINT, PATH, ROW, Town, town, version_name

MONITOR = "projects/risk/monitors/fraud-eu"
ERRORS = wire.AnalysisMetric(id="errors", source=wire.METRIC_SOURCE_ERROR_RATE, compared=wire.Comparison())
DRIFT = wire.AnalysisMetric(id="drift", source=wire.METRIC_SOURCE_CHECK, monitor=MONITOR, check="drift")


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Town]:
    async with town(nats, postgres, tmp_path, schema) as made:
        yield made


def canary(percent: int, seconds: int, *metrics: wire.AnalysisMetric, **analysis: Any) -> types.Canary:
    step = types.CanaryStep(percent=percent, duration=Duration(seconds=seconds))
    return types.Canary(steps=[step], analysis=types.Analysis(metrics=metrics, **analysis))


async def serving(place: Town, content: bytes) -> str:
    """Version 1 serves, version 2 with this model is registered; the endpoint's address without scheme."""
    address = await place.found()
    await place.register(1, models.classifier())
    await place.register(2, content)
    assert (await place.finished(await place.request(1))).state == SUCCEEDED
    return address.removeprefix("http://")


async def test_a_version_that_is_worse_than_the_running_one_goes_back_and_an_equal_one_stays(place: Town) -> None:
    host, _, path = (await serving(place, models.failing())).partition("/")
    await place.register(3, models.classifier(bias=1.0))
    async with Load(host, f"/{path}{PATH}", ROW):
        bad = await place.finished(await place.request(2, canary=canary(30, 16, ERRORS, min_requests=20)))
        good = await place.finished(await place.request(3, canary=canary(30, 2, ERRORS, min_requests=10)))
    (result,) = bad.last_result.metrics
    assert (bad.state, bad.trigger) == (ROLLED_BACK, types.TRIGGER_ANALYSIS)
    assert result.verdict == types.VERDICT_FAILED
    assert (result.value, result.running) == (1.0, 0.0)
    assert result.p_value <= result.alpha
    assert "is worse than tolerated" in bad.cause
    assert bad.last_result.window.seconds < 16  # An early look was enough.
    assert good.state == SUCCEEDED, good
    assert good.last_result.metrics[0].verdict == types.VERDICT_PASSED
    assert good.last_result.running_requests > 10


async def test_without_requests_there_is_no_data_and_with_few_it_is_inconclusive(place: Town) -> None:
    address = await serving(place, models.classifier(bias=1.0))
    asked = canary(100, 1, ERRORS, max_error_rate=0.5, min_requests=1000, max_inconclusive=1)
    asked.steps.insert(0, types.CanaryStep(percent=90, duration=Duration(seconds=1)))
    name = await place.request(2, canary=asked)
    idle = await place.reaches(name, PAUSED)
    assert idle.last_result.verdict == types.VERDICT_NO_DATA
    assert [one.verdict for one in idle.last_result.metrics] == [types.VERDICT_NO_DATA]
    place.newest = (await place.stub.ResumeRollout(rpc.ResumeRolloutRequest(name=name))).revision
    for _ in range(10):
        await place.predict(f"http://{address}")
    few = await place.reaches(name, PAUSED)
    assert few.last_result.verdict == types.VERDICT_INCONCLUSIVE
    assert "are fewer than 1000" in few.cause
    assert (few.window, few.steps_passed) == (4, 0)


async def test_what_a_monitor_says_of_the_new_version_sends_it_back(place: Town) -> None:
    await serving(place, models.classifier(bias=1.0))
    with pytest.raises(grpc.aio.AioRpcError, match="create it first"):
        await place.request(2, canary=canary(50, 60, DRIFT))
    await place.others.record(KNOWN_MONITOR, MONITOR, monitoring.MonitorCreated(endpoint=ENDPOINT))
    name = await place.request(2, canary=canary(50, 60, DRIFT))
    step = await place.reaches(name, PROGRESSING)
    while step.step == 0:
        step = await place.reaches(name, PROGRESSING)
    for number, version, outcome in ((1, 1, monitored.OUTCOME_FAILED), (2, 2, monitored.OUTCOME_FAILED)):
        await place.others.record(KNOWN_MONITOR, MONITOR, evaluated(number, version, outcome))
    ended = await place.finished(name)
    (result,) = ended.last_result.metrics
    assert (ended.state, ended.trigger) == (ROLLED_BACK, types.TRIGGER_ANALYSIS)
    assert (result.id, result.value, result.samples) == ("drift", 0.7, 500)
    assert ended.cause == "drift: drift of 0.7 is beyond its threshold 0.2"


def evaluated(number: int, version: int, outcome: monitored.Outcome) -> monitoring.WindowEvaluated:
    window = monitored.Window(number=number, version=version_name(version))
    window.end_time.FromDatetime(datetime.now(UTC))
    check = monitored.Check(id="drift", threshold=0.2)
    result = monitored.CheckResult(check=check, outcome=outcome, statistic=0.7, rows=500)
    return monitoring.WindowEvaluated(endpoint=ENDPOINT, window=window, results=[result])
