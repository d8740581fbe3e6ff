"""SIGKILL of the service at every named point of a rollout on a cluster: it ends as if nothing had happened."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from services.deployment import failpoints
from services.deployment.domain.states import SUCCEEDED
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from suite.process import StartError
from tests.deployment import models
from tests.deployment.build import canary
from tests.deployment.drivers.cluster import kubernetes_settings, watched_api
from tests.deployment.drivers.stand import SETTINGS
from tests.deployment.test_kills import Killable, killable
from tests.deployment.town import PROJECT

# Not part of a rollout of a plain Deployment: KServe's form, the autoscaler, and the end of an endpoint.
ELSEWHERE = ("InferenceService", "HorizontalPodAutoscaler", "delete.HTTPRoute")
QUICK = ("kubernetes.apply.HTTPRoute.after",)
POINTS = sorted(
    point
    for point in (*failpoints.KUBERNETES_POINTS, *failpoints.CONTROLLER_POINTS)
    if not any(one in point for one in ELSEWHERE)
)


def listed() -> list[Any]:
    return [pytest.param(point, marks=() if point in QUICK else pytest.mark.long) for point in POINTS]


async def request_and_die_at(place: Killable, point: str) -> str:
    """Asks for a rollout of version 2 by a service that dies at the point, and starts it as ever; the rollout's name.

    What is applied is applied at once, so whoever dies of it has to be armed before. The points of a turn come all the
    time, so those come only after the request.
    """
    strategy = canary(10, 50, hold=2)
    at_once = point.startswith("kubernetes.apply")
    early = None if at_once else await place.request(2, strategy)
    await place.process.kill()
    place.settings["failpoint"] = point
    with suppress(StartError):  # It may get there before it serves.
        await place.process.start()
    # Patient: it may take until the next start.
    late = asyncio.create_task(place.request(2, strategy)) if at_once else None
    async with asyncio.timeout(60):
        assert await place.process.process.wait() == -9
    del place.settings["failpoint"]
    await place.process.start()
    return early or (await late if late else "")


@pytest.mark.parametrize("point", listed())
async def test_the_rollout_ends_as_if_the_service_had_not_died(
    point: str, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    environment = {"driver": "kubernetes", "driver_settings": SETTINGS}
    async with watched_api() as (api, watchman):
        settings = {key: str(value) for key, value in kubernetes_settings(api, tmp_path).items()}
        async with killable(nats, postgres, tmp_path, schema, environment=environment, **settings) as place:
            for number in (1, 2):
                await place.register(number, models.classifier(bias=float(number)))
            first = await place.finished(await place.request(1, canary(10, hold=0)))
            assert first.state == SUCCEEDED, first
            request = await request_and_die_at(place, point)
            ended = await place.finished(request)
            assert ended.state == SUCCEEDED, ended
            listed = await place.call("ListServingIntervals", rpc.ListServingIntervalsRequest(parent=PROJECT))
            shares = [(row.version[-1], row.percent) for row in listed.serving_intervals]
            assert shares == [("1", 100), ("1", 90), ("2", 10), ("1", 50), ("2", 50), ("2", 100)]
        assert watchman.percents == [[], [100], [10, 90], [50, 50], [100]]
        assert watchman.broken == []
        assert len(api.store.select("deployments")) == 1
