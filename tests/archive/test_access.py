"""Records of access, from the stream to the auditor's screen."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelog.access.v1.types_pb2 import VERDICT_ALLOWED, VERDICT_REFUSED, AccessRecord
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.sdk.settings import SERVICES
from modelog.type.v1 import options_pb2
from services.archive import __main__ as house
from services.archive.access import queries
from services.archive.access.keeper import Keeper
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit import recorded
from testkit.live import actor
from tests.access import grounds
from tests.archive.calls import Archive, archive, refused
from tests.archive.stories import MODEL, PROJECT, VERSION, life_of_version

PATH = "modelog.archive.v1.ArchiveService"
RITA, ALMA, EVE = actor("users/rita"), actor("users/alma"), actor("users/eve")


@asynccontextmanager
async def guarded(nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str) -> AsyncIterator[Archive]:
    """An archive where rita audits one project and alma all of them."""
    risk, everything = (
        grounds.project(name, grounds.bound("auditor", principal=auditor))
        for name, auditor in (("projects/risk", "users/rita"), ("projects/all", "users/alma"))
    )
    blueprint = replace(house.BLUEPRINT, authority=lambda _rooms: grounds.authority(risk, everything))
    async with archive(nats, postgres, folder, schema, blueprint=blueprint, identity="roles") as up:
        yield up


async def found(up: Archive, *, metadata: Any = (), **fields: Any) -> list[Any]:
    """Everything that a search finds, page by page."""
    entries: list[Any] = []
    request = rpc.ListAccessRecordsRequest(**fields)
    while True:
        reply = await up.stub.ListAccessRecords(request, timeout=30, metadata=metadata)
        entries += reply.entries
        if not reply.next_page_token:
            return entries
        request.page_token = reply.next_page_token


def told(entries: list[Any]) -> list[tuple[str, str, str]]:
    """Who, what and why of each."""
    return [(one.record.principal.id, one.record.method.rpartition("/")[2], one.record.reason) for one in entries]


def record(number: int, **fields: Any) -> AccessRecord:
    made = AccessRecord(id=f"r{number}", service="registry", method="S/Get", verdict=VERDICT_REFUSED)
    made.recorded_at.FromDatetime(datetime.now(UTC))
    made.MergeFrom(AccessRecord(**fields))
    return made


async def put(nats: NatsServer, *payloads: bytes, subject: str = "access.registry") -> None:
    async with recorded.owner(nats) as client:
        for payload in payloads:
            await client.jetstream().publish(subject, payload)


async def test_reads_of_history_are_found_at_once_and_so_is_the_search(running: Archive) -> None:
    await running.tell(life_of_version("ab" * 32))
    await running.stub.GetHistory(rpc.GetHistoryRequest(name=VERSION), timeout=10, metadata=EVE)
    await running.entries()
    entries = await found(running, metadata=ALMA)
    assert told(entries) == [
        ("users/alma", "ListAccessRecords", "DEVELOPMENT"),
        ("users/developer", "ReadFacts", "DEVELOPMENT"),
        ("users/eve", "GetHistory", "DEVELOPMENT"),
    ]
    assert list(entries[-1].record.resources) == [VERSION]
    assert [one.position for one in entries] == [3, 2, 1]


async def test_what_hands_out_history_is_recorded_once_a_call_and_other_reads_are_not(
    running: Archive, nats: NatsServer, tmp_path: Path
) -> None:
    head = await running.tell(life_of_version("ab" * 32))
    await running.signed(head)
    await running.vkey()
    await running.stub.ListRecords(rpc.ListRecordsRequest(parent=PROJECT), timeout=10)
    await running.stub.ListCheckpoints(rpc.ListCheckpointsRequest(), timeout=10)
    assert await recorded.records(nats) == []
    await running.exported(tmp_path / "bundle.tar")
    await running.stub.GetInclusionProof(rpc.GetInclusionProofRequest(revision=1), timeout=10)
    await running.stub.GetConsistencyProof(rpc.GetConsistencyProofRequest(from_size=1), timeout=10)
    await refused(running.stub.VerifyRecord(rpc.VerifyRecordRequest(name=f"{PROJECT}/records/no-1"), timeout=10))
    await running.stub.ListRecords(rpc.ListRecordsRequest(parent=PROJECT, read={"as_of_revision": 1}), timeout=10)
    names = [one.method.rpartition("/")[2] for one in await recorded.records(nats)]
    assert names == ["ExportBundle", "GetInclusionProof", "GetConsistencyProof", "VerifyRecord", "ListRecords"]


def test_which_calls_are_reads_of_history() -> None:
    """Besides any that reads as of a past moment."""
    marked = set()
    for service in SERVICES:
        module: Any = importlib.import_module(f"modelog.{service}.v1.{service}_service_pb2")
        for method in module.DESCRIPTOR.services_by_name[f"{service.capitalize()}Service"].methods:
            if method.GetOptions().Extensions[options_pb2.recorded]:
                marked.add(f"{service}.{method.name}")
    assert marked == set(
        "archive.GetHistory archive.ReadFacts archive.ExportBundle archive.VerifyRecord archive.GetInclusionProof"
        " archive.GetRecordFile"
        " archive.GetConsistencyProof archive.ListAccessRecords archive.ExplainFact archive.Scrub archive.RotateLogKey"
        " deployment.ListServingIntervals".split()
    )


async def test_a_refused_stream_leaves_one_record_and_no_fact(running: Archive, nats: NatsServer) -> None:
    stream = running.stub.ReadFacts(rpc.ReadFactsRequest(), timeout=10, metadata=actor("x"))
    assert (await refused(stream.read()))[1] == "ACTOR_FORMAT"
    (one,) = await recorded.records(nats)
    assert (one.method, one.reason) == (f"{PATH}/ReadFacts", "ACTOR_FORMAT")
    assert await recorded.facts(nats) == 0


async def test_without_the_stream_no_history_is_handed_out(running: Archive, nats: NatsServer) -> None:
    await running.tell(life_of_version("ab" * 32))
    await recorded.remove(nats)
    missing = ("UNAVAILABLE", "ACCESS_NOT_RECORDED")
    calls = [
        running.stub.GetHistory(rpc.GetHistoryRequest(name=VERSION), timeout=20),
        running.stub.ReadFacts(rpc.ReadFactsRequest(), timeout=20).read(),
        running.stub.ListAccessRecords(rpc.ListAccessRecordsRequest(), timeout=20),
    ]
    for code, reason in await asyncio.gather(*map(refused, calls)):
        assert (code.name, reason) == missing
    await recorded.make(nats)
    assert len(await running.entries()) > 10
    # A stream made anew counts from one again; what was kept stays in front.
    assert told(await found(running, ascending=True))[-2:] == [
        ("users/developer", "ReadFacts", "DEVELOPMENT"),
        ("users/developer", "ListAccessRecords", "DEVELOPMENT"),
    ]


async def test_an_auditor_of_a_project_finds_what_concerns_it_and_nothing_else(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await put(
        nats,
        *(
            one.SerializeToString()
            for one in (
                record(1, resources=[MODEL], explanation="not on it", revisions={"projects/risk": 3}),
                record(2, resources=["projects/other/models/x"]),
                record(
                    3, resources=[VERSION, "projects/other/models/x"], explanation="not on other/x",
                    revisions={"projects/risk": 3, "projects/other": 4, "projects/all": 5},
                ),
                record(4),
            )
        ),
    )  # fmt: skip
    async with guarded(nats, postgres, tmp_path, schema) as up:
        entries = await found(up, parent=PROJECT, reason="", service="registry", metadata=RITA)
        assert [one.record.id for one in entries] == ["r3", "r1"]
        assert list(entries[0].record.resources) == [VERSION]
        assert (entries[0].abridged, entries[0].record.explanation) == (True, "")
        assert set(entries[0].record.revisions) == {"projects/risk", "projects/all"}
        assert (entries[1].abridged, entries[1].record.explanation) == (False, "not on it")
        assert [one.record.id for one in await found(up, parent=VERSION, metadata=RITA)][1:] == ["r3"]
        for parent in ("", "projects/other", "projects/all"):
            code, reason = await refused(found(up, parent=parent, metadata=RITA))
            assert (code.name, reason) == ("PERMISSION_DENIED", "NOT_GRANTED")
        everything = await found(up, verdict=VERDICT_REFUSED, metadata=ALMA)
        assert told(everything)[:3] == [("users/rita", "ListAccessRecords", "NOT_GRANTED")] * 3
        assert [one.record.id for one in everything[3:]] == ["r4", "r3", "r2", "r1"]
        assert (
            told(await found(up, principal="users/rita", verdict=VERDICT_ALLOWED, metadata=ALMA))
            == [("users/rita", "ListAccessRecords", "GRANTED")] * 2
        )


async def test_poison_is_kept_and_holds_up_nothing(running: Archive, nats: NatsServer) -> None:
    late = AccessRecord(id="late", service="registry")
    late.recorded_at.seconds = 1 << 60
    poison = [
        b"\xff\xfe\x00poison",
        b"",
        record(1, service="deployment").SerializeToString(),  # Not who writes on this subject.
        record(2, id="\0" * 3).SerializeToString(),
        record(3, id="x" * 5000).SerializeToString(),
        late.SerializeToString(),
    ]
    odd = record(4, reason="\0" * 9000, method="\0", resources=["\0/" * 3000], principal={"id": "\0" * 9000})
    await put(nats, *poison, odd.SerializeToString(), record(5).SerializeToString())
    entries = await found(running, service="registry", ascending=True)
    assert [one.unreadable for one in entries[:6]] == poison
    assert [one.HasField("record") for one in entries] == [False] * 6 + [True] * 2
    assert entries[6].record == odd
    assert entries[7].record.id == "r5"


async def test_the_front_of_the_stream_moves_on_and_a_gap_in_its_midst_is_told(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await recorded.remove(nats)
    await recorded.make(nats, deny_delete=False, deny_purge=False)
    await put(nats, *(record(n).SerializeToString() for n in range(1, 11)))
    async with recorded.owner(nats) as client:
        await client.jetstream().purge_stream(recorded.STREAM, seq=4)  # As retention does: 1 to 3 are gone.
        for sequence in (6, 7):
            await client.jetstream().delete_msg(recorded.STREAM, sequence)
        async with archive(nats, postgres, tmp_path, schema) as up:
            entries = await found(up, ascending=True)
            assert [(one.record.id, one.missing) for one in entries[:-1]] == [
                ("r4", 0), ("r5", 0), ("", 2), ("r8", 0), ("r9", 0), ("r10", 0),
            ]  # fmt: skip
            assert [one.position for one in entries] == [4, 5, 7, 8, 9, 10, 11]
        await put(nats, *(record(n).SerializeToString() for n in range(20, 23)))
        await client.jetstream().purge_stream(recorded.STREAM)  # All of it, unseen.
        await put(nats, record(30).SerializeToString())
        async with archive(nats, postgres, tmp_path, schema) as up:
            entries = await found(up, ascending=True)
            assert [(one.position, one.record.id) for one in entries[7:-1]] == [(15, "r30")]


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(running: Archive, nats: NatsServer) -> None:
    await put(nats, *(record(n).SerializeToString() for n in range(3)))
    before = [one.record.id for one in await found(running, ascending=True)]
    await recorded.remove(nats)
    await recorded.make(nats)
    await put(nats, *(record(n).SerializeToString() for n in range(10, 20)))  # More than the old one held.
    after = await found(running, ascending=True)
    ids = [one.record.id for one in after]
    assert ids[: len(before)] == before
    assert sorted(one for one in ids if one.startswith("r1")) == ["r1", *(f"r{n}" for n in range(10, 20))]
    assert len(set(ids)) == len(ids) == len(before) + 11  # Each once, and the second search.
    positions = [one.position for one in after]
    assert positions == sorted(set(positions))


async def test_a_stream_put_back_from_an_older_copy_is_taken_over_again_and_doubles_nothing(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with archive(nats, postgres, tmp_path, schema) as up:
        await put(nats, b"poison", record(1).SerializeToString())
        before = await found(up)
        kept = up.live.rooms.kept
        await kept.execute("update access_progress set position = position + 1000")  # As if the copy were that old.
    await put(nats, record(2).SerializeToString())
    async with archive(nats, postgres, tmp_path, schema) as up:
        async with asyncio.timeout(20):
            ids: list[str] = []
            while "r2" not in ids:
                after = await found(up, ascending=True)
                ids = [one.record.id for one in after]
        assert after[: len(before)] == before[::-1]
        assert len(set(ids)) == len(ids)


async def test_what_the_stream_no_longer_keeps_is_forgotten(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await recorded.remove(nats)
    await recorded.make(nats, max_age=int(timedelta(days=30) / timedelta(microseconds=1)) * 1000)
    ages = [timedelta(days=31), timedelta(days=29), timedelta(days=400), timedelta(0)]
    made = [record(number) for number, _ in enumerate(ages)]
    for one, age in zip(made, ages, strict=True):
        one.recorded_at.FromDatetime(datetime.now(UTC) - age)
    await put(nats, *(one.SerializeToString() for one in made))
    async with archive(nats, postgres, tmp_path, schema) as up:
        await found(up)
        await Keeper(up.live.rooms).forget_old()
        kept = await found(up, ascending=True)
        assert [one.record.id for one in kept[:2]] == ["r1", "r3"]


async def test_two_keepers_never_keep_the_same_twice(running: Archive, nats: NatsServer) -> None:
    await put(nats, record(1).SerializeToString())
    await found(running)
    kept = running.live.rooms.kept
    _, at = await queries.progress(kept)
    with pytest.raises(queries.Moved):
        await queries.keep(kept, (), after=at - 1, upto=at + 5)
    assert (await queries.progress(kept)).position == at


async def test_a_search_that_makes_no_sense_is_refused(running: Archive) -> None:
    for fields in ({"parent": "models/x"}, {"parent": "projects/"}, {"page_token": "x"}, {"verdict": 7}):
        code, reason = await refused(found(running, **fields))
        assert (code.name, reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST"), fields
    page = await running.stub.ListAccessRecords(rpc.ListAccessRecordsRequest(page_size=1), timeout=10)
    code, _ = await refused(found(running, page_token=page.next_page_token, ascending=True))
    assert code.name == "INVALID_ARGUMENT"
