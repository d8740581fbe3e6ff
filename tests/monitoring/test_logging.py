"""Tables and rows logged through the SDK: counted to the row, again counts nothing, and a loop never waits."""

import asyncio
import os
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from modelog.sdk import Refused, SyncClient, connect_sync
from modelog.sdk.columns import column_of, columns_of
from modelog.sdk.telemetry import Logged
from services.monitoring.queries import evaluated_window
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import ENDPOINT, MONITOR, VERSION, check
from tests.monitoring.station import Station, station
from tests.monitoring.test_telemetry import rows_open, windows

VOLUME = check(types.METHOD_VOLUME, 1, id="rows")
MISSING = check(types.METHOD_MISSING_SHARE, 0.5, id="missing")
ACCURACY = check(types.METHOD_ACCURACY, 0.7, id="right")
BY_100 = types.WindowSpec(size_rows=100)


def client_of(live: Station, **options: Any) -> SyncClient:
    return connect_sync(monitoring=live.live.running.address, actor="users/ada", **options)


@pytest.mark.parametrize(
    ("values", "numbers", "texts"),
    [
        ([1, 2.5, None], [1.0, 2.5, float("nan")], []),
        (np.array([1, 2], dtype=np.int32), [1.0, 2.0], []),
        (np.array([True, False]), [1.0, 0.0], []),
        (np.array([1.5, 2.5, 9.0])[::2], [1.5, 9.0], []),
        ([np.float32(0.5), None], [0.5, float("nan")], []),
        (["a", None, "c"], [], ["a", "", "c"]),
        (np.array(["x", "y"]), [], ["x", "y"]),
        (np.array(["1970-01-01T00:00:01.5", "NaT"], dtype="datetime64[ms]"), [1.5, float("nan")], []),
        ([1, "a"], [], ["1", "a"]),
    ],
)
def test_columns_are_taken_as_people_have_them(values: Any, numbers: list[float], texts: list[str]) -> None:
    sent = column_of("x", values).rows(0, len(values))
    assert sent == telemetry.TelemetryColumn.FromString(sent.SerializeToString())
    np.testing.assert_array_equal(list(sent.numbers), numbers)
    assert list(sent.strings) == texts


def test_columns_of_several_lengths_and_what_is_no_table_are_refused() -> None:
    with pytest.raises(ValueError, match="a 1, b 2"):
        columns_of({"a": [1], "b": [1, 2]})
    with pytest.raises(TypeError, match="int has no columns"):
        columns_of(5)
    with pytest.raises(ValueError, match="2 dimensions"):
        columns_of({"a": np.ones((2, 2))})


async def test_a_table_is_counted_to_the_row_and_once(live: Station) -> None:
    await live.create(MISSING, window=types.WindowSpec(size_rows=50_000))
    ages = np.where(np.arange(50_000) % 5 == 0, np.nan, 40.0)
    data = {"age": ages, "city": ["Rome"] * 50_000, "label": np.ones(50_000)}
    heard: list[int] = []

    def log() -> Logged:
        with client_of(live) as client:
            return client.telemetry.log(
                data, version=VERSION, endpoint=ENDPOINT, outputs=["label"], batch_id="file", progress=heard.append
            )

    first = await asyncio.to_thread(log)
    again = await asyncio.to_thread(log)
    assert (first.rows, again.repeated, first.repeated) == (50_000, first.batches, 0)
    assert heard[first.batches - 1] == 50_000
    points = {point.column: point.value for point in await windows(live, 1)}
    assert points["age"] == pytest.approx(0.2)
    assert await rows_open(live) == 0


async def test_labels_find_what_was_logged(live: Station) -> None:
    await live.create(ACCURACY, window=types.WindowSpec(size_rows=4))

    def log() -> None:
        with client_of(live) as client:
            data = {"id": [1, 2, 3, 4], "age": [1.0] * 4, "label": [1, 1, 0, 0]}
            client.telemetry.log(data, version=VERSION, endpoint=ENDPOINT, outputs=["label"], ids="id")
            client.telemetry.record([1, 2, 3, 4], [1, 0, 0, 0], endpoint=ENDPOINT)

    await asyncio.to_thread(log)
    assert [point.value for point in await windows(live, 1)] == [0.75]


