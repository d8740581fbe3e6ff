"""Searching records of access against a plain filter, its speed, and a kill in the midst of taking them over."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.log import Entry
from kernel.postgres import Pool, create_pool, migrate
from modelog.access.v1.types_pb2 import VERDICT_ALLOWED, VERDICT_REFUSED, AccessRecord
from modelog.archive.v1 import archive_service_pb2 as rpc
from services.archive.__main__ import HERE
from services.archive.access import queries
from services.archive.access.reading import record_in, row_of
from services.archive.servicer.access import search_of
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit import recorded
from tests.archive.calls import archive
from tests.archive.test_kill import process

START = datetime(2026, 3, 1, tzinfo=UTC)
SERVICES = ("registry", "archive")
PEOPLE = ("users/ada", "users/eve", "users/e", "serviceaccounts/ci")
METHODS = ("modelog.registry.v1.RegistryService/GetVersion", "modelog.archive.v1.ArchiveService/GetHistory")
REASONS = ("GRANTED", "NOT_GRANTED", "ACTOR_FORMAT")
NAMES = (
    "projects/a",
    "projects/ab",
    "projects/a/models/m",
    "projects/a/models/m/versions/1",
    "projects/a/models/m/versions/11",
    "projects/a/models/mm",
    "projects/%",
)
MOMENTS = st.integers(0, 20).map(lambda hours: START + timedelta(hours=hours))


def made(number: int, draw: Any) -> AccessRecord:
    """A record of what `draw` picks."""
    record = AccessRecord(
        id=f"r{number}",
        service=draw(SERVICES),
        method=draw(METHODS),
        verdict=draw((VERDICT_ALLOWED, VERDICT_REFUSED)),
        reason=draw(REASONS),
        resources=[draw(NAMES) for _ in range(draw((0, 1, 1, 2)))],
        on_behalf_of=[{"id": draw(PEOPLE)} for _ in range(draw((0, 0, 1)))],
    )
    record.recorded_at.FromDatetime(START + timedelta(hours=draw(range(20))))
    if draw((True, True, False)):
        record.principal.id = draw(PEOPLE)
    return record


def matches(record: AccessRecord, request: rpc.ListAccessRecordsRequest) -> bool:
    """What the contract says, one condition after the other."""
    people = [record.principal.id, *(one.id for one in record.on_behalf_of)]
    time = record.recorded_at.ToDatetime(tzinfo=UTC)
    inside = [one for one in record.resources if one == request.parent or one.startswith(request.parent + "/")]
    return (
        (not request.parent or bool(inside))
        and (not request.principal or request.principal in people)
        and (not request.method or request.method in (record.method, record.method.split("/")[1]))
        and (not request.service or request.service == record.service)
        and (not request.verdict or request.verdict == record.verdict)
        and (not request.reason or request.reason == record.reason)
        and (not request.HasField("from_time") or time >= request.from_time.ToDatetime(tzinfo=UTC))
        and (not request.HasField("to_time") or time < request.to_time.ToDatetime(tzinfo=UTC))
    )


requests = st.builds(
    rpc.ListAccessRecordsRequest,
    parent=st.sampled_from(["", "", *NAMES]),
    principal=st.sampled_from(["", "", *PEOPLE]),
    method=st.sampled_from(["", "", *METHODS, "GetVersion", "Get"]),
    service=st.sampled_from(["", "", *SERVICES]),
    verdict=st.sampled_from([0, 0, VERDICT_ALLOWED, VERDICT_REFUSED]),
    reason=st.sampled_from(["", "", *REASONS]),
    from_time=st.none() | MOMENTS,
    to_time=st.none() | MOMENTS,
    ascending=st.booleans(),
)


@pytest.fixture
async def kept(postgres: PostgresServer, schema: str) -> AsyncIterator[Pool]:
    """The archive's tables of records, without an archive."""
    pool = await create_pool(postgres.url, schema=schema, name="kept")
    await migrate(pool, schema=schema, folder=HERE / "kept_migrations")
    yield pool
    pool.terminate()


async def fill(pool: Pool, records: Sequence[AccessRecord]) -> None:
    await pool.execute("delete from access_record")
    _, at = await queries.progress(pool)
    rows = [
        row_of(Entry(at + number, f"access.{one.service}", one.SerializeToString()), START)
        for number, one in enumerate(records, 1)
    ]
    await queries.keep(pool, rows, after=at, upto=at + len(records))


