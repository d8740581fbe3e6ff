"""The service is killed again and again while telemetry flows: every row is in exactly one window."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
import numpy as np

from kernel.jetstream import connect
from modelog.monitoring.v1 import types_pb2 as types
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import MONITOR, VERSION, batch, check
from tests.monitoring.station import station

ROOT = Path(__file__).parents[2]
KILLS = 4
BATCHES = 40


def environment(nats: NatsServer, postgres: PostgresServer, schema: str) -> dict[str, str]:
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("MODELOG_")},
        "PYTHONPATH": f"{ROOT / 'libs'}{os.pathsep}{ROOT}",
        "MODELOG_NATS_URL": nats.address,
        "MODELOG_NATS_USER": "monitoring",
        "MODELOG_NATS_PASSWORD_FILE": str(nats.password_file("monitoring")),
        "MODELOG_NATS_API_PREFIX": API_PREFIX,
        **{f"MODELOG_{name.upper()}": url for name, url in postgres.urls_of("monitoring").items()},
        "MODELOG_SCHEMA": schema,
        "MODELOG_TICK_SECONDS": "0.1",
    }


async def killed_while_counting(environ: dict[str, str], seconds: float) -> None:
    """Starts the service and kills it so long after it began to serve."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.monitoring", env=environ, cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while b"serving" not in (line := await process.stderr.readline()):
                assert line, "the service ended instead of serving"
        await asyncio.sleep(seconds)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_killing_the_service_neither_loses_nor_doubles_a_row(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    random = np.random.default_rng(40)
    sizes = [int(size) for size in random.integers(1, 60, size=BATCHES * KILLS)]
    messages = [batch(f"b{number}", np.ones(size)) for number, size in enumerate(sizes)]
    async with station(nats, postgres, tmp_path, schema=schema) as live:
        await live.serve(VERSION)
        await live.create(check(types.METHOD_VOLUME, 1, id="rows"), window=types.WindowSpec(size_rows=100))
    client = await connect(nats.url, name="provision")
    environ = environment(nats, postgres, schema)
    counted = set()
    for kill in range(KILLS):
        for message in messages[BATCHES * kill : BATCHES * (kill + 1)]:
            await client.request("telemetry.predictions.risk.fraud-eu", message.SerializeToString(), timeout=5)
        await killed_while_counting(environ, float(random.uniform(0, 0.15)))
        counted.add(await position(postgres, schema))
    await client.close()
    assert len(counted) > 1, "no life counted anything"
    async with station(nats, postgres, tmp_path, schema=schema) as live:
        await live.counted()
        windows = sum(sizes) // 100
        await live.monitor(lambda monitor: monitor.windows == windows)
        points = (await live.call("ListWindows", parent=MONITOR, page_size=500)).points
        assert [point.rows for point in points] == [100] * windows


async def position(postgres: PostgresServer, schema: str) -> int:
    connection = await asyncpg.connect(postgres.url)
    try:
        at: int = await connection.fetchval(f"select position from {schema}_kept.progress")
        return at
    finally:
        await connection.close()
