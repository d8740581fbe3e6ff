"""SIGKILL of the service while a rollout is under way: it ends as if nothing had happened, and nobody notices."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.deployment_service_pb2_grpc import DeploymentServiceStub
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from modelog.type.v1.read_pb2 import ReadOptions
from services.deployment.domain import KNOWN_VERSION
from services.deployment.domain.states import ROLLED_BACK, SUCCEEDED, is_unfinished
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from suite.service_process import ServiceProcess
from tests.deployment import models
from tests.deployment.build import canary
from tests.deployment.calls import Load, acall, eventually
from tests.deployment.town import BY, ENDPOINT, ENVIRONMENT, PATH, PROJECT, ROW, Others, version_name

# Long enough for a killed service to be back on a busy machine: what it left behind serves meanwhile.
LEASE_SECONDS = 20.0
SHORT_SECONDS = 5.0
_numbers = itertools.count(1)


@dataclass
class Killable:
    """The service as a process, and patient calls on it."""

    process: ServiceProcess
    folder: Path
    others: Others
    settings: dict[str, str]
    newest: int = 0

    async def call(self, method: str, request: Any) -> Any:
        """Again under the same request_id until somebody answers."""
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = f"patient-{next(_numbers)}"

        async def answered() -> Any:
            async with grpc.aio.insecure_channel(self.process.address) as channel:
                try:
                    return await getattr(DeploymentServiceStub(channel), method)(request, metadata=BY, timeout=5)
                except grpc.aio.AioRpcError as error:
                    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                        return None
                    raise

        return await eventually(answered, seconds=60)

    async def register(self, number: int, content: bytes) -> None:
        uri, digest = models.store(self.folder / "artifacts", content)
        columns = [registry_types.Column(name=name, type=registry_types.DATA_TYPE_FLOAT32) for name in models.COLUMNS]
        event = registry.VersionRegistered(
            artifact=registry_types.Artifact(uri=uri, sha256=digest, format="onnx"),
            signature=registry_types.Signature(inputs=columns),
            stage="production",
            phase=registry_types.PHASE_PRODUCTION,
        )
        await self.others.record(KNOWN_VERSION, version_name(number), event)

    async def request(self, number: int, strategy: types.Strategy) -> str:
        request = rpc.RequestRolloutRequest(parent=ENDPOINT, version=version_name(number), strategy=strategy)

        async def accepted() -> str:
            try:
                reply = await self.call("RequestRollout", request)
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:  # The version's fact has not been folded yet.
                    return ""
                raise
            self.newest = reply.revision
            return str(reply.name)

        return str(await eventually(accepted))

    async def rollout(self, name: str) -> types.Rollout:
        read = ReadOptions(at_least=self.newest)
        found: types.Rollout = await self.call("GetRollout", rpc.GetRolloutRequest(name=name, read=read))
        return found

    async def finished(self, name: str) -> types.Rollout:
        async def over() -> types.Rollout | None:
            state = await self.rollout(name)
            return None if is_unfinished(state.state) else state

        found: types.Rollout = await eventually(over, seconds=60)
        return found


@asynccontextmanager
async def killable(
    nats: NatsServer,
    postgres: PostgresServer,
    folder: Path,
    schema: str,
    *,
    environment: dict[str, Any] | None = None,
    **more: str,
) -> AsyncIterator[Killable]:
    settings = {
        "nats_url": nats.address,
        "nats_user": "deployment",
        "nats_password_file": str(nats.password_file("deployment")),
        "nats_api_prefix": API_PREFIX,
        **postgres.urls_of("deployment"),
        "schema": schema,
        "data_dir": str(folder / "data"),
        "artifacts_dir": str(folder / "artifacts"),
        "lease_seconds": str(LEASE_SECONDS),
        "outlive": "false",
        **more,
    }
    process = ServiceProcess(
        "deployment",
        "services.deployment",
        settings=settings,
        folder=folder / "data",
        log=folder / "deployment.log",
        drain_seconds=1.0,
    )
    await process.start()
    made = Killable(process, folder, Others(nats), settings)
    try:
        defined = rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="production", **(environment or {}))
        await made.call("DefineEnvironment", defined)
        create = rpc.CreateEndpointRequest(parent=PROJECT, endpoint_id="fraud-eu", environment=ENVIRONMENT)
        await made.call("CreateEndpoint", create)
        yield made
    finally:
        await process.stop()


async def kill_again_and_again(place: Killable, name: str, seed: int) -> types.Rollout:
    """Crashes the service at four random moments of the rollout, then lets it finish."""
    moments = random.Random(seed)
    for _ in range(4):
        await asyncio.sleep(moments.uniform(0.05, 1.2))
        await place.process.kill()
        await place.process.start()
        if not is_unfinished((await place.rollout(name)).state):
            break
    return await place.finished(name)


async def test_a_canary_ends_as_if_the_service_had_never_been_killed(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with killable(nats, postgres, tmp_path, schema) as place:
        await place.register(1, models.classifier())
        await place.register(2, models.classifier(bias=1.0))
        await place.finished(await place.request(1, canary(10, hold=0)))
        host, _, path = (await address(place)).partition("/")
        async with Load(host, f"/{path}{PATH}", ROW) as load:
            name = await place.request(2, canary(10, 50, hold=1, max_error_rate=0.01, min_requests=5))
            ended = await kill_again_and_again(place, name, seed=7)
        assert ended.state == SUCCEEDED, ended
        assert set(load.statuses) == {200}, load.statuses
        assert load.statuses[200] > 300
        listed = await place.call("ListServingIntervals", rpc.ListServingIntervalsRequest(parent=PROJECT))
        assert [(row.version[-1], row.percent) for row in listed.serving_intervals] == [
            ("1", 100),
            ("1", 90),
            ("2", 10),
            ("1", 50),
            ("2", 50),
            ("2", 100),
        ]


async def test_a_bad_version_goes_back_although_the_service_is_killed(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with killable(nats, postgres, tmp_path, schema) as place:
        await place.register(1, models.classifier())
        await place.register(2, models.failing())
        await place.finished(await place.request(1, canary(10, hold=0)))
        host, _, path = (await address(place)).partition("/")
        async with Load(host, f"/{path}{PATH}", ROW) as load:
            name = await place.request(2, canary(20, hold=30, max_error_rate=0.05, min_requests=10))
            ended = await kill_again_and_again(place, name, seed=11)
        assert ended.state == ROLLED_BACK, ended
        assert set(load.statuses) == {200, 500}, load.statuses
        status, _ = await acall(host, f"/{path}{PATH}", ROW)
        assert status == 200


async def address(place: Killable) -> str:
    state = await place.call("GetEndpoint", rpc.GetEndpointRequest(name=ENDPOINT))
    return str(state.address).removeprefix("http://")


async def test_nothing_is_left_when_the_service_does_not_come_back(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with killable(nats, postgres, tmp_path, schema, lease_seconds=str(SHORT_SECONDS)) as place:
        await place.register(1, models.classifier())
        await place.finished(await place.request(1, canary(10, hold=0)))
        assert running(tmp_path)
        await place.process.kill()

        async def all_gone() -> bool:
            return not running(tmp_path)

        await eventually(all_gone, seconds=SHORT_SECONDS * 2 + 5)


def running(folder: Path) -> list[str]:
    """Command lines of replicas and gateways of this test."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder / "data") in line:
            found.append(line)
    return found
