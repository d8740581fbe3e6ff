"""SIGKILL of the service at every named point of a rollout on an engine: it ends as if nothing had happened."""

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
from testkit.engine import Engine
from tests.deployment import models
from tests.deployment.build import canary
from tests.deployment.calls import Load, eventually
from tests.deployment.drivers.docker_stand import DockerStand
from tests.deployment.drivers.test_docker_rollouts import docker_settings
from tests.deployment.test_kills import Killable, address, killable
from tests.deployment.town import PATH, PROJECT, ROW, version_name

pytestmark = pytest.mark.docker
QUICK = ("docker.create.after",)
POINTS = sorted((*failpoints.DOCKER_POINTS, *failpoints.CONTROLLER_POINTS))


def listed() -> list[Any]:
    return [pytest.param(point, marks=() if point in QUICK else pytest.mark.long) for point in POINTS]


async def request_and_die_at(place: Killable, point: str) -> str:
    """A rollout of version 2 by a service that dies at the point, and starts again as ever; the rollout's name."""
    strategy = canary(10, 50, hold=2)
    at_once = point.startswith("docker.")
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
    point: str, nats: NatsServer, postgres: PostgresServer, docker_engine: Engine, tmp_path: Path, schema: str
) -> None:
    stand = DockerStand(tmp_path, docker_engine)
    await stand.driver.close()
    try:
        environment = {"driver": "docker"}
        async with killable(
            nats, postgres, tmp_path, schema, environment=environment, **docker_settings(stand)
        ) as place:
            for number in (1, 2):
                await place.register(number, models.classifier(bias=float(number)))
            first = await place.finished(await place.request(1, canary(10, hold=0)))
            assert first.state == SUCCEEDED, first
            host, _, path = (await address(place)).partition("/")
            async with Load(host, f"/{path}{PATH}", ROW) as load:
                ended = await place.finished(await request_and_die_at(place, point))
            assert ended.state == SUCCEEDED, ended
            assert set(load.statuses) == {200}, load.statuses
            listed = await place.call("ListServingIntervals", rpc.ListServingIntervalsRequest(parent=PROJECT))
            shares = [(row.version[-1], row.percent) for row in listed.serving_intervals]
            assert shares == [("1", 100), ("1", 90), ("2", 10), ("1", 50), ("2", 50), ("2", 100)]

            async def only_the_new_one() -> bool:
                return [one["Config"]["Labels"]["modelog.version"] for one in stand.containers()] == [version_name(2)]

            await eventually(only_the_new_one)
    finally:
        stand.clear()
