"""Telemetry over real servers: counted once, joined with late labels, put aside with a reason, over restarts too."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernel.log import Entry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.evaluator import Evaluator
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.batches import Predictions
from services.monitoring.telemetry.consumer import Consumer, Moved
from services.monitoring.telemetry.counting import Counting
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import ENDPOINT, MONITOR, NEXT_VERSION, START, VERSION, batch, check, column, outcomes
from tests.monitoring.station import Station, eventually, station

RANDOM = np.random.default_rng(12)
AGES = RANDOM.normal(40, 10, size=2_000)
LABELS = [1.0] * 1_000 + [0.0] * 1_000
DRIFT = check(types.METHOD_PSI, 0.25, id="drift", columns=["age"])
VOLUME = check(types.METHOD_VOLUME, 1, id="rows")
ACCURACY = check(types.METHOD_ACCURACY, 0.7, id="right")
BY_100 = types.WindowSpec(size_rows=100)


async def windows(live: Station, count: int, name: str = MONITOR) -> list[types.MetricPoint]:
    """The metric series, oldest first, once `count` windows are evaluated."""
    await live.monitor(lambda monitor: monitor.windows >= count, name)
    reply = await live.call("ListWindows", parent=name, page_size=500)
    return sorted(reply.points, key=lambda point: point.window)


async def test_drift_is_found_in_the_stream(live: Station) -> None:
    await live.create(DRIFT, VOLUME, window=BY_100)
    digest = await live.baseline(AGES, LABELS)
    await live.send(batch("b1", AGES[:150]), batch("b2", AGES[150:200]), batch("b3", AGES[200:300] + 30))
    points = await windows(live, 3)
    drift = [point for point in points if point.check == "drift"]
    assert [(point.window, point.column, point.rows) for point in drift] == [(n, "age", 100) for n in (1, 2, 3)]
    assert [point.outcome for point in drift] == [types.OUTCOME_OK, types.OUTCOME_OK, types.OUTCOME_FAILED]
    assert drift[2].value > 1
    monitor = await live.call("GetMonitor", name=MONITOR)
    assert monitor.baseline.digest == digest
    assert {status.check: status.condition for status in monitor.statuses} == {
        "drift": types.CONDITION_FIRING,
        "rows": types.CONDITION_OK,
    }


async def test_a_batch_that_comes_again_counts_once(live: Station) -> None:
    await live.create(VOLUME, window=BY_100)
    same = batch("b1", AGES[:60])
    await live.send(same, same, batch("b2", AGES[:30]), same)
    await live.counted()
    assert await rows_open(live) == 90


async def rows_open(live: Station) -> int:
    """Rows in windows that are still open."""
    async with live.live.rooms.kept.acquire() as connection:
        lanes = await queries.load_lanes(connection, [MONITOR])
    return sum(window.profiles.rows for lane in lanes.values() for window in lane.windows)


async def test_rows_that_happened_before_those_counted_already_count_once(live: Station) -> None:
    await live.create(VOLUME, window=BY_100)
    for number in range(4):
        await live.send(batch(f"b{number}", AGES[:30], at=START - timedelta(seconds=number)))
        await live.counted()
    assert [(one.rows, one.value) for one in await windows(live, 1)] == [(100, 100.0)]
    assert await rows_open(live) == 20


async def test_what_cannot_be_counted_is_put_aside_with_the_reason(live: Station) -> None:
    await live.register()
    await live.create(VOLUME, window=BY_100)
    future = batch("b2", [1.0], at=datetime.now(UTC) + timedelta(hours=2))
    wrong_type = batch("b3", [1.0])
    wrong_type.inputs[0].CopyFrom(column("age", ["old"]))
    await live.send(batch("b1", [1.0, 2.0], endpoint=f"{ENDPOINT}x"), future, wrong_type)
    await live.send_raw("telemetry.predictions.risk.fraud-eu", b"\xff\xff\0")
    await live.send(batch("b4", AGES[:3]))
    await live.counted()
    assert await rows_open(live) == 3
    first = await live.call("ListRejectedBatches", parent=ENDPOINT, page_size=3)
    rest = await live.call("ListRejectedBatches", parent=ENDPOINT, page_size=3, page_token=first.next_page_token)
    assert rest.next_page_token == ""
    found = [(one.batch_id, one.rows, one.reason.partition(" at ")[0]) for one in (*first.batches, *rest.batches)]
    assert found[0][0] == ""
    assert found[0][2].startswith("malformed")
    assert found[1:] == [
        ("b3", 1, "age: text against the version's signature"),
        ("b2", 1, "end_time is in the future"),
        (
            "b1",
            2,
            "endpoint 'projects/risk/endpoints/fraud-eux' came on the subject of projects/risk/endpoints/fraud-eu",
        ),
    ]


async def test_a_batch_that_fails_in_counting_holds_up_no_other(live: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    await live.create(VOLUME, window=BY_100)
    count = Counting.predictions

    async def fail_on_one(self: Counting, read: Predictions, position: int) -> None:
        if read.batch_id == "b2":
            raise ValueError("nobody thought of this")
        await count(self, read, position)

    monkeypatch.setattr(Counting, "predictions", fail_on_one)
    await live.send(*(batch(f"b{number}", AGES[:10]) for number in (1, 2, 3)))
    await live.counted()
    assert await rows_open(live) == 20
    (put_aside,) = (await live.call("ListRejectedBatches", parent=ENDPOINT)).batches
    assert (put_aside.position, "nobody thought of this" in put_aside.reason) == (2, True)


async def test_labels_join_their_predictions_early_or_late_and_once(live: Station) -> None:
    await live.create(ACCURACY, window=types.WindowSpec(size_rows=4))
    await live.send(outcomes("o0", {"b1-0": 1.0}))
    await live.send(batch("b1", AGES[:4], scores=[1.0, 1.0, 0.0, 0.0]))
    await live.send(outcomes("o1", {"b1-1": 0.0, "unknown": 1.0}), outcomes("o1", {"b1-1": 0.0, "unknown": 1.0}))
    await live.send(outcomes("o2", {"b1-0": 0.0, "b1-1": 0.0, "b1-2": 0.0}))
    await live.send(outcomes("o3", {"b1-3": 0.0}))
    points = await windows(live, 1)
    assert [(point.check, point.value, point.rows) for point in points] == [("right", 0.75, 4)]
    kept = live.live.rooms.kept
    assert not await kept.fetch("select * from prediction")
    waiting = await kept.fetch("select prediction_id from outcome order by 1")
    assert [row[0] for row in waiting] == ["b1-0", "b1-1", "unknown"]  # Second labels wait in vain, and expire.


async def test_outcomes_told_to_the_service_reach_the_join(live: Station) -> None:
    await live.create(ACCURACY, window=types.WindowSpec(size_rows=2))
    await live.send(batch("b1", AGES[:2], scores=[1.0, 1.0]))
    fields: dict[str, Any] = {
        "endpoint": ENDPOINT,
        "prediction_ids": ["b1-0", "b1-1"],
        "labels": column("label", [1.0, 0.0]),
        "request_id": "outcomes-1",
    }
    first = await live.call("RecordOutcomes", **fields)
    again = await live.call("RecordOutcomes", **fields)
    assert (first.batch_id, first.position) == (again.batch_id, again.position)
    points = await windows(live, 1)
    assert [(point.value, point.outcome) for point in points] == [(0.5, types.OUTCOME_FAILED)]


async def test_windows_by_time_close_by_the_clock_and_empty_ones_say_so_once(live: Station) -> None:
    missing = check(types.METHOD_MISSING_SHARE, 0.5, id="missing")
    await live.create(missing, window=types.WindowSpec(size_seconds=1))
    # A second ahead, so that the clock does not end their window before they have come.
    await live.send(batch("b1", AGES[:5], at=datetime.now(UTC) + timedelta(seconds=1)))

    async def quiet_again() -> list[types.MetricPoint]:
        reply = await live.call("ListWindows", parent=MONITOR, page_size=500)
        points = sorted(reply.points, key=lambda point: point.window)
        return points if points[-1:] and points[-1].outcome == types.OUTCOME_NO_DATA and len(points) >= 3 else []

    points = await eventually(quiet_again)
    # The clock may have looked before they came, and said once that nothing was there.
    counted, last = points[-3:-1], points[-1]
    assert [(point.outcome, point.column) for point in counted] == [
        (types.OUTCOME_OK, "age"),
        (types.OUTCOME_OK, "label"),
    ]
    assert last.rows == 0
    assert [point.outcome for point in points[:-3]] in ([], [types.OUTCOME_NO_DATA])
    await asyncio.sleep(2.5)
    assert (await live.call("GetMonitor", name=MONITOR)).windows == last.window


async def test_a_paused_monitor_counts_nothing_and_goes_on_afresh(live: Station) -> None:
    await live.create(VOLUME, window=BY_100)
    paused = await live.call("PauseMonitor", name=MONITOR)
    await live.live.rooms.resources.wait(paused.revision)
    await live.send(batch("b1", AGES[:50]))
    await live.counted()
    assert await rows_open(live) == 0
    resumed = await live.call("ResumeMonitor", name=MONITOR)
    await live.live.rooms.resources.wait(resumed.revision)
    await live.send(batch("b2", AGES[:60]))
    await live.counted()
    assert await rows_open(live) == 60


async def test_a_new_baseline_closes_what_was_counted_for_the_old_one(live: Station) -> None:
    await live.create(DRIFT, window=BY_100)
    first = await live.baseline(AGES, LABELS)
    await live.send(batch("b1", AGES[:40]))
    await live.counted()
    second = await live.baseline(AGES + 30, LABELS)
    await live.send(batch("b2", AGES[:100] + 30))
    await live.monitor(lambda monitor: monitor.windows >= 2)
    bodies = await live.live.rooms.pool.fetch("select number, body from evaluated order by number")
    assert [row["number"] for row in bodies] == [1, 2]
    for number, digest in ((1, first), (2, second)):
        again = await live.call("ReevaluateWindow", name=MONITOR, window=number)
        assert again.same
        assert again.recorded[0].outcome == types.OUTCOME_OK
        stored = await live.live.rooms.kept.fetchval("select baseline from profile where digest = $1", digest)
        assert stored is True


async def test_two_monitors_of_one_endpoint_count_each_for_itself(live: Station) -> None:
    await live.create(VOLUME, window=BY_100)
    await live.create(VOLUME, window=types.WindowSpec(size_rows=50), name=f"{MONITOR}-2")
    await live.send(batch("b1", AGES[:70]), batch("b2", AGES[:70], version=NEXT_VERSION))
    await windows(live, 2, f"{MONITOR}-2")
    assert await rows_open(live) == 140
    versions = {point.version for point in (await live.call("ListWindows", parent=f"{MONITOR}-2")).points}
    assert versions == {VERSION, NEXT_VERSION}


async def test_restarts_neither_lose_nor_double_a_row(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    """The service ends at random moments while telemetry flows; every row is in exactly one window."""
    sent = 0
    random = np.random.default_rng(21)
    for life in range(6):
        async with station(nats, postgres, tmp_path, schema=schema) as live:
            if life == 0:
                await live.serve(VERSION)
                await live.create(VOLUME, window=BY_100)
            for number in range(8):
                rows = int(random.integers(1, 120))
                sent += rows
                message = batch(f"b{life}-{number}", AGES[:rows])
                await live.send(message, *[message] * int(random.integers(0, 2)))
            await asyncio.sleep(float(random.uniform(0, 0.15)))
    async with station(nats, postgres, tmp_path, schema=schema) as live:
        await live.counted()
        await live.monitor(lambda monitor: monitor.windows == sent // 100)
        points = (await live.call("ListWindows", parent=MONITOR, page_size=500)).points
        assert sorted(point.window for point in points) == list(range(1, sent // 100 + 1))
        assert sum(point.rows for point in points) + await rows_open(live) == sent


async def test_evaluating_a_window_again_records_nothing_new(live: Station) -> None:
    """As after a crash between recording a window and forgetting it."""
    await live.create(VOLUME, window=BY_100)
    kept = live.live.rooms.kept
    await live.live.alter(
        "create function keep() returns trigger language plpgsql as $$ begin return null; end $$;"
        " create trigger keep before delete on open_window for each row execute function keep()",
        kept=True,
    )
    await live.send(batch("b1", AGES[:100]))
    await live.monitor(lambda monitor: monitor.windows == 1)
    await asyncio.sleep(0.5)
    assert (await live.call("GetMonitor", name=MONITOR)).windows == 1
    await live.live.alter("drop trigger keep on open_window", kept=True)
    await eventually(lambda: _none_left(kept))


async def _none_left(kept: Any) -> bool:
    return int(await kept.fetchval("select count(*) from open_window")) == 0


async def test_a_consumer_that_was_overtaken_stops(live: Station) -> None:
    await live.create(VOLUME, window=BY_100)
    stale = Consumer(live.live.rooms, asyncio.Event())
    await stale.open()
    await live.send(batch("b1", AGES[:10]))
    await live.counted()
    entry = Entry(1, "telemetry.predictions.risk.fraud-eu", batch("b9", AGES[:10]).SerializeToString())
    with pytest.raises(Moved):
        await stale.take([entry])
    assert await rows_open(live) == 10


async def test_what_waits_for_its_label_is_bounded_in_number_and_time(live: Station) -> None:
    await live.create(ACCURACY, window=BY_100)
    await live.send(batch("b1", AGES[:30]))
    await live.send(outcomes("o1", {f"x{n}": 1.0 for n in range(20)}))
    await live.counted()
    kept = live.live.rooms.kept
    await kept.execute("update prediction set stored_at = stored_at + substr(prediction_id, 4)::int * interval '1 s'")
    await queries.forget_old(kept, {}, 10)
    assert await kept.fetchval("select count(*) from prediction") == 10
    later = datetime.now(UTC) + timedelta(days=1)
    await queries.forget_old(kept, dict.fromkeys(("batch", "rejected", "prediction", "outcome", "profile"), later), 10)
    counts = [await kept.fetchval(f"select count(*) from {table}") for table in ("batch", "prediction", "outcome")]
    assert counts == [0, 0, 0]


async def test_a_transaction_that_fails_leaves_nothing_behind_and_is_done_again(live: Station) -> None:
    await live.create(VOLUME, window=BY_100)
    await live.live.alter(
        "create sequence failures; create function fail() returns trigger security definer language plpgsql as $$ begin"
        " if nextval('failures') < 3 then raise exception 'the disk is full'; end if; return new; end $$;"
        " create trigger fail before insert on open_window for each row execute function fail();"
        " grant select on failures to monitoring_projector",
        kept=True,
    )
    await live.send(batch("b1", AGES[:30]), batch("b2", AGES[:30]))
    await live.counted()
    assert await rows_open(live) == 60
    assert await live.live.rooms.kept.fetchval("select last_value from failures") >= 3


async def test_the_clock_closes_nothing_while_telemetry_waits_to_be_counted(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    """Or falling behind would make windows empty, and their rows late."""
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    async with station(nats, postgres, tmp_path, schema=schema, roles="rpc,projector,reactor") as live:
        await live.serve(VERSION)
        await live.create(VOLUME, window=types.WindowSpec(size_seconds=1))
        clock = [now]
        rooms = dataclasses.replace(live.live.rooms, clock=lambda: clock[0])
        closed = asyncio.Event()
        consumer, evaluator = Consumer(rooms, closed), Evaluator(rooms, closed)
        await evaluator.tick()
        await live.send(batch("b1", AGES[:7], at=now + timedelta(seconds=2)))
        clock[0] = now + timedelta(seconds=10)
        await evaluator.tick()
        assert await queries.closed_windows(rooms.kept, 10) == []
        counting = asyncio.create_task(consumer.run())
        await live.counted()
        counting.cancel()
        await evaluator.tick()
        counts = [window.profiles for _, window in await queries.closed_windows(rooms.kept, 10)]
        assert [(one.rows, one.late_rows) for one in counts] == [(7, 0), (0, 0)]
