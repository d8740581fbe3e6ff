"""Followers share a few names without knowing of each other: nobody gets what another one asked for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kernel.consumers import NAMES, Consumers
from kernel.follow import Follower
from kernel.jetstream import JetStreamLog, connect
from kernel.receiving import Receiver
from suite.nats_server import API_PREFIX, NatsServer

COUNT = 300
CONFIG = {"deliver_policy": "all", "ack_policy": "none", "inactive_threshold": 60_000_000_000, "mem_storage": True}


@pytest.fixture
async def client(nats: NatsServer) -> AsyncIterator[Receiver]:
    password = nats.password_file("registry").read_text().strip()
    client = await connect(nats.address, name="test", user="registry", password=password)
    yield client
    await client.close()


async def filled(client: Receiver) -> int:
    """The head of a log that has COUNT entries more than before."""
    log = JetStreamLog(client, api_prefix=API_PREFIX)
    base = await log.head()
    await asyncio.gather(
        *(
            log.append(f"lifecycle.registry.p{base}.toys.{n}", b"x", expected=0, fact_id=f"{base}-{n}", event="toy")
            for n in range(COUNT)
        )
    )
    return await log.head()


def follower(client: Receiver, after: int, *, names: list[str], subjects: str = "") -> Follower:
    """One that takes ten at a time, so that it soon asks for nothing while nobody reads it."""
    made = Follower(
        client, stream="LIFECYCLE", api_prefix=API_PREFIX, after=after, filter_subject=subjects, pull=10, max_batch=10
    )
    made._consumers._names = names
    return made


async def read(one: Follower, last: int) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(30):
        while not seen or seen[-1] < last:
            seen += [entry.revision for entry in await one.batch()]
    return seen


@pytest.mark.parametrize("subjects", ["", "lifecycle.registry.>"])
async def test_two_that_take_the_same_name_from_each_other_both_miss_nothing(client: Receiver, subjects: str) -> None:
    """As at a failover, when the former process does not know yet that another one took over."""
    head = await filled(client)
    names = ["registry-1"]
    wanted = list(range(head - COUNT + 1, head + 1))
    async with follower(client, head - COUNT, names=names, subjects=subjects) as slow:
        seen = [entry.revision for entry in await slow.batch()]
        await asyncio.sleep(0.5)  # It has asked for no more than it can hold, so its name looks left over.
        async with follower(client, head - COUNT, names=names, subjects=subjects) as quick:
            first = [entry.revision for entry in await quick.batch()]
            await asyncio.sleep(0.5)
            seen += [entry.revision for _ in range(5) for entry in await slow.batch()]
            assert first + await read(quick, head) == wanted
        assert seen + await read(slow, head) == wanted


async def test_a_name_that_was_taken_over_answers_its_former_holder_with_an_error(client: Receiver) -> None:
    await filled(client)
    consumers = Consumers(client, stream="LIFECYCLE", api_prefix=API_PREFIX)
    consumers._names = ["registry-2"]
    former = await consumers.make(CONFIG)
    assert former is not None
    assert await consumers.make(CONFIG) is None  # Taken, and left over: it is freed for the next try.
    present = await consumers.make(CONFIG)
    assert present is not None
    assert present.name == former.name
    inbox = await client.subscribe(client.new_inbox())
    await consumers.request(former, {"batch": 1, "no_wait": True}, reply=inbox.subject)
    refused = await inbox.next_msg(timeout=5)
    assert (refused.headers or {}).get("Status") == "400"
    await consumers.request(present, {"batch": 1, "no_wait": True}, reply=inbox.subject)
    assert (await inbox.next_msg(timeout=5)).data == b"x"


async def test_one_whose_name_is_asked_under_is_not_taken_over(client: Receiver) -> None:
    head = await filled(client)
    async with follower(client, head, names=["registry-3"]) as first:
        reading = asyncio.create_task(first.batch())
        await asyncio.sleep(0.3)
        consumers = Consumers(client, stream="LIFECYCLE", api_prefix=API_PREFIX)
        consumers._names = ["registry-3"]
        for _ in range(3):
            assert await consumers.make(CONFIG) is None
        await filled(client)
        assert (await asyncio.wait_for(reading, 10))[0].revision == head + 1


async def test_what_crashed_processes_left_behind_keeps_nobody_out(client: Receiver) -> None:
    head = await filled(client)
    consumers = Consumers(client, stream="LIFECYCLE", api_prefix=API_PREFIX)
    left = 0
    while left < NAMES and await consumers.make(CONFIG) is not None:
        left += 1
    assert left > NAMES // 2  # The tests before may hold a few.
    async with Follower(client, stream="LIFECYCLE", api_prefix=API_PREFIX, after=head - 1) as late:
        assert [entry.revision for entry in await asyncio.wait_for(late.batch(), 5)] == [head]
