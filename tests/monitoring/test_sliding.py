"""Windows that slide, segments, and what windows are compared with."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernel.errors import Invalid
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain.checking import complete_window
from services.monitoring.profile import capture, count, encode, layout_of
from services.monitoring.segments import MOST_SEGMENTS, Segments, rows_at, values_of
from services.monitoring.sliding import earlier_of, window_of
from services.monitoring.windows import MICROSECONDS, Lane, Plan, Rows
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import MONITOR, NEXT_VERSION, START, VERSION, batch, check, numbers, texts
from tests.monitoring.station import Station, eventually, station

S = MICROSECONDS
VALUES = np.random.default_rng(7).normal(40, 10, size=400)
BASELINE = capture([numbers("age", VALUES)])
LAYOUT = layout_of(BASELINE)


def rows_of(values: np.ndarray, at: int, position: int) -> Rows:
    def profiles(start: int, stop: int) -> types.ProfileSet:
        return count([numbers("age", values[start:stop])], LAYOUT, stop - start)

    return Rows(len(values), at * S, at * S, position, profiles)


def filled(spec: types.WindowSpec, sizes: list[int]) -> Lane:
    lane = Lane("m", "v", types.TRACK_PREDICTIONS)
    plan = Plan("m", spec, "d", LAYOUT, "", frozenset({types.TRACK_PREDICTIONS}))
    ends = np.cumsum(sizes)
    for position, (size, end) in enumerate(zip(sizes, ends, strict=True), start=1):
        lane.add(plan, rows_of(VALUES[end - size : end], int(position), position))
    return lane


@pytest.mark.parametrize("seed", range(5))
def test_a_window_by_count_is_its_last_rows_however_they_were_sent(seed: int) -> None:
    spec = types.WindowSpec(size_rows=60, step_rows=20)
    cuts = np.sort(np.random.default_rng(seed).integers(0, 400, size=17))
    sizes = [int(one) for one in np.diff([0, *cuts, 400]) if one]
    steps = [one for one in filled(spec, sizes).windows if one.closed]
    assert len(steps) == 20
    assert window_of(spec, steps[:2]) is None
    for at in range(3, 21):
        window = window_of(spec, steps[:at])
        assert window is not None
        direct = count([numbers("age", VALUES[at * 20 - 60 : at * 20])], LAYOUT, 60)
        window.profiles.ClearField("newest_microseconds")
        assert encode(window.profiles) == encode(direct)


def test_a_window_by_time_holds_the_steps_of_its_time_and_no_others() -> None:
    spec = types.WindowSpec(size_seconds=60, step_seconds=20)
    lane = Lane("m", "v", types.TRACK_PREDICTIONS)
    plan = Plan("m", spec, "d", LAYOUT, "", frozenset({types.TRACK_PREDICTIONS}))
    for position, (at, size) in enumerate([(1, 5), (25, 7), (85, 11), (121, 1)], start=1):
        lane.add(plan, rows_of(VALUES[:size], at, position))
    steps = [one for one in lane.windows if one.closed]
    window = window_of(spec, steps)
    assert window is not None
    assert (window.start, window.end, window.rows) == (40 * S, 100 * S, 11)
    second = window_of(spec, steps[:2])
    assert second is not None
    assert (second.start, second.end, second.rows) == (-20 * S, 40 * S, 12)
    before = encode(second.profiles)
    lane.add(plan, rows_of(VALUES[:50], 2, 9))
    again = window_of(spec, steps[:2])
    assert again is not None
    assert encode(again.profiles) == before
    assert lane.late_rows == 50


def test_the_windows_before_share_no_row_with_the_window() -> None:
    spec = types.WindowSpec(
        size_rows=40, step_rows=20, compare_with=types.COMPARISON_EARLIER_WINDOWS, baseline_windows=2
    )
    steps = [one for one in filled(spec, [200]).windows if one.closed]
    assert earlier_of(spec, steps[:5]) is None
    earlier = earlier_of(spec, steps[:6])
    assert earlier is not None
    earlier.ClearField("newest_microseconds")
    assert encode(earlier) == encode(count([numbers("age", VALUES[:80])], LAYOUT, 80))


def test_segments_are_bounded_and_lose_no_row() -> None:
    values = [f"v{at}" for at in range(MOST_SEGMENTS + 30)] * 2 + ["", ""]
    columns = [texts("country", values), numbers("age", np.arange(len(values), dtype=np.float64))]
    found = dict(Segments([]).split("country", values_of("country", columns)))
    assert len(found) == MOST_SEGMENTS + 1
    assert len(found["country=(other)"]) == 60
    assert sum(map(len, found.values())) == len(values) - 2
    assert [rows_at(one, found["country=v3"]).rows for one in columns] == [2, 2]
    assert rows_at(columns[1], found["country=v3"]).numbers.tolist() == [3.0, 83.0]
    later = dict(Segments(list(found)).split("country", ["new", "v1"]))
    assert set(later) == {"country=(other)", "country=v1"}


def test_a_split_of_the_batch_changes_no_segment() -> None:
    values = [f"v{at % 70}" for at in range(300)]
    whole = {name: len(one) for name, one in Segments([]).split("c", values)}
    segments, parts = Segments([]), dict[str, int]()
    for start in range(0, 300, 7):
        for name, one in segments.split("c", values[start : start + 7]):
            parts[name] = parts.get(name, 0) + len(one)
    assert parts == whole


@pytest.mark.parametrize(
    "fields",
    [
        {"size_rows": 10, "step_rows": 3},
        {"size_rows": 10, "step_seconds": 5},
        {"size_seconds": 600, "step_seconds": 1},
        {"size_rows": 10, "compare_with": types.COMPARISON_EARLIER_WINDOWS},
        {"size_rows": 10, "baseline_windows": 2},
        {"size_rows": 10, "compare_with": types.COMPARISON_RUNNING_VERSION},
    ],
)
def test_windows_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        complete_window(types.WindowSpec(**fields))


async def test_sliding_windows_and_segments_are_judged_in_the_service(live: Station) -> None:
    spec = types.WindowSpec(size_rows=100, step_rows=50, segment_columns=["label"])
    await live.serve(VERSION)
    await live.create(check(types.METHOD_VOLUME, 60, id="rows"), window=spec)
    await live.baseline(VALUES, [0.0, 1.0] * 200)
    await live.send(batch("b", VALUES[:200], scores=[0.0, 1.0] * 100))
    monitor = await live.monitor(lambda one: one.windows == 5)
    points = (await live.call("ListWindows", parent=MONITOR)).points
    told = [(one.segment, one.value) for one in sorted(points, key=lambda one: (one.segment, one.window))]
    assert told == [("", 100.0)] * 3 + [("label=0", 100.0), ("label=1", 100.0)]
    assert {one.segment for one in monitor.statuses} == {"", "label=0", "label=1"}
    for number in range(1, 6):
        assert (await live.call("ReevaluateWindow", name=MONITOR, window=number)).same


async def test_steps_are_in_the_order_of_the_stream_and_the_oldest_are_forgotten(live: Station) -> None:
    spec = types.WindowSpec(size_rows=20, step_rows=10)
    await live.serve(VERSION)
    await live.create(check(types.METHOD_VOLUME, 60, id="rows"), window=spec)
    # What happened first comes last, and the second step ends before the first.
    await live.send(batch("a", VALUES[:10], at=START + timedelta(seconds=60)), batch("b", VALUES[:10]))
    await live.monitor(lambda one: one.windows == 1)
    await live.send(batch("c", np.tile(VALUES, 3)[:1000]))
    await live.monitor(lambda one: one.windows == 101)

    async def forgotten() -> bool:
        return bool(await live.live.rooms.kept.fetchval("select count(*) = 66 from step"))

    await eventually(forgotten)
    points = (await live.call("ListWindows", parent=MONITOR, page_size=200)).points
    assert {one.value for one in points} == {20.0}


async def test_a_new_version_is_compared_with_the_running_one_of_the_same_time(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    spec = types.WindowSpec(size_seconds=60, compare_with=types.COMPARISON_RUNNING_VERSION)
    moved = VALUES + 30  # For both: the world has changed, not the new version.
    after = START + timedelta(seconds=90)
    # The clock looks ten years back, or it would end the windows before their rows have come.
    async with station(nats, postgres, tmp_path, schema=schema, telemetry_delay_seconds=3e8) as live:
        await live.serve(VERSION, NEXT_VERSION)
        await live.create(check(types.METHOD_PSI, 0.5), window=spec)
        await live.baseline(VALUES, [1.0] * 400)
        await live.send(batch("n", moved[200:], version=NEXT_VERSION), batch("r", moved[:200]))
        await live.send(batch("n2", VALUES[:1], at=after, version=NEXT_VERSION), batch("r2", VALUES[:1], at=after))

        async def judged() -> dict[str, types.Outcome]:
            points = (await live.call("ListWindows", parent=MONITOR)).points
            found = {one.version: one.outcome for one in points if one.column == "age" and one.rows == 200}
            return found if len(found) == 2 else {}

        assert await eventually(judged) == {VERSION: types.OUTCOME_FAILED, NEXT_VERSION: types.OUTCOME_OK}


async def test_all_versions_together_have_windows_and_alerts(live: Station) -> None:
    spec = types.WindowSpec(size_rows=100, versions_together=True)
    await live.serve(VERSION, NEXT_VERSION)
    await live.create(check(types.METHOD_VOLUME, 200, id="rows"), window=spec)
    await live.send(batch("a", VALUES[:60]), batch("b", VALUES[:40], version=NEXT_VERSION))
    monitor = await live.monitor(lambda one: one.windows == 1)
    assert [(one.version, one.condition) for one in monitor.statuses] == [("", types.CONDITION_FIRING)]
