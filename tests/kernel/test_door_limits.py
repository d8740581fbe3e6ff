"""The limits at the door of a running service: what is refused, what is told, what is recorded, what is given back."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import nats as nats_client
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from kernel import telemetry
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.kernel.toy import TOYS, M

NAME = "projects/p/toys/ball"
ADA, BOB, NOBODY = (("x-modelog-actor", "users/ada"),), (("x-modelog-actor", "users/bob"),), (("x-modelog-actor", "?"),)


def call(live: Live, metadata: Any, method: str = "GetToy", **fields: Any) -> Any:
    stub: Any = live.channel.unary_unary(f"/modelog.registry.toy.ToyService/{method}")
    request = getattr(M, f"{method}Request")(**fields or {"name": NAME})
    return stub(request.SerializeToString(), timeout=10, metadata=metadata)


async def refused(awaitable: Any) -> tuple[grpc.StatusCode, str, float]:
    """Code, reason and the seconds to wait."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    for one in status.details if status else ():
        one.Unpack(info)
        one.Unpack(retry)
    return caught.value.code(), info.reason, retry.retry_delay.ToTimedelta().total_seconds()


async def recorded(server: NatsServer) -> int:
    """How many records the stream ACCESS holds."""
    owner = await nats_client.connect(server.url)
    try:
        return int((await owner.jetstream().stream_info("ACCESS")).state.messages)
    finally:
        await owner.close()


async def test_one_principal_over_its_rate_waits_and_another_does_not(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    rates = {"calls_per_second": 2.0, "calls_burst": 3.0}
    async with service(TOYS, nats, postgres, tmp_path, schema=schema, **rates) as live:
        for _ in range(3):
            assert (await refused(call(live, ADA)))[:2] == (grpc.StatusCode.NOT_FOUND, "TOY_NOT_FOUND")
        code, reason, wait_seconds = await refused(call(live, ADA))
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert 0 < wait_seconds <= 0.5
        assert (await refused(call(live, BOB)))[1] == "TOY_NOT_FOUND"
        await asyncio.sleep(wait_seconds + 0.05)
        assert (await refused(call(live, ADA)))[1] == "TOY_NOT_FOUND"
    assert await recorded(nats) == 0


async def test_waiting_calls_hold_places_that_come_back_however_they_end(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema, calls_at_once=2) as live:
        waiting = [call(live, ADA, name=NAME, read={"at_least": 1}) for _ in range(2)]
        await asyncio.sleep(0.2)
        assert (await refused(call(live, ADA)))[1] == "TOO_MANY_CALLS"
        assert (await refused(call(live, BOB)))[1] == "TOY_NOT_FOUND"
        waiting[0].cancel()
        await asyncio.sleep(0.2)
        assert (await refused(call(live, ADA)))[1] == "TOY_NOT_FOUND"
        await call(live, BOB, "MakeToy", parent="projects/p", toy_id="ball")
        await waiting[1]
        assert all([await call(live, ADA) for _ in range(5)])


async def test_strangers_cannot_fill_the_records_of_access(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    before = telemetry.UNRECORDED._value.get()
    rates = {"strangers_per_second": 0.1, "strangers_burst": 5.0}
    async with service(TOYS, nats, postgres, tmp_path, schema=schema, **rates) as live:
        answers = [await refused(call(live, NOBODY)) for _ in range(20)]
        assert [code for code, _, _ in answers[:5]] == [grpc.StatusCode.UNAUTHENTICATED] * 5
        assert {one[:2] for one in answers[5:]} == {(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")}
        assert 5 < answers[-1][2] <= 10
        assert (await refused(call(live, ADA)))[1] == "TOY_NOT_FOUND"
    assert await recorded(nats) == 5
    assert telemetry.UNRECORDED._value.get() - before == 15
