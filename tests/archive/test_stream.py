"""Replaying the log and going on live, over a running service."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from kernel.log import Entry
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1.types_pb2 import FactFilter
from modelog.registry.v1 import events_pb2 as registry
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive, packed, refused
from tests.archive.stories import MODEL, START, VERSION, Chronicle, life_of_version

MODEL_SUBJECT = "lifecycle.registry.risk.models.fraud"
POISON = b"\xff\xfe\x00poison"


async def read(up: Archive, wanted: int = 0, **fields: Any) -> list[Entry]:
    """Entries until the stream ends, or until `wanted` have come."""
    found: list[Entry] = []
    call = up.stub.ReadFacts(rpc.ReadFactsRequest(**fields), timeout=30)
    async for reply in call:
        found += [Entry(one.revision, one.subject, one.payload) for one in reply.entries]
        assert not found or reply.position >= found[-1].revision
        if wanted and len(found) >= wanted:
            call.cancel()
            break
    return found


def story_of(count: int) -> Chronicle:
    story = Chronicle()
    for at in range(count):
        story.add("registry", f"projects/p{at % 3}", registry.ProjectCreated(title=str(at)))
    return story


async def test_the_whole_log_comes_back_byte_for_byte_poison_included(running: Archive) -> None:
    story = life_of_version("ab" * 32)
    await running.tell(story, start=0)
    poison = await running.put(MODEL_SUBJECT, POISON)
    found = await read(running)
    assert [one.revision for one in found] == list(range(1, len(found) + 1))
    theirs = [(one.subject, one.payload) for one in found if not one.subject.startswith("lifecycle.archive.")]
    assert theirs[:-1] == [(subject, packed(fact)) for subject, fact in story.facts]
    assert theirs[-1] == (found[poison - 1].subject, found[poison - 1].payload) == (MODEL_SUBJECT, POISON)


async def test_a_range_ends_where_it_was_told_to(running: Archive) -> None:
    await running.tell(story_of(20))
    assert [one.revision for one in await read(running, from_revision=5, to_revision=9)] == [5, 6, 7, 8, 9]
    assert [one.revision for one in await read(running, from_revision=5, to_revision=9, max_batch=2)] == [5, 6, 7, 8, 9]
    assert [one.revision for one in await read(running, from_revision=18, to_revision=99)] == [18, 19, 20]
    assert await read(running, from_revision=21) == []
    assert [one.revision for one in await read(running, from_revision=19, to_revision=20, follow=True)] == [19, 20]


@pytest.mark.parametrize(
    ("wanted", "revisions"),
    [
        (FactFilter(services=["monitoring"]), [17, 18, 19]),
        (FactFilter(projects=["projects/risk"], services=["monitoring"]), [17, 18, 19]),
        (FactFilter(projects=["projects/other"]), []),
        (FactFilter(resources=[MODEL]), [2]),
        (FactFilter(resource_prefixes=[f"{MODEL}/versions"]), [3, 4, 5, 6, 7, 8, 20, 21]),
        (FactFilter(resource_prefixes=[VERSION]), [3, 5, 6, 7, 8, 20, 21]),
        (FactFilter(event_types=["VersionRegistered", "modelog.registry.v1.ProjectCreated"]), [1, 3, 4]),
        (FactFilter(actors=["users/bob"]), [7]),
        (FactFilter(correlation_id="request-6"), [6]),
        (FactFilter(from_time=START + timedelta(hours=2), to_time=START + timedelta(hours=4)), [2, 3]),
        (FactFilter(resource_prefixes=["projects/%"]), []),
    ],
)
async def test_filters_leave_out_what_was_not_asked_for(
    running: Archive, wanted: FactFilter, revisions: list[int]
) -> None:
    head = await running.tell(life_of_version("ab" * 32))
    found = [one.revision for one in await read(running, filter=wanted, to_revision=head)]
    assert found == revisions


async def test_replay_goes_over_into_live_without_gap_or_repeat(running: Archive) -> None:
    story = story_of(600)
    before, after = story.facts[:200], story.facts[200:]
    for subject, fact in before:
        await running.put(subject, packed(fact))

    async def write() -> None:
        for subject, fact in after:
            await running.put(subject, packed(fact))

    writing = asyncio.create_task(write())
    readers = [read(running, 600 - start, from_revision=start + 1, follow=True) for start in (0, 150, 199, 250)]
    for start, found in zip((0, 150, 199, 250), await asyncio.gather(*readers), strict=True):
        assert [one.revision for one in found] == list(range(start + 1, 601))
        assert [one.payload for one in found] == [packed(fact) for _, fact in story.facts[start:]]
    await writing


async def test_a_resumed_reader_goes_on_where_it_stopped(running: Archive) -> None:
    await running.tell(story_of(50))
    revisions: list[int] = []
    while len(revisions) < 50:
        call = running.stub.ReadFacts(rpc.ReadFactsRequest(from_revision=len(revisions) + 1, max_batch=7), timeout=10)
        reply = await call.read()
        revisions += [one.revision for one in reply.entries]
        assert reply.position == revisions[-1]
        call.cancel()
    assert revisions == list(range(1, 51))


async def test_a_silent_log_is_told_by_heartbeats_with_position_and_head(running: Archive) -> None:
    head = await running.tell(story_of(5))
    call = running.stub.ReadFacts(
        rpc.ReadFactsRequest(
            follow=True, filter=FactFilter(services=["nobody"]), heartbeat_interval=timedelta(seconds=0.1)
        ),
        timeout=10,
    )
    replies = [await call.read() for _ in range(3)]
    call.cancel()
    assert all(not reply.entries and reply.send_time.seconds for reply in replies)
    assert (replies[-1].position, replies[-1].head) == (head, head)


async def test_large_facts_come_in_replies_a_client_accepts(running: Archive) -> None:
    subject = "lifecycle.registry.p.models.big"
    for at in range(100):
        await running.put(subject, bytes([at]) * 60_000)
    found = await read(running)
    assert [len(one.payload) for one in found] == [60_000] * 100


async def test_requests_that_make_no_sense_are_refused(running: Archive) -> None:
    async def ask(**fields: Any) -> tuple[grpc.StatusCode, str]:
        return await refused(read(running, **fields))

    assert (await ask(from_revision=-1))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (await ask(max_batch=5001))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (await ask(filter=FactFilter(projects=["risk"])))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_no_more_readers_than_there_are_places(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with archive(nats, postgres, tmp_path, schema, max_readers=2) as up:
        await up.tell(story_of(3))
        calls = [up.stub.ReadFacts(rpc.ReadFactsRequest(follow=True), timeout=10) for _ in range(2)]
        for call in calls:
            await call.read()
        assert await refused(read(up)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_READERS")
        calls[0].cancel()
        async with asyncio.timeout(5):
            while True:
                try:
                    assert len(await read(up)) == 3
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.05)  # The place is free once the server has seen the cancellation.
        calls[1].cancel()


async def test_a_reader_that_blocks_is_sent_away_with_its_position_and_loses_nothing(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    payload = bytes(60_000)
    async with archive(nats, postgres, tmp_path, schema, reader_stall_seconds=0.3) as up:
        for _ in range(250):
            await up.put("lifecycle.registry.p.models.big", payload)
        call = up.stub.ReadFacts(rpc.ReadFactsRequest(), timeout=30)
        revisions = [one.revision for one in (await call.read()).entries]
        await asyncio.sleep(1)

        async def take_the_rest() -> None:
            while reply := await call.read():
                revisions.extend(one.revision for one in reply.entries)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await take_the_rest()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert metadata_of(caught.value) == ("READER_TOO_SLOW", str(revisions[-1]))
        rest = await read(up, from_revision=revisions[-1] + 1)
        assert revisions + [one.revision for one in rest] == list(range(1, 251))


def metadata_of(error: grpc.aio.AioRpcError) -> tuple[str, str]:
    """Reason and position of a refusal."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return info.reason, info.metadata["position"]
