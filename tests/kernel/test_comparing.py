"""Views compared with what the log makes of them: what was done to a row is named, and nothing where nothing was."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest
from nats.js.api import DiscardPolicy

from kernel.comparing import Comparing
from kernel.fold import Kind
from modelog.status.v1 import status_service_pb2_grpc
from modelog.status.v1.comparisons_pb2 import CompareViewsRequest, ViewComparison
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.kernel.test_operation import http, put, status
from tests.kernel.test_service import Toys
from tests.kernel.toy import TOY, TOYS

PARENT, NAME = "projects/p", "projects/p/toys/ball"


@pytest.fixture
async def live(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Live]:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as up:
        toys = Toys(up)
        await toys.MakeToy(parent=PARENT, toy_id="ball", label="red")
        await toys.MakeToy(parent=PARENT, toy_id="cube", label="blue")
        for amount in (3, 4):
            await toys.Add(name=NAME, amount=amount)
        await up.rooms.resources.catch_up()
        yield up


async def compared(live: Live, **fields: Any) -> ViewComparison:
    """The comparison at the end of the stream."""
    stub: Any = status_service_pb2_grpc.StatusServiceStub(live.channel)
    *_, last = [one async for one in stub.CompareViews(CompareViewsRequest(**fields), timeout=60)]
    assert last.done
    found: ViewComparison = last.comparison
    return found


def told(comparison: ViewComparison) -> list[tuple[str, str, str, int]]:
    return [(one.table, one.reason, one.name, one.revision) for one in comparison.findings]


async def test_nothing_is_found_where_nothing_was_done(live: Live, nats: NatsServer) -> None:
    await put(nats, TOY.subject("projects/p/toys/broken"), b"\xff\xff not a fact")  # Frozen resources are rows too.
    await live.rooms.resources.catch_up()
    found = await compared(live)
    assert told(found) == []
    assert (found.revision, found.finding_count, found.alarm_reason) == (5, 0, "")
    assert found.table_count == 6
    assert found.row_count == 3 + 5 + 4 + 1  # Toys, their former states, requests, what is frozen.


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("update toy set body = body || '\\x5a00' where name like '%ball'", ("toy", "CHANGED", NAME, 4)),
        ("update toy set revision = 2 where name like '%ball'", ("toy", "CHANGED", NAME, 4)),
        ("delete from toy where name like '%cube'", ("toy", "MISSING", "projects/p/toys/cube", 2)),
        ("update toy_history set recorded_at = now() where revision = 3", ("toy_history", "CHANGED", NAME, 3)),
        ("delete from toy_history where revision = 1", ("toy_history", "MISSING", NAME, 1)),
        (
            "insert into toy_history select 'projects/p/toys/forged', sort, 9, now(), body from toy_history limit 1",
            ("toy_history", "INSERTED", "projects/p/toys/forged", 9),
        ),
        ("update request set digest = 'x' where revision = 2", ("request", "CHANGED", "projects/p/toys/cube", 2)),
        (
            "insert into quarantine values ('projects/p/toys/cube', 'toy', 's', 2, 'because')",
            ("quarantine", "INSERTED", "projects/p/toys/cube", 2),
        ),
    ],
)
async def test_every_row_that_was_touched_is_named(
    live: Live, statement: str, finding: tuple[str, str, str, int]
) -> None:
    await live.alter(statement)
    found = await compared(live)
    assert told(found) == [finding]
    assert found.finding_count == 1


async def test_rows_that_stand_there_twice_are_told(live: Live) -> None:
    await live.alter("alter table toy_history drop constraint toy_history_pkey")
    await live.alter("insert into toy_history select * from toy_history where revision = 4")
    assert told(await compared(live)) == [("toy_history", "INSERTED", "", 0)]


async def test_what_differs_is_kept_told_by_status_and_metrics(live: Live) -> None:
    assert not (await status(live)).HasField("comparison")
    assert not (await compared(live, last=True)).HasField("end_time")
    await live.alter("update toy set body = '' where name like '%ball'")
    found = await compared(live)
    assert await compared(live, last=True) == found
    summary = (await status(live)).comparison
    assert (summary.finding_count, list(summary.findings)) == (1, [])
    assert "modelog_views_findings 1.0" in await http(live.running.admin_address, "/metrics")
    await live.alter("delete from toy where name like '%ball'")
    await live.alter("insert into toy select name, sort, revision, body from toy_history where revision = 4")
    assert (await compared(live)).finding_count == 0
    assert "modelog_views_findings 0.0" in await http(live.running.admin_address, "/metrics")


async def test_the_background_finds_it_too(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    quick = {"compare_pause_seconds": 0.05, "compare_share": 1.0}
    async with service(TOYS, nats, postgres, tmp_path, schema=schema, **quick) as live:
        await Toys(live).MakeToy(parent=PARENT, toy_id="ball", label="red")
        await live.rooms.resources.catch_up()
        await live.alter("delete from toy")
        async with asyncio.timeout(20):
            while (await status(live)).comparison.finding_count != 1:
                await asyncio.sleep(0.05)


async def test_facts_that_come_meanwhile_are_no_differences(live: Live) -> None:
    toys = Toys(live)

    async def write() -> None:
        while True:
            await toys.Add(name=NAME, amount=1)

    writing = asyncio.create_task(write())
    try:
        for _ in range(5):
            assert told(await compared(live)) == []
    finally:
        writing.cancel()
    assert not writing.done() or writing.cancelled()


async def test_a_log_that_lost_facts_is_an_alarm_of_its_own(live: Live, nats: NatsServer) -> None:
    client = await nats_py.connect(nats.url_for("provision"))
    stream = client.jetstream()
    config = (await stream.stream_info("LIFECYCLE")).config
    config.max_msgs, config.discard = 1, DiscardPolicy.OLD
    await stream.update_stream(config)
    await client.close()
    found = await compared(live)
    assert (found.alarm_reason, found.finding_count) == ("LOG_HOLE", 0)
    assert "modelog_views_findings 1.0" in await http(live.running.admin_address, "/metrics")


async def test_views_of_another_fold_are_not_blamed(live: Live) -> None:
    """While builds are exchanged the older one must not raise an alarm about rows that the newer one made."""
    loud: Kind = replace(TOY, evolve=lambda state, event, fact: TOY.evolve(state, event, fact))
    rooms = live.rooms
    older = replace(TOYS, kinds=(loud, *TOYS.kinds[1:]))
    comparing = Comparing(older, rooms.settings, live.schema, "another", rooms.log, rooms.kept, rooms.clock)
    with pytest.raises(Exception, match="by another build"):
        await comparing.once()
    assert not (await comparing.last()).HasField("end_time")
