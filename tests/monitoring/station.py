"""A running monitoring service, with the hands of others: facts of registry and deployment, telemetry, a client."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from kernel.cause import Cause, fact_of
from kernel.fold import Kind, apply, event_type
from kernel.jetstream import JetStreamLog, connect
from kernel.receiving import Receiver
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.deployment.v1 import types_pb2 as deployment_types
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import monitoring_service_pb2_grpc as stubs
from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from modelog.type.v1.principal_pb2 import Principal
from services.monitoring.__main__ import BLUEPRINT
from services.monitoring.domain import KNOWN_ENDPOINT, KNOWN_VERSION
from services.monitoring.telemetry.consumer import stream_ends
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.monitoring.build import ENDPOINT, MONITOR, VERSION, column

_SECONDS = 20
_requests = itertools.count(1)


class Station:
    """See the module. Calls go by the method's name: `await station.call("GetMonitor", name=...)`."""

    def __init__(self, live: Live, client: Receiver) -> None:
        self.live = live
        self._client = client
        self._log = JetStreamLog(client)
        self._stub: Any = stubs.MonitoringServiceStub(live.channel)
        self._others: dict[str, Any] = {}

    async def call(self, method: str, *, actor: str = "users/ada", **fields: Any) -> Any:
        described = rpc.DESCRIPTOR.services_by_name["MonitoringService"].methods_by_name[method].input_type
        request = message_factory.GetMessageClass(described)(**fields)
        return await getattr(self._stub, method)(request, timeout=_SECONDS, metadata=(("x-modelog-actor", actor),))

    async def refused(self, method: str, **fields: Any) -> tuple[str, str, list[str]]:
        """Code, reason and wrong fields of a call that must be refused."""
        try:
            reply = await self.call(method, **fields)
        except grpc.aio.AioRpcError as error:
            return (error.code().name, *details(error))
        raise AssertionError(f"{method} was answered: {reply}")

    async def other(self, kind: Kind, name: str, event: Message) -> int:
        """Appends a fact of another service; returns its revision."""
        state = self._others.setdefault(name, kind.message())
        actor = Principal(id=f"services/{kind.service}", auth_method="development")
        cause = Cause(actor=actor, request_id=f"{next(_requests)}", now=datetime.now(UTC))
        fact = fact_of(kind, name, state, event, cause, ())
        payload = fact.SerializeToString(deterministic=True)
        revision = await self._log.append(
            kind.subject(name), payload, expected=state.revision, fact_id=fact.id, event=event_type(fact)
        )
        apply(kind, state, fact, revision)
        await self.live.rooms.resources.wait(revision)
        return revision

    async def serve(self, *versions: str) -> int:
        """Traffic goes to these versions, in equal parts."""
        shares = [deployment_types.TrafficShare(version=one, percent=100 // len(versions)) for one in versions]
        return await self.other(KNOWN_ENDPOINT, ENDPOINT, deployment.TrafficShifted(traffic=shares))

    async def register(self, version: str = VERSION, *, answers: str = "") -> int:
        signature = registry_types.Signature(
            inputs=[registry_types.Column(name="age", type=registry_types.DATA_TYPE_FLOAT64)],
            outputs=[registry_types.Column(name="label", type=registry_types.DATA_TYPE_INT64)],
        )
        event = registry.VersionRegistered(signature=signature, answers=answers)
        return await self.other(KNOWN_VERSION, version, event)

    async def create(self, *checks: types.Check, window: types.WindowSpec, name: str = MONITOR) -> None:
        parent, _, monitor_id = name.rpartition("/monitors/")
        made = await self.call(
            "CreateMonitor", parent=parent, monitor_id=monitor_id, endpoint=ENDPOINT, window=window, checks=checks
        )
        await self.live.rooms.resources.wait(made.revision)

    async def baseline(self, ages: Any, labels: Any, name: str = MONITOR) -> str:
        values = rpc.BaselineValues(inputs=[column("age", ages)], outputs=[column("label", labels)])
        captured = await self.call("CaptureBaseline", name=name, values=values)
        await self.live.rooms.resources.wait(captured.revision)
        return str(captured.digest)

    async def send(self, *messages: telemetry.PredictionBatch | telemetry.OutcomeBatch) -> None:
        """Publishes telemetry as an inference server does, and waits until the stream has it."""
        for message in messages:
            kind = "predictions" if isinstance(message, telemetry.PredictionBatch) else "outcomes"
            await self.send_raw(f"telemetry.{kind}.risk.fraud-eu", message.SerializeToString())

    async def send_raw(self, subject: str, payload: bytes) -> None:
        await self._client.request(subject, payload, timeout=5)

    async def counted(self, seconds: float = _SECONDS) -> int:
        """Waits until everything in the stream is counted; returns the position."""
        head, _ = await stream_ends(self.live.rooms)

        async def reached() -> int:
            position: int = await self.live.rooms.kept.fetchval("select position from progress")
            return position if position >= head else 0

        return int(await eventually(reached, seconds)) if head else 0

    async def monitor(self, until: Callable[[types.Monitor], bool], name: str = MONITOR) -> types.Monitor:
        """The monitor once the condition holds."""

        async def found() -> types.Monitor | None:
            monitor: types.Monitor = await self.call("GetMonitor", name=name)
            return monitor if until(monitor) else None

        result: types.Monitor = await eventually(found)
        return result


async def eventually(ask: Callable[[], Awaitable[Any]], seconds: float = _SECONDS) -> Any:
    """The first true answer; a test that waits in vain fails with the last one."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (answer := await ask()):
        assert asyncio.get_running_loop().time() < deadline, f"still {answer!r} after {seconds} s"
        await asyncio.sleep(0.03)
    return answer


def details(error: grpc.aio.AioRpcError) -> tuple[str, list[str]]:
    """Reason and wrong fields of a refusal."""
    reason, fields = "", []
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for one in status.details if status else ():
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if one.Unpack(info):
            reason = info.reason
        elif one.Unpack(bad):
            fields = [violation.field for violation in bad.field_violations]
    return reason, fields


@asynccontextmanager
async def station(
    nats: NatsServer, postgres: PostgresServer, folder: Path, *, schema: str, **settings: Any
) -> AsyncIterator[Station]:
    """The service over these servers; its clock looks ten times a second."""
    values = {"tick_seconds": 0.1, "telemetry_delay_seconds": 0.5} | settings
    client = await connect(nats.url, name="provision")
    try:
        async with service(BLUEPRINT, nats, postgres, folder, schema=schema, **values) as live:
            yield Station(live, client)
    finally:
        await client.close()
