"""Calls of a running registry, and a hand that writes the facts of other services."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from kernel.cause import Cause, fact_of
from kernel.fold import Kind, apply, event_type
from kernel.jetstream import JetStreamLog, connect
from modelog.registry.v1 import collaboration_service_pb2, webhook_service_pb2
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.type.v1.principal_pb2 import Principal
from services.registry.__main__ import BLUEPRINT
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, actor, service
from tests.registry.build import ADA, MODEL_NAME, PROJECT_NAME, artifact

_METHODS = {
    method.name: method
    for file in (rpc, collaboration_service_pb2, webhook_service_pb2)
    for service_ in file.DESCRIPTOR.services_by_name.values()
    for method in service_.methods
}
_numbers = itertools.count(1)


def _bytes_of(request: Any) -> bytes:
    return request if isinstance(request, bytes) else bytes(request.SerializeToString())


class Office:
    """`office.GetVersion(name=...)` calls; `by` says who does it, `raw` sends bytes instead of fields."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def __getattr__(self, method: str) -> Any:
        descriptor = _METHODS[method]
        request: Any = GetMessageClass(descriptor.input_type)
        call: Any = self.live.channel.unary_unary(
            f"/{descriptor.containing_service.full_name}/{method}",
            request_serializer=_bytes_of,
            response_deserializer=GetMessageClass(descriptor.output_type).FromString,
        )

        async def ask(raw: bytes | None = None, by: str = ADA, **fields: Any) -> Any:
            return await call(request(**fields) if raw is None else raw, timeout=20, metadata=actor(by))

        return ask

    async def found_model(self) -> None:
        """The project and the model that most tests need."""
        await self.CreateProject(project_id="risk", title="Risk")
        await self.CreateModel(parent=PROJECT_NAME, model_id="fraud", details={"title": "Fraud"})

    async def register(self, **fields: Any) -> str:
        """Name of a new version."""
        reply = await self.RegisterVersion(parent=MODEL_NAME, artifact=artifact(), **fields)
        name: str = reply.name
        return name


async def refused(awaitable: Any) -> tuple[str, str, list[str]]:
    """Code, reason and wrong fields of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    assert status is not None, caught.value
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for one in status.details:
        one.Unpack(info)
        one.Unpack(bad)
    return caught.value.code().name, info.reason, [violation.field for violation in bad.field_violations]


@dataclass
class Elsewhere:
    """Appends facts of other services to the log, under those services' own rights."""

    nats: NatsServer
    states: dict[str, Any] = field(default_factory=dict)

    async def record(self, on: Kind, name: str, event: Message) -> int:
        state = self.states.setdefault(name, on.message())
        cause = Cause(Principal(id=f"services/{on.service}"), f"elsewhere-{next(_numbers)}", datetime.now(UTC))
        fact = fact_of(on, name, state, event, cause, ())
        password = self.nats.password_file(on.service).read_text().strip()
        client = await connect(self.nats.address, name="elsewhere", user=on.service, password=password)
        try:
            revision = await JetStreamLog(client, api_prefix=API_PREFIX).append(
                on.subject(name),
                fact.SerializeToString(deterministic=True),
                expected=state.revision,
                fact_id=fact.id,
                event=event_type(fact),
            )
        finally:
            await client.close()
        apply(on, state, fact, revision)
        return revision


@asynccontextmanager
async def office(
    nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str, **settings: Any
) -> AsyncIterator[Office]:
    async with service(BLUEPRINT, nats, postgres, folder, schema=schema, **settings) as live:
        yield Office(live)
