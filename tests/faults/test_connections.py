"""Each limit of connections does what its option says: gRPC ignores an option that it does not know."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

import kernel.service
from kernel import arriving, connections
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.archive.calls import archive
from tests.archive.stories import life_of_version
from tests.faults.frames import Wire, bare, connected
from tests.kernel.toy import TOYS, M

GET = "/modelog.registry.toy.ToyService/GetToy"
WITHIN = {"connection_age_seconds": 1.0, "connection_grace_seconds": 1.0, "connection_idle_seconds": 0.5}


@pytest.fixture
async def live(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Live]:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as up:
        yield up


def said(wire: Wire) -> list[dict[str, str]]:
    """Headers and trailers that the server sent."""
    return [dict(event.headers) for event in wire.events if hasattr(event, "headers")]


async def answered(wire: Wire) -> None:
    """Reads until the server has said how the call ended; a busy machine takes its time."""
    for _ in range(100):
        await wire.read(0.1)
        if any("grpc-status" in headers for headers in said(wire)):
            return


async def test_a_server_says_how_many_streams_it_takes_and_how_much_metadata(live: Live) -> None:
    wire = await connected(live.running.address, 0.3)
    assert wire.h2.remote_settings.max_concurrent_streams == 100
    assert wire.h2.remote_settings.max_header_list_size == 32 * 1024
    wire.close()


async def test_who_pings_as_seldom_as_the_sdk_is_left_alone(live: Live) -> None:
    wire = await connected(live.running.address)
    for _ in range(2):
        wire.h2.ping(b"12345678")
        await wire.flush()
        await wire.read(0.2)
    assert wire.goaway is None
    assert not wire.closed
    wire.close()


async def test_more_metadata_than_that_is_refused(live: Live) -> None:
    wire = await connected(live.running.address)
    wire.request(GET, [("x-junk", "j" * 1000)] * 60, end=True)
    await wire.flush()
    await answered(wire)
    assert [headers["grpc-status"] for headers in said(wire)] == ["8"]
    wire.close()


async def test_a_message_that_says_it_is_larger_than_the_limit_is_refused_before_it_comes(live: Live) -> None:
    wire = await connected(live.running.address)
    stream = wire.request(GET)
    wire.h2.send_data(stream, b"\0" + (400_000).to_bytes(4, "big"))
    await wire.flush()
    await answered(wire)
    assert "8" in [headers.get("grpc-status") for headers in said(wire)]
    wire.close()


async def test_who_pings_too_often_is_sent_away(live: Live) -> None:
    wire = await connected(live.running.address)
    pings = 0
    while wire.goaway is None and pings < 20:
        wire.h2.ping(b"12345678")
        await wire.flush()
        await wire.read(0.05)
        pings += 1
    assert 3 < pings < 20
    assert wire.goaway.additional_data == b"too_many_pings"


async def test_idle_connections_and_silent_ones_are_closed_and_old_ones_even_with_a_call_open(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema, **WITHIN) as live:
        idle, silent, busy = (
            await connected(live.running.address),
            await bare(live.running.address),
            await connected(live.running.address),
        )
        busy.request(GET)
        await busy.flush()
        began = time.monotonic()
        await asyncio.gather(idle.read(5), busy.read(5), _ended(silent))
        assert time.monotonic() - began < 4.5
        assert idle.goaway.additional_data == b"connection idle"
        assert busy.closed


async def _ended(wire: Wire) -> None:
    async with asyncio.timeout(5):
        while await wire.reader.read(4096):
            pass


async def test_requests_that_do_not_arrive_give_their_places_back(
    nats: NatsServer,
    postgres: PostgresServer,
    tmp_path: Path,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first are only cancelled; past those the door takes requests in itself, and says why it refuses."""
    monkeypatch.setattr(arriving, "SECONDS", 2.0)
    monkeypatch.setattr(connections, "MOST_CALLS", 240)
    monkeypatch.setattr(kernel.service, "MOST_CALLS", 240)
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as live:
        wires = [await connected(live.running.address) for _ in range(3)]
        for wire in wires:
            for _ in range(90):
                wire.request(GET)
            await wire.flush()
        await asyncio.gather(*(wire.read(5.0) for wire in wires))
        told = [headers["grpc-status"] for wire in wires for headers in said(wire) if "grpc-status" in headers]
        # An address has half of the 240 places for what has not arrived; the first 64 were not looked at so closely.
        assert told.count("4") == 120
        assert told.count("8") == 270 - 120 - 64
        assert not caplog.records
        normal: Any = live.channel.unary_unary(GET)
        with pytest.raises(grpc.aio.AioRpcError) as caught:  # Answered, so let in: the places are free again.
            await normal(M.GetToyRequest(name="projects/p/toys/ball").SerializeToString(), timeout=5)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        for wire in wires:
            wire.close()


async def test_a_reader_of_facts_gets_all_of_them_over_connections_that_grow_old(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    from modelog.sdk import connect

    age: dict[str, Any] = {"connection_age_seconds": 0.4, "connection_grace_seconds": 0.1}
    async with archive(nats, postgres, tmp_path, schema, **age) as up:
        story = life_of_version("ab" * 32)
        found: list[int] = []

        async def read() -> None:
            async with connect(archive=up.live.running.address) as client:
                async for entry in client.subscribe():
                    found.append(entry.revision)
                    if len(found) == 3 * len(story.facts):
                        return

        reading = asyncio.create_task(read())
        for _ in range(3):  # Each telling is older connections later than the one before.
            await up.tell(story)
            await asyncio.sleep(0.7)
        await asyncio.wait_for(reading, 30)
        assert found == list(range(1, len(found) + 1))


async def test_streams_are_limited_and_a_cancelled_one_makes_room(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    from modelog.archive.v1 import archive_service_pb2 as requests

    async with archive(nats, postgres, tmp_path, schema, streams_at_once=2) as up:
        follow = requests.ReadFactsRequest(follow=True, heartbeat_interval={"seconds": 1})
        readers = [up.stub.ReadFacts(follow, timeout=30) for _ in range(2)]
        for reader in readers:
            await reader.read()
        with pytest.raises(grpc.aio.AioRpcError, match="has 2 streams open"):
            await up.stub.ReadFacts(follow, timeout=30).read()
        readers[0].cancel()
        await asyncio.sleep(0.3)
        assert (await up.stub.ReadFacts(follow, timeout=30).read()).head >= 0
        for reader in readers:
            reader.cancel()
