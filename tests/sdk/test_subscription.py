"""Reading the log over broken connections: each fact once, in order, none left out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kernel.errors import Denied, Exhausted, Unavailable
from modelog.archive.v1.types_pb2 import FactFilter
from modelog.registry.v1 import events_pb2 as facts
from modelog.sdk import Entry, Hole, Refused, connect, connect_sync, subscription
from tests.sdk.fakes import FakeArchive, Plan, batch, refuse, serving

Reply = Any


def plan(*steps: Any) -> Plan:
    """Sends replies, refuses with refusals, and waits for ever at None."""

    async def play(_request: Any, context: Any) -> AsyncIterator[Reply]:
        for step in steps:
            if isinstance(step, Exception):
                await refuse(context, step)  # type: ignore[arg-type]
            elif step is None:
                await asyncio.Event().wait()
            else:
                yield step

    return play


BROKEN = Unavailable("LOG_UNREACHABLE", "broken")
SLOW = Exhausted("READER_TOO_SLOW", "slow")


async def read(archive: FakeArchive, count: int, kind: str = "async", **options: Any) -> list[int]:
    """The revisions of the first `count` facts, or of all when the log ends before."""

    async def taken(address: str) -> list[int]:
        async with connect(archive=address) as client:
            revisions: list[int] = []
            async for entry in client.subscribe(**options):
                revisions.append(entry.revision)
                if len(revisions) == count:
                    break
            return revisions

    def blocking(address: str) -> list[int]:
        with connect_sync(archive=address) as client:
            revisions: list[int] = []
            for entry in client.subscribe(**options):
                revisions.append(entry.revision)
                if len(revisions) == count:
                    break
            return revisions

    async with serving(archive=archive) as address:
        return await (taken(address) if kind == "async" else asyncio.to_thread(blocking, address))


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("break_", [BROKEN, SLOW], ids=["unreachable", "too-slow"])
async def test_it_goes_on_after_a_break_without_gap_or_repeat(kind: str, break_: Exception) -> None:
    archive = FakeArchive(plan(batch(1, 2), batch(3), break_), plan(batch(4, 5), break_), plan(batch(6), None))
    assert await read(archive, 6, kind) == [1, 2, 3, 4, 5, 6]
    assert [request.from_revision for request in archive.requests] == [1, 4, 6]
    assert all(request.follow for request in archive.requests)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_what_was_delivered_before_is_not_delivered_again(kind: str) -> None:
    archive = FakeArchive(plan(batch(1, 2), BROKEN), plan(batch(1, 2, 3), batch(3, 4), None))
    assert await read(archive, 4, kind) == [1, 2, 3, 4]


async def test_positions_without_facts_move_a_filtered_reader() -> None:
    archive = FakeArchive(plan(batch(3, position=3), batch(position=90, head=100), BROKEN), plan(batch(95), None))
    wanted = FactFilter(projects=["projects/risk"])
    assert await read(archive, 2, filter=wanted) == [3, 95]
    assert [request.from_revision for request in archive.requests] == [1, 91]
    assert archive.requests[-1].filter == wanted


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_fact_left_out_is_never_passed_over(kind: str) -> None:
    with pytest.raises(Hole, match="revision 2 was not delivered, 3 was"):
        await read(FakeArchive(plan(batch(1, 3), None)), 2, kind)


async def test_a_reader_that_does_not_follow_ends_with_the_log() -> None:
    archive = FakeArchive(plan(batch(5, 6)))
    assert await read(archive, 100, from_revision=5, follow=False) == [5, 6]
    assert not archive.requests[0].follow


async def test_a_break_behind_the_last_wanted_revision_needs_no_other_call() -> None:
    archive = FakeArchive(plan(batch(1, 2), BROKEN))
    assert await read(archive, 100, to_revision=2, follow=False) == [1, 2]
    assert len(archive.requests) == 1


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_what_will_not_pass_is_raised(kind: str) -> None:
    with pytest.raises(Refused) as caught:
        await read(FakeArchive(plan(batch(1), Denied("NO_PERMISSION", "no"))), 2, kind)
    assert caught.value.reason == "NO_PERMISSION"


async def test_patience_ends() -> None:
    with pytest.raises(Refused) as caught:
        await read(FakeArchive(plan(BROKEN)), 1, patience_seconds=0.5)
    assert caught.value.reason == "LOG_UNREACHABLE"


async def test_an_archive_that_falls_silent_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "_SILENCE_SECONDS", 0.2)
    archive = FakeArchive(plan(batch(1), None), plan(batch(2), None))
    assert await read(archive, 2) == [1, 2]
    assert [request.from_revision for request in archive.requests] == [1, 2]


async def test_an_entry_gives_its_envelope_and_its_event() -> None:
    async with serving(archive=FakeArchive(plan(batch(1), None))) as address, connect(archive=address) as client:
        reader = client.subscribe()
        entry = await anext(aiter(reader))
    assert entry.fact is not None
    assert (entry.revision, entry.subject, entry.fact.resource) == (1, "lifecycle.registry.risk", "projects/risk")
    assert entry.event == facts.ProjectCreated(title="title 1")
    assert (reader.position, reader.head) == (1, 1)


def test_what_cannot_be_read_is_shown_as_it_is() -> None:
    assert Entry(1, "s", b"\xff\xff").fact is None
    unknown = Entry(1, "s", b"")
    assert unknown.fact is not None
    unknown.fact.event.type_url = "type.googleapis.com/modelog.registry.v1.FromTheFuture"
    assert unknown.event is None
