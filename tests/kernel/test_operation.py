"""What operators rely on: health, status, metrics, traces, and a frozen resource that everybody can see."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import nats as nats_py
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kernel import telemetry
from kernel.settings import Settings
from modelog.log.v1.fact_pb2 import Fact
from modelog.status.v1 import status_service_pb2, status_service_pb2_grpc
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.kernel.test_reactor import ECHO, ECHOING, echoes
from tests.kernel.test_service import NAME, PARENT, Toys, refused
from tests.kernel.toy import TOY, TOYS, M

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def live(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Live]:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as up:
        yield up


async def health_becomes(live: Live, name: str, wanted: int) -> None:
    stub: Any = health_pb2_grpc.HealthStub(live.channel)
    async with asyncio.timeout(10):
        while (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status != wanted:
            await asyncio.sleep(0.1)


async def status(live: Live) -> status_service_pb2.GetStatusResponse:
    stub: Any = status_service_pb2_grpc.StatusServiceStub(live.channel)
    reply: status_service_pb2.GetStatusResponse = await stub.GetStatus(status_service_pb2.GetStatusRequest())
    return reply


async def put(nats: NatsServer, subject: str, payload: bytes) -> None:
    """Publishes as nobody should be able to."""
    client = await nats_py.connect(nats.url_for("provision"))
    await client.jetstream().publish(subject, payload)
    await client.close()


async def http(address: str, path: str) -> str:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer


async def test_poison_in_the_stream_is_shown_and_hurts_its_resource_only(live: Live, nats: NatsServer) -> None:
    toys = Toys(live)
    await health_becomes(live, "", SERVING)
    await health_becomes(live, "quarantine", SERVING)
    await toys.MakeToy(parent=PARENT, toy_id="ball", label="kept")
    await put(nats, TOY.subject(NAME), os.urandom(64))
    head = await live.rooms.resources.catch_up()
    code, reason, _ = await refused(toys.Add(name=NAME, amount=1))
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "RESOURCE_QUARANTINED")
    seen = await toys.GetToy(name=NAME)
    assert (seen.label, seen.quarantine.revision) == ("kept", head)
    assert (await toys.MakeToy(parent=PARENT, toy_id="other")).revision == head + 1
    await health_becomes(live, "quarantine", NOT_SERVING)
    await health_becomes(live, "registry", SERVING)
    told = await status(live)
    assert [(one.name, one.revision) for one in told.quarantined] == [(NAME, head)]
    assert (told.service, told.head, told.halted, list(told.drift)) == ("registry", head + 1, "", [])


async def test_metrics_and_probes_answer_over_http(live: Live) -> None:
    await Toys(live).MakeToy(parent=PARENT, toy_id="ball")
    metrics = await http(live.running.admin_address, "/metrics")
    assert (
        'modelog_rpc_server_call_duration_seconds_count{code="OK",method="modelog.registry.toy.ToyService/MakeToy"}'
        in metrics
    )
    assert "modelog_projection_position" in metrics
    assert "200 OK" in await http(live.running.admin_address, "/livez")
    assert "200 OK" in await http(live.running.admin_address, "/readyz")
    assert "404" in await http(live.running.admin_address, "/nowhere")


async def test_a_changed_stream_is_an_alarm(live: Live, nats: NatsServer) -> None:
    from kernel.pin import drift

    client = await nats_py.connect(nats.url_for("provision"))
    js = client.jetstream()
    config = (await js.stream_info("LIFECYCLE")).config
    config.max_msgs = 5
    await js.update_stream(config)
    await client.close()
    assert drift(await live.rooms.log.configuration()) == ["max_msgs is 5, pinned -1"]


async def test_a_trace_goes_from_the_caller_through_the_log_into_the_reaction(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    async with service(ECHOING, nats, postgres, tmp_path, schema=schema) as live:
        await Toys(live).MakeToy(parent=PARENT, toy_id="ball")
        call: Any = live.channel.unary_unary(
            "/modelog.registry.toy.ToyService/Add",
            request_serializer=M.AddRequest.SerializeToString,
            response_deserializer=M.AddResponse.FromString,
        )
        metadata = (("traceparent", f"00-{trace_id}-b7ad6b7169203331-01"), ("x-correlation-id", "order-7"))
        await call(M.AddRequest(name=NAME, amount=5), metadata=metadata)
        await echoes(live, 1)
        echo = await live.rooms.log.next(ECHO.subject(f"{PARENT}/echoes/e5"), 0)
    assert echo is not None
    fact = Fact.FromString(echo.payload)
    assert (fact.traceparent.split("-")[1], fact.correlation_id) == (trace_id, "order-7")
    names = {span.name for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == trace_id}
    assert names == {"modelog.registry.toy.ToyService/Add", "react modelog.registry.toy.ToyAdded"}
    assert trace.get_current_span() is not None


async def test_a_service_without_permission_or_method_does_not_start() -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool

    from kernel.identity import Development
    from kernel.rooms import now
    from kernel.rpc import Door

    file = descriptor_pb2.FileDescriptorProto(name="modelog/bare.proto", package="modelog.bare", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    file.service.add(name="Bare").method.add(
        name="Do", input_type=".google.protobuf.Timestamp", output_type=".google.protobuf.Timestamp"
    )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    door = Door(Development(), now, cast(Any, None))
    with pytest.raises(TypeError, match="required_permission"):
        door.handler(pool.FindServiceByName("modelog.bare.Bare"), object())
    with pytest.raises(TypeError, match="does not implement"):
        door.handler(pool.FindServiceByName("modelog.registry.toy.ToyService"), object())


async def test_the_development_identity_stays_on_loopback(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    with pytest.raises(SystemExit, match="loopback"):
        async with service(TOYS, nats, postgres, tmp_path, schema=schema, listen="0.0.0.0:0"):
            pass
    with pytest.raises(SystemExit, match="IDENTITY"):
        async with service(TOYS, nats, postgres, tmp_path, schema=schema, identity="none"):
            pass
    assert Settings(nats_url="", postgres_url="").identity == "development"