async def test_rows_come_into_the_windows_of_their_own_times(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
    times = np.array([start.timestamp() + 20 * row for row in range(10)])  # The last one ends the third window.

    def log(live: Station) -> None:
        with client_of(live) as client:
            client.telemetry.log({"t": times, "age": np.ones(10)}, version=VERSION, endpoint=ENDPOINT, times="t")
            with pytest.raises(ValueError, match="row 1 was answered before row 0"):
                client.telemetry.log({"t": times[::-1], "age": np.ones(10)}, version=VERSION, times="t")

    # The clock looks at most an hour back, or it would end the windows before their rows have come.
    async with station(nats, postgres, tmp_path, schema=schema, telemetry_delay_seconds=3600) as live:
        await live.serve(VERSION)
        await live.create(VOLUME, window=types.WindowSpec(size_seconds=60))
        await asyncio.to_thread(log, live)
        points = await windows(live, 3)
    assert [point.rows for point in points[:3]] == [3, 3, 3]


async def test_what_monitoring_refuses_is_raised(live: Station) -> None:
    def log() -> None:
        with client_of(live) as client, pytest.raises(Refused, match="there is no"):
            client.telemetry.log({"age": [1.0]}, version=VERSION, endpoint=f"{ENDPOINT}x")

    await asyncio.to_thread(log)


async def test_a_loop_logs_rows_and_failures(live: Station) -> None:
    await live.create(VOLUME, window=types.WindowSpec(size_rows=300))

    def loop() -> tuple[bool, set[str]]:
        with client_of(live) as client, client.telemetry.logger(version=VERSION, endpoint=ENDPOINT) as logger:
            ids = {logger.log({"age": row, "city": "Rome"}, {"label": 1}) for row in range(250)}
            ids |= {logger.log({"age": row}, {"label": 1}, id=f"own-{row}") for row in range(49)}
            logger.failed()
            return logger.flush(), ids

    flushed, ids = await asyncio.to_thread(loop)
    assert flushed
    assert len(ids) == 299
    await live.counted()
    assert await rows_open(live) == 299


def test_a_loop_does_not_wait_for_a_monitoring_that_is_away() -> None:
    with connect_sync(monitoring="127.0.0.1:1", actor="users/ada", patience_seconds=0.1) as client:
        logger = client.telemetry.logger(version=VERSION, endpoint=ENDPOINT, most_rows=100, flush_seconds=0.01)
        began = time.perf_counter()
        for row in range(20_000):
            logger.log({"age": row}, {"label": 1})
        spent = time.perf_counter() - began
        assert not logger.close(0.3)
        assert logger.dropped_rows > 15_000
        assert spent < 5.0  # A fraction of a second, on any machine; each refused call alone would take longer.


async def test_what_was_dropped_is_told_with_what_gets_through(live: Station) -> None:
    await live.create(VOLUME, window=types.WindowSpec(size_rows=100))

    def loop() -> tuple[int, int]:
        with client_of(live) as client:
            logger = client.telemetry.logger(version=VERSION, endpoint=ENDPOINT, most_rows=60, flush_seconds=5)
            for row in range(100):
                logger.log({"age": row}, {"label": 1})
            dropped = logger.dropped_rows
            assert logger.flush()
            for row in range(40):
                logger.log({"age": row}, {"label": 1})
            assert logger.close()
            return dropped, logger.dropped_rows

    assert await asyncio.to_thread(loop) == (40, 40)
    await windows(live, 1)
    _, fact = await evaluated_window(live.live.rooms.pool, MONITOR, 1, (1 << 62, datetime.max.replace(tzinfo=UTC)))
    assert (fact.window.rows, fact.window.dropped_rows) == (100, 40)


async def test_a_forked_child_logs_on_its_own(live: Station) -> None:
    await live.create(VOLUME, window=types.WindowSpec(size_rows=1000))
    script = f"""
import os
from modelog.sdk import connect_sync
client = connect_sync(monitoring="{live.live.running.address}", actor="users/ada")
logger = client.telemetry.logger(version="{VERSION}", endpoint="{ENDPOINT}")
for _ in range(2):
    if not (child := os.fork()):
        for row in range(7):
            logger.log({{"age": row}}, {{"label": 1}})
        os._exit(0 if logger.close() else 1)
    assert os.waitpid(child, 0)[1] == 0
logger.log({{"age": 1}}, {{"label": 1}})
assert logger.close()
"""
    assert await run(script) == 0
    await live.counted()
    assert await rows_open(live) == 15


async def run(script: str) -> int:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, env=environ, cwd=Path.cwd())
    try:
        async with asyncio.timeout(30):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_no_thread_runs_before_the_first_row() -> None:
    with connect_sync(monitoring="127.0.0.1:1") as client:
        before = threading.active_count()
        client.telemetry.logger(version=VERSION, endpoint=ENDPOINT)
        assert threading.active_count() == before
