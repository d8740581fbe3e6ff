"""One contract for every log: the memory log of the test kit keeps what JetStream keeps."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from kernel.jetstream import JetStreamLog, connect
from kernel.log import Entry, Hole, Log, SameId, WrongRevision, tail
from kernel.pin import PINNED, drift
from kernel.receiving import Receiver
from suite.nats_server import API_PREFIX, NatsServer
from testkit.live import log_server
from testkit.memory_log import MemoryLog

A, B = "lifecycle.registry.p.toys.a", "lifecycle.registry.p.toys.b"


@pytest.fixture(params=["memory", "jetstream"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    if request.param == "memory":
        yield MemoryLog()
        return
    async with log_server(tmp_path) as nats:
        client = await client_of(nats)
        yield JetStreamLog(client, api_prefix=API_PREFIX)
        await client.close()


async def client_of(nats: NatsServer) -> Receiver:
    password = nats.password_file("registry").read_text().strip()
    return await connect(nats.address, name="registry", user="registry", password=password)


async def put(log: Log, subject: str, body: bytes, expected: int = 0) -> int:
    return await log.append(subject, body, expected=expected, fact_id=f"{subject}-{body.hex()}", event="toy.v1.Made")


async def taken(log: Log, after: int, count: int, below: str = "") -> Sequence[Entry]:
    entries: list[Entry] = []
    async with asyncio.timeout(10):
        async for batch in log.follow(after, below=below):
            entries += batch
            if len(entries) >= count:
                break
    return entries


async def test_positions_are_1_to_n_over_all_subjects(log: Log) -> None:
    assert [await put(log, A, b"1"), await put(log, B, b"1"), await put(log, A, b"2", 1)] == [1, 2, 3]
    assert await log.head() == 3
    assert await tail(log, A, 0) == [Entry(1, A, b"1"), Entry(3, A, b"2")]
    assert await log.next(A, 1) == Entry(3, A, b"2")
    assert await log.next(A, 3) is None


async def test_a_stale_expectation_appends_nothing(log: Log) -> None:
    await put(log, A, b"1")
    for expected in (0, 7):
        with pytest.raises(WrongRevision):
            await put(log, A, b"2", expected)
    assert await log.head() == 1


async def test_the_same_append_twice_is_one_entry(log: Log) -> None:
    assert await put(log, A, b"1") == await put(log, A, b"1") == 1
    await put(log, A, b"2", 1)
    assert await log.head() == 2


async def test_an_id_stored_elsewhere_is_told_with_its_entry(log: Log) -> None:
    await log.append(A, b"1", expected=0, fact_id="x", event="toy.v1.Made")
    with pytest.raises(SameId) as caught:
        await log.append(B, b"other", expected=0, fact_id="x", event="toy.v1.Made")
    assert caught.value.entry == Entry(1, A, b"1")
    assert await log.head() == 1


async def test_one_of_many_racers_wins_each_place(log: Log) -> None:
    async def race(body: bytes) -> bool:
        try:
            await put(log, A, body)
        except WrongRevision:
            return False
        return True

    won = await asyncio.gather(*(race(bytes([n])) for n in range(32)))
    assert sum(won) == 1


async def test_a_follower_gets_the_past_and_then_the_present(log: Log) -> None:
    for n in range(5):
        await put(log, f"{A}{n}", b"x")
    reading = asyncio.create_task(taken(log, 2, 5))
    await asyncio.sleep(0.05)
    for n in range(5, 7):
        await put(log, f"{A}{n}", b"x")
    assert [entry.revision for entry in await reading] == [3, 4, 5, 6, 7]


async def test_a_follower_of_one_service_gets_that_service_only(log: Log) -> None:
    reading = asyncio.create_task(taken(log, 0, 2, below="lifecycle.registry.q"))
    for subject in (A, "lifecycle.registry.q.toys.a", B, "lifecycle.registry.q.toys.b"):
        await put(log, subject, b"x")
    assert [entry.revision for entry in await reading] == [2, 4]


async def test_a_log_shorter_than_its_reader_is_a_hole(log: Log) -> None:
    await put(log, A, b"1")
    with pytest.raises(Hole):
        await taken(log, 5, 1)


async def test_the_log_is_set_up_as_pinned(log: Log) -> None:
    assert drift(await log.configuration()) == []


async def test_a_follower_survives_a_killed_server(nats: NatsServer) -> None:
    client = await client_of(nats)
    log = JetStreamLog(client, api_prefix=API_PREFIX)
    for n in range(3):
        await put(log, f"{A}{n}", b"x")
    reading = asyncio.create_task(taken(log, 0, 6))
    await asyncio.sleep(0.1)
    await nats.kill()
    await nats.start()
    for n in range(3, 6):
        await put(log, f"{A}{n}", b"x")
    assert [entry.revision for entry in await reading] == [1, 2, 3, 4, 5, 6]
    await client.close()


def test_drift_names_each_difference() -> None:
    changed = {**PINNED, "max_age": 5, "allow_msg_ttl": True}
    assert drift(changed) == ["max_age is 5, pinned 0", "allow_msg_ttl is set"]
