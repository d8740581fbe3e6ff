"""Places in the log kept for groups of consumers, over a running archive."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from modelog.archive.v1 import subscription_service_pb2 as rpc
from modelog.archive.v1 import subscription_service_pb2_grpc as stubs
from modelog.archive.v1 import subscriptions_pb2 as types
from modelog.archive.v1.types_pb2 import FactFilter
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive, refused
from tests.archive.stories import START
from tests.archive.test_stream import story_of

ALL = "projects/all"
NAME = f"{ALL}/subscriptions/warehouse"
NOT_NOW = grpc.StatusCode.FAILED_PRECONDITION
TOLD = FactFilter(services=["registry"])  # Leaves out the archive's own facts, the subscription's among them.


class Group:
    """The consumers of one subscription."""

    def __init__(self, up: Archive, name: str = NAME) -> None:
        self.stub: Any = stubs.SubscriptionServiceStub(up.live.channel)
        self.name = name

    async def create(self, from_revision: int = 1, parent: str = ALL, **settings: Any) -> str:
        request = rpc.CreateSubscriptionRequest(
            parent=parent, subscription_id="warehouse", settings=types.SubscriptionSettings(filter=TOLD, **settings)
        )
        if from_revision:
            request.start.revision = from_revision
        reply = await self.stub.CreateSubscription(request, timeout=10)
        await self.stub.GetSubscriptionProgress(rpc.GetSubscriptionProgressRequest(name=reply.name), timeout=10)
        return str(reply.name)  # And everything told before has been copied.

    async def pull(self, consumer: str = "one", seconds: float = 0, most: int = 0) -> rpc.PullFactsResponse:
        request = rpc.PullFactsRequest(name=self.name, consumer=consumer, max_facts=most)
        request.wait.FromTimedelta(timedelta(seconds=seconds))
        reply: rpc.PullFactsResponse = await self.stub.PullFacts(request, timeout=seconds + 10)
        return reply

    async def acknowledge(self, token: str) -> int:
        reply = await self.stub.AcknowledgeFacts(rpc.AcknowledgeFactsRequest(name=self.name, token=token), timeout=10)
        return int(reply.position)

    async def give_back(self, token: str) -> None:
        await self.stub.ExtendDeadline(rpc.ExtendDeadlineRequest(name=self.name, token=token), timeout=10)

    async def progress(self) -> types.SubscriptionProgress:
        request = rpc.GetSubscriptionProgressRequest(name=self.name)
        reply: types.SubscriptionProgress = await self.stub.GetSubscriptionProgress(request, timeout=10)
        return reply


def revisions(batch: rpc.PullFactsResponse) -> list[int]:
    return [one.revision for one in batch.entries]


async def test_batches_follow_each_other_and_the_place_is_kept(running: Archive) -> None:
    await running.tell(story_of(10))
    group = Group(running)
    assert await group.create() == NAME
    first = await group.pull(most=4)
    assert (revisions(first), first.attempt, first.position) == ([1, 2, 3, 4], 1, 0)
    assert not (await group.pull("two")).entries  # One batch at a time: order before speed.
    assert await group.acknowledge(first.token) == 4
    assert await group.acknowledge(first.token) == 4
    second = await group.pull("two", most=100)
    assert revisions(second) == [5, 6, 7, 8, 9, 10]
    progress = await group.progress()
    assert (progress.position, progress.batches[0].consumer, progress.batches[0].first_revision) == (4, "two", 5)
    assert progress.oldest_age.ToTimedelta() > timedelta(hours=1)
    await group.acknowledge(second.token)
    assert not (await group.pull()).entries
    done = await group.progress()
    assert done.lag == done.head - done.position == 0
    assert not done.HasField("oldest_age")


async def test_who_waits_gets_what_happens_next(running: Archive) -> None:
    group = Group(running)
    await group.create(0)
    waiting = asyncio.create_task(group.pull(seconds=20))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    last = await running.tell(story_of(1))
    assert revisions(await waiting) == [last]


async def test_what_is_not_acknowledged_in_time_goes_to_the_next(running: Archive) -> None:
    await running.tell(story_of(3))
    group = Group(running)
    await group.create(acknowledge_within=timedelta(seconds=1))
    lost = await group.pull("gone")
    again = await group.pull("two", seconds=10)
    assert (revisions(again), again.attempt) == (revisions(lost), 2)
    assert await refused(group.acknowledge(lost.token)) == (NOT_NOW, "BATCH_LOST")
    assert await group.acknowledge(again.token) >= 3
    assert await group.acknowledge(lost.token) >= 3  # It is done, whoever did it.


async def test_a_batch_given_back_comes_at_once_and_one_kept_longer_does_not(running: Archive) -> None:
    await running.tell(story_of(3))
    group = Group(running)
    await group.create(acknowledge_within=timedelta(seconds=1))
    first = await group.pull()
    await group.give_back(first.token)
    second = await group.pull("two")
    assert (revisions(second), second.attempt) == (revisions(first), 2)
    request = rpc.ExtendDeadlineRequest(name=NAME, token=second.token, within=timedelta(seconds=60))
    await group.stub.ExtendDeadline(request, timeout=10)
    assert not (await group.pull("three", seconds=2)).entries


async def test_side_by_side_the_place_moves_when_all_before_it_is_done(running: Archive) -> None:
    await running.tell(story_of(9))
    group = Group(running)
    await group.create(max_batches=3)
    batches = [await group.pull(str(number), most=3) for number in range(3)]
    assert [revisions(one) for one in batches] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert await group.acknowledge(batches[2].token) == 0
    assert await group.acknowledge(batches[0].token) == 3
    assert await group.acknowledge(batches[1].token) == 9
    assert not (await group.progress()).batches


async def test_set_back_it_hands_out_again_and_ahead_it_leaves_out(running: Archive) -> None:
    await running.tell(story_of(6))
    group = Group(running)
    await group.create()
    before = await group.pull()
    request = rpc.RewindSubscriptionRequest(name=NAME)
    request.start.time.FromDatetime(START + timedelta(hours=3))
    await group.stub.RewindSubscription(request, timeout=10)
    assert await refused(group.acknowledge(before.token)) == (NOT_NOW, "BATCH_LOST")
    assert revisions(await group.pull()) == [3, 4, 5, 6]
    await group.stub.RewindSubscription(rpc.RewindSubscriptionRequest(name=NAME), timeout=10)
    assert not (await group.pull()).entries


async def test_paused_it_keeps_its_place_and_removed_it_is_gone(running: Archive) -> None:
    await running.tell(story_of(2))
    group = Group(running)
    await group.create()
    await group.stub.PauseSubscription(rpc.PauseSubscriptionRequest(name=NAME), timeout=10)
    assert await refused(group.pull()) == (NOT_NOW, "SUBSCRIPTION_PAUSED")
    await group.stub.ResumeSubscription(rpc.ResumeSubscriptionRequest(name=NAME), timeout=10)
    assert revisions(await group.pull()) == [1, 2]
    await group.stub.RemoveSubscription(rpc.RemoveSubscriptionRequest(name=NAME), timeout=10)
    assert await refused(group.pull()) == (NOT_NOW, "SUBSCRIPTION_REMOVED")


async def test_a_subscription_of_a_project_sees_nothing_of_others(running: Archive) -> None:
    await running.tell(story_of(9))
    group = Group(running, "projects/p1/subscriptions/warehouse")
    await group.create(parent="projects/p1")
    assert revisions(await group.pull()) == [2, 5, 8]


async def test_a_new_filter_applies_to_what_comes_again(running: Archive) -> None:
    await running.tell(story_of(9))
    group = Group(running)
    await group.create()
    batch = await group.pull()
    only = FactFilter(services=["registry"], projects=["projects/p2"])
    update = rpc.UpdateSubscriptionRequest(name=NAME, settings=types.SubscriptionSettings(filter=only))
    await group.stub.UpdateSubscription(update, timeout=10)
    await group.give_back(batch.token)
    assert revisions(await group.pull()) == [3, 6, 9]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_fact_is_worked_on_though_consumers_die_and_the_archive_is_started_anew(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, seed: int
) -> None:
    """Consumers lose a third of their batches, and the archive is started anew in between: each fact is done."""
    chance, done = random.Random(seed), Counter[int]()

    async def consume(group: Group, until: int) -> None:
        while (await group.progress()).position < until:
            batch = await group.pull(f"consumer-{chance.randrange(9)}", seconds=2, most=chance.randint(1, 7))
            if not batch.entries or chance.random() < 0.3:
                continue
            done.update(revisions(batch))
            assert await group.acknowledge(batch.token) >= batch.entries[-1].revision or len(batch.entries) > 0

    settings: dict[str, Any] = {"max_batches": 2, "acknowledge_within": timedelta(seconds=1)}
    async with archive(nats, postgres, tmp_path, schema) as up:
        await up.tell(story_of(60))
        await Group(up).create(**settings)
        await asyncio.gather(*(consume(Group(up), 30) for _ in range(3)))
    async with archive(nats, postgres, tmp_path, schema) as up:
        await asyncio.gather(*(consume(Group(up), 60) for _ in range(3)))
        progress = await Group(up).progress()
    assert set(done) == set(range(1, 61))
    assert progress.position >= 60
