"""What every measure stands on: servers of this run's own in a folder of its own, and the registry as a process."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import grpc.aio
import nats

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import registry_service_pb2_grpc
from modelog.status.v1 import status_service_pb2, status_service_pb2_grpc
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from suite.provision import provision
from suite.service_process import ServiceProcess
from tests.bench.samples import PROJECT_NAME, Stored, model_name

_CALLS_SECONDS = 30.0
_CATCH_UP_SECONDS = 300.0
_IN_FLIGHT = 2000  # JetStream refuses what waits beyond 10,000 messages.


@dataclass
class Registry:
    """The registry's process: its address for callers, frozen while something else is measured."""

    service: ServiceProcess
    schema: str
    # Of whoever asks how it does, where it asks who that is.
    token: str = ""

    @property
    def address(self) -> str:
        return self.service.address

    @property
    def pid(self) -> int:
        return self.service.process.pid

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Else its projector would read along with whatever the floor writes, and slow the floor down."""
        self.service.process.send(SIGSTOP)
        try:
            yield
        finally:
            self.service.process.send(SIGCONT)

    async def restart(self) -> None:
        """It forgets what it knew by heart, and comes back with its views as they are."""
        await self.service.stop()
        await self.service.start()
        await self.caught_up()

    async def caught_up(self) -> int:
        """Waits until its views hold the whole log; returns how long that is."""
        async with grpc.aio.insecure_channel(self.address) as channel, asyncio.timeout(_CATCH_UP_SECONDS):
            stub: Any = status_service_pb2_grpc.StatusServiceStub(channel)
            by = (("authorization", f"Bearer {self.token}"),) if self.token else ()
            while True:
                request = status_service_pb2.GetStatusRequest()
                status = await stub.GetStatus(request, timeout=_CALLS_SECONDS, metadata=by)
                if status.halted or status.quarantined:
                    raise RuntimeError(f"the registry's views are not sound: {status}")
                if status.position == status.head:
                    return int(status.head)
                await asyncio.sleep(0.1)

    async def create(self, models: int) -> list[str]:
        """The project and its models `m0`, `m1`, ..., over the door; their names."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub: Any = registry_service_pb2_grpc.RegistryServiceStub(channel)
            project = PROJECT_NAME.removeprefix("projects/")
            await stub.CreateProject(rpc.CreateProjectRequest(project_id=project), timeout=_CALLS_SECONDS)
            for number in range(models):
                request = rpc.CreateModelRequest(parent=PROJECT_NAME, model_id=f"m{number}")
                await stub.CreateModel(request, timeout=_CALLS_SECONDS)
        return [model_name(f"m{number}") for number in range(models)]


@dataclass
class Ground:
    """Each measure takes a log of its own; Postgres is shared, each in a schema of its own."""

    folder: Path
    postgres: PostgresServer
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def schema(self) -> str:
        return f"bench_{next(self._numbers)}"

    @asynccontextmanager
    async def log(self) -> AsyncIterator[NatsServer]:
        async with NatsServer(self.folder / f"nats{next(self._numbers)}") as server:
            await provision(server.url)
            yield server

    @asynccontextmanager
    async def registry(
        self, log: NatsServer, module: str = "services.registry", **more: str
    ) -> AsyncIterator[Registry]:
        """`python -m services.registry` with every role and everything switched on, as the suite starts it.

        more: settings beside those every measure needs. module: another registry to compare it with.
        """
        schema = self.schema()
        folder = self.folder / "services" / schema
        settings = {
            "nats_url": log.address,
            "nats_user": "registry",
            "nats_password_file": str(log.password_file("registry")),
            "nats_api_prefix": API_PREFIX,
            **self.postgres.urls_of("registry"),
            "schema": schema,
            "data_dir": str(folder),
            "artifacts_dir": str(self.folder / "artifacts"),
            **more,
        }
        service = ServiceProcess(
            "registry", module, settings=settings, folder=folder, log=folder / "log", drain_seconds=1.0
        )
        await service.start()
        try:
            yield Registry(service, schema)
        finally:
            await service.stop()


def log_order(log: NatsServer, user: str) -> dict[str, str]:
    """What a child needs to connect to the log as `user`."""
    prefix = "$JS.API" if user == "provision" else API_PREFIX
    password = log.password_file(user).read_text().strip()
    return {"nats_url": log.address, "user": user, "password": password, "api_prefix": prefix}


async def publish(log: NatsServer, facts: Iterable[Stored]) -> int:
    """Appends facts to an empty log as a service would, but many in flight; returns the log's length.

    Nobody else writes, so the position of each fact is known before it is acknowledged. Not a measure of anything.
    """
    client = await nats.connect(log.url)
    last: dict[str, int] = {}
    room = asyncio.Semaphore(_IN_FLIGHT)
    refused: list[bytes] = []

    async def acknowledged(message: Any) -> None:
        if b'"error"' in message.data and not refused:
            refused.append(message.data)
        room.release()

    try:
        inbox = client.new_inbox()
        await client.subscribe(inbox, cb=acknowledged, pending_msgs_limit=0, pending_bytes_limit=0)
        for revision, fact in enumerate(facts, 1):
            headers = {
                "Nats-Msg-Id": fact.fact_id,
                "Nats-Expected-Last-Subject-Sequence": str(last.get(fact.subject, 0)),
                "ce-type": fact.event,
            }
            last[fact.subject] = revision
            await room.acquire()
            await client.publish(fact.subject, fact.payload, reply=inbox, headers=headers)
        for _ in range(_IN_FLIGHT):
            await room.acquire()
        if refused:
            raise RuntimeError(f"the log refused a fact: {refused[0]!r}")
        return int((await client.jetstream().stream_info("LIFECYCLE")).state.last_seq)
    finally:
        await client.close()
