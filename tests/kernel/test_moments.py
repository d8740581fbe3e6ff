"""Reads of the past: what a read answers as of a revision is what it answered when that was the newest."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from modelog.log.v1.fact_pb2 import Fact
from modelog.state.v1 import state_service_pb2 as states
from modelog.state.v1.state_service_pb2_grpc import StateServiceStub
from modelog.type.v1.read_pb2 import ReadOptions
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.kernel.test_service import Toys, refused
from tests.kernel.toy import TOYS

PROJECTS = ("projects/p", "projects/p-2")
NAMES = [f"{project}/toys/t{number}" for project in PROJECTS for number in range(3)]


@pytest.fixture
async def live(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Live]:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as up:
        yield up


@dataclass
class Readers:
    """Every sort of read of the toy service, each as the bytes of all that it answers."""

    live: Live
    toys: Toys = field(init=False)
    states: Any = field(init=False)

    def __post_init__(self) -> None:
        self.toys, self.states = Toys(self.live), StateServiceStub(self.live.channel)

    async def all(self, read: ReadOptions) -> dict[str, Any]:
        answered: dict[str, Any] = {name: await self.one(name, read) for name in NAMES}
        for project in PROJECTS:
            answered[f"list {project}"] = await self.listed(self.toys.ListToys, "toys", read, parent=project)
        for parent in ("", *PROJECTS):
            answered[f"states {parent}"] = await self.stated(parent, read)
        return answered

    async def one(self, name: str, read: ReadOptions) -> bytes:
        try:
            return bytes((await self.toys.GetToy(name=name, read=read)).SerializeToString())
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return b""

    async def listed(self, method: Any, many: str, read: ReadOptions, **fields: Any) -> list[bytes]:
        found: list[bytes] = []
        token = ""
        while True:
            reply = await method(page_size=2, page_token=token, read=read, **fields)
            assert len(getattr(reply, many)) <= 2
            found += [one.SerializeToString(deterministic=True) for one in getattr(reply, many)]
            token = reply.next_page_token
            if not token:
                return found

    async def stated(self, parent: str, read: ReadOptions) -> list[bytes]:
        async def ask(**fields: Any) -> Any:
            return await self.states.ListStates(states.ListStatesRequest(**fields), timeout=10)

        return await self.listed(ask, "states", read, parent=parent)

    async def changed(self, parent: str, since: int, upto: int) -> dict[str, tuple[bytes, ...]]:
        async def ask(**fields: Any) -> Any:
            return await self.states.ListChanges(states.ListChangesRequest(**fields), timeout=10)

        read = ReadOptions(as_of_revision=upto)
        bodies = await self.listed(ask, "changes", read, parent=parent, from_revision=since)
        found = [states.ResourceChange.FromString(one) for one in bodies]
        assert len({one.name for one in found}) == len(found)
        return {
            one.name: tuple(
                part.SerializeToString(deterministic=True) if part.name else b"" for part in (one.before, one.after)
            )
            for one in found
        }


async def step(chance: random.Random, toys: Toys) -> int:
    """Something happens; the revision of it."""
    name = chance.choice(NAMES)
    parent, _, toy = name.partition("/toys/")
    done = await toys.MakeToy(parent=parent, toy_id=toy, label=chance.choice("abc"))
    match chance.randrange(3):
        case 0:
            done = await toys.MakePart(parent=name, label="part")
        case 1 | 2:
            done = await toys.Add(name=name, amount=chance.randint(1, 9))
    return int(done.revision)


def by_name(bodies: list[bytes]) -> dict[str, bytes]:
    return {states.ResourceState.FromString(one).name: one for one in bodies}


async def recorded_times(live: Live, head: int) -> dict[int, datetime]:
    times: dict[int, datetime] = {}
    for revision in range(1, head + 1):
        entry = await live.rooms.log.next("lifecycle.>", revision - 1)
        assert entry is not None
        times[revision] = Fact.FromString(entry.payload).recorded_at.ToDatetime(tzinfo=UTC)
    return times


@pytest.mark.parametrize("seed", range(3))
async def test_a_read_of_the_past_is_what_was_answered_then(seed: int, live: Live) -> None:
    chance, readers = random.Random(seed), Readers(live)
    then: dict[int, dict[str, Any]] = {}
    for _ in range(12):
        revision = await step(chance, readers.toys)
        then[revision] = await readers.all(ReadOptions(at_least=revision))
    head = max(then)
    times = await recorded_times(live, head)
    for revision, answered in then.items():
        assert await readers.all(ReadOptions(as_of_revision=revision)) == answered, revision
        if revision == head or times[revision] < times[revision + 1]:
            read = ReadOptions()
            read.as_of_time.FromDatetime(times[revision])
            assert await readers.all(read) == answered, f"{revision} at {times[revision]}"


@pytest.mark.parametrize("seed", range(2))
async def test_changes_are_the_difference_of_the_states(seed: int, live: Live) -> None:
    chance, readers = random.Random(seed), Readers(live)
    head = 0
    for _ in range(12):
        head = await step(chance, readers.toys)
    for parent in ("", *PROJECTS):
        pairs = [sorted(chance.choices(range(1, head + 1), k=2)) for _ in range(4)]
        for since, upto in [(0, head), (head, head), *pairs]:
            before = by_name(await readers.stated(parent, ReadOptions(as_of_revision=since))) if since else {}
            after = by_name(await readers.stated(parent, ReadOptions(as_of_revision=upto)))
            differs = {name: (before.get(name, b""), one) for name, one in after.items() if before.get(name) != one}
            assert await readers.changed(parent, since, upto) == differs, (parent, since, upto)


async def test_pages_without_a_moment_are_all_of_the_first_ones(live: Live) -> None:
    readers = Readers(live)
    for name in NAMES[:3]:
        made = await readers.toys.MakeToy(parent="projects/p", toy_id=name.rpartition("/")[2])
    read = ReadOptions(at_least=made.revision)
    first = await readers.states.ListStates(states.ListStatesRequest(page_size=2, read=read))
    added = await readers.toys.Add(name=NAMES[2], amount=5)
    await readers.toys.GetToy(name=NAMES[2], read=ReadOptions(at_least=added.revision))
    asking = states.ListStatesRequest(page_size=2, read=read, page_token=first.next_page_token)
    (last,) = (await readers.states.ListStates(asking)).states
    assert (last.name, last.revision) == (NAMES[2], made.revision)


async def test_a_page_holds_no_more_than_a_reply_takes(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = Readers(live)
    monkeypatch.setattr("kernel.state_servicer._MOST_BYTES", 1)
    for name in NAMES[:3]:
        made = await readers.toys.MakeToy(parent="projects/p", toy_id=name.rpartition("/")[2])
    read = ReadOptions(at_least=made.revision)
    reply = await readers.states.ListStates(states.ListStatesRequest(read=read))
    assert len(reply.states) == 1
    assert list(by_name(await readers.stated("", read))) == NAMES[:3]


async def test_a_read_as_of_a_time_waits_for_all_that_was_recorded_by_then(live: Live) -> None:
    """The views lag behind: what was recorded by then is in the log, but not yet in them."""
    readers = Readers(live)
    await readers.toys.MakeToy(parent="projects/p", toy_id="t0")
    held = await readers.toys.Add(name=NAMES[0], amount=5)
    read = ReadOptions()
    read.as_of_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=1))
    for _ in range(20):
        added = await readers.toys.Add(name=NAMES[0], amount=1)
        toy = await readers.toys.GetToy(name=NAMES[0], read=read)
        assert toy.revision == added.revision > held.revision


@pytest.mark.parametrize(
    "wrong",
    [
        {"parent": "projects/p/toys/t0"},
        {"page_token": "nonsense"},
        {"from_revision": 9, "read": ReadOptions(as_of_revision=1)},
    ],
)
async def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any], live: Live) -> None:
    readers = Readers(live)
    await readers.toys.MakeToy(parent="projects/p", toy_id="t0")
    code, _, fields = await refused(readers.states.ListChanges(states.ListChangesRequest(**wrong)))
    assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, [next(iter(wrong))])