async def searched(pool: Pool, request: rpc.ListAccessRecordsRequest, size: int) -> list[str]:
    """Ids of all that is found, in pages of a size."""
    ids: list[str] = []
    cursor = 0
    while True:
        page = await queries.search(pool, search_of(request), cursor=cursor, ascending=request.ascending, limit=size)
        ids += [record.id for one in page if (record := record_in(one.payload, one.service))]
        if not page:
            return ids
        cursor = page[-1].number


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 30), st.randoms(use_true_random=False), requests, st.integers(1, 9))
async def test_a_search_finds_what_a_plain_filter_finds(
    kept: Pool, count: int, luck: random.Random, request_: rpc.ListAccessRecordsRequest, size: int
) -> None:
    records = [made(number, luck.choice) for number in range(count)]
    await fill(kept, records)
    wanted = [one.id for one in records if matches(one, request_)]
    assert await searched(kept, request_, size) == (wanted if request_.ascending else wanted[::-1])


async def test_20000_records_are_searched_at_once(kept: Pool) -> None:
    luck = random.Random(1)
    records = [made(number, luck.choice) for number in range(20_000)]
    for number in range(0, 20_000, 4_000):  # One caller among many, whose few records lie anywhere.
        records[number].principal.id = "users/rare"
    await fill(kept, records)
    await kept.execute("analyze access_record")
    searches = {
        "newest": rpc.ListAccessRecordsRequest(),
        "project": rpc.ListAccessRecordsRequest(parent="projects/a"),
        "refused in a project": rpc.ListAccessRecordsRequest(parent="projects/ab", verdict=VERDICT_REFUSED),
        "rare caller": rpc.ListAccessRecordsRequest(principal="users/rare"),
        "nobody": rpc.ListAccessRecordsRequest(principal="users/nobody"),
    }
    for name, request in searches.items():
        milliseconds = []
        for _ in range(30):
            began = time.perf_counter()
            found = await queries.search(kept, search_of(request), cursor=0, ascending=False, limit=51)
            milliseconds.append((time.perf_counter() - began) * 1000)
        print(f"{name}: p50 {statistics.median(milliseconds):.1f} ms")
        assert statistics.median(milliseconds) < 200, name
        assert len(found) == {"rare caller": 5, "nobody": 0}.get(name, 51)


@pytest.mark.long
async def test_a_kill_in_the_midst_loses_and_doubles_nothing(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    written = 0

    async def write() -> None:
        nonlocal written
        async with recorded.owner(nats) as client:
            stream = client.jetstream()
            while written < 3000:
                batch = [made(number, random.Random(number).choice) for number in range(written, written + 100)]
                await asyncio.gather(
                    *(stream.publish(f"access.{one.service}", one.SerializeToString()) for one in batch)
                )
                written += len(batch)

    writing = asyncio.create_task(write())
    counts: list[int] = []
    for _ in range(5):
        one = process(nats, postgres, tmp_path, schema)
        await one.start()
        pool = await create_pool(postgres.url, schema=f"{schema}_kept", name="look", size=1)
        try:
            before = counts[-1] if counts else 0
            async with asyncio.timeout(30):  # Killed once it has kept something more, wherever it is by then.
                while (count := await pool.fetchval("select count(*) from access_record")) <= before < 3000:
                    await asyncio.sleep(0.002)
            counts.append(count)
        finally:
            pool.terminate()
            await one.kill()
    assert any(0 < count < 3000 for count in counts), "no kill came while records were being taken over"
    await writing
    async with archive(nats, postgres, tmp_path, schema) as last:
        entries: list[Any] = []
        request = rpc.ListAccessRecordsRequest(page_size=500, ascending=True)
        while not entries or request.page_token:
            reply = await last.stub.ListAccessRecords(request, timeout=30)
            entries += reply.entries
            request.page_token = reply.next_page_token
        ids = [one.record.id for one in entries if one.record.id.startswith("r")]  # Not those of the search itself.
        assert sorted(ids) == sorted(f"r{number}" for number in range(3000))
        assert [one.position for one in entries] == list(range(1, len(entries) + 1))
        assert not any(one.missing or one.unreadable for one in entries)
