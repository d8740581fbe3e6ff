"""Monitoring as a process: what it takes up while many rows go through Ingest."""

import asyncio
import itertools
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import numpy as np
import onnxruntime as ort
import psutil

from modelog.monitoring.v1 import types_pb2 as types
from modelog.sdk import connect_sync
from modelog.sdk.ingesting import request_of, send
from suite.nats_server import API_PREFIX
from suite.service_process import ServiceProcess
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, middle, ratio
from tests.deployment import models
from tests.monitoring.build import ENDPOINT, VERSION, batch, check
from tests.monitoring.station import station

if TYPE_CHECKING:
    from modelog.monitoring.v1.ingest_pb2 import IngestRequest

_BATCH_ROWS = 10_000
_KINDS = 32  # Different batches, so that the producer costs little.
_TARGET = 1.10
_MB = 1_000_000
_COUNTING_SECONDS = 300.0
# A network of a million weights, and a row of ten columns.
_WIDTH, _LAYERS, _LOGGED_COLUMNS = 512, 4, 10
_STEPS = 100


async def memory(ground: Ground, effort: Effort) -> Outcome:
    """Resident size when a million rows are counted, and when ten million are; windows of 100,000 rows."""
    rows = 5 * effort.verifications
    sizes: list[float] = []
    async with _monitoring(ground) as (process, schema):
        counted = 0
        for part in range(10):
            batches = rows // _BATCH_ROWS
            await asyncio.to_thread(_sent, process.address, batches, part * batches)
            counted += batches
            await _counted(ground, schema, counted)
            sizes.append(psutil.Process(process.process.pid).memory_info().rss / _MB)
    return Outcome(
        name="telemetry-memory",
        question=f"resident size of monitoring after {10 * rows:,} rows / after {rows:,}",
        figure=sizes[-1] / sizes[0],
        target=_TARGET,
        unit="MB",
        floor=f"{sizes[0]:.0f} MB",
        ours=f"{sizes[-1]:.0f} MB",
        at_most=True,
        rounds=[{"rss_mb": sizes}],
        notes={"MB after each tenth": " ".join(f"{one:.0f}" for one in sizes)},
    )


async def logging(ground: Ground, effort: Effort) -> Outcome:
    """Steps of an inference loop, each a run of a small ONNX model, with and without a row logged after it; in turn
    within a run, while the logger's thread sends what it has."""
    async with _monitoring(ground) as (process, _):
        rounds = [await asyncio.to_thread(_looped, process.address, effort.reads // 100) for _ in range(effort.rounds)]
    bare, logged = [one[0] for one in rounds], [one[1] for one in rounds]
    return Outcome(
        name="logging",
        question="a step of an inference loop that logs its row / one that does not, p50",
        figure=ratio(rounds, "p50_us"),
        target=1.05,
        unit="us",
        floor=f"{middle(bare, 'p50_us'):.0f} us",
        ours=f"{middle(logged, 'p50_us'):.0f} us",
        at_most=True,
        rounds=rounds,
        notes={
            "added": f"{middle(logged, 'p50_us') - middle(bare, 'p50_us'):.1f} us a row",
            "rows dropped": sum(one["dropped"] for one in logged),
        },
    )


def _looped(address: str, turns: int) -> tuple[dict[str, Any], dict[str, Any]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(models.dense(_WIDTH, _LAYERS), options)
    given = {session.get_inputs()[0].name: np.ones((1, _WIDTH), dtype=np.float32)}
    row = {f"x{at}": 0.1 * at for at in range(_LOGGED_COLUMNS)}
    took: tuple[list[float], list[float]] = [], []
    with (
        connect_sync(monitoring=address, actor="users/ada") as client,
        client.telemetry.logger(version=VERSION, endpoint=ENDPOINT) as logger,
    ):
        for turn in range(2 * turns):
            steps = took[turn % 2]
            for _ in range(_STEPS):
                began = time.perf_counter()
                said = {"label": float(session.run(None, given)[0].item(0))}
                if turn % 2:
                    logger.log(row, said)
                steps.append(time.perf_counter() - began)
    bare, logged = ({"p50_us": statistics.median(one) * 1e6} for one in took)
    return bare, logged | {"dropped": logger.dropped_rows}


@asynccontextmanager
async def _monitoring(ground: Ground) -> AsyncIterator[tuple[ServiceProcess, str]]:
    """The service with a monitor and its baseline, and the schema of its tables."""
    schema = ground.schema()
    folder = ground.folder / "monitoring" / schema
    async with ground.log() as log:
        async with station(log, ground.postgres, folder, schema=schema) as live:
            await live.serve(VERSION)
            checks = [
                check(types.METHOD_VOLUME, 1, id="rows"),
                check(types.METHOD_PSI, 0.25, id="psi", columns=["age"]),
                check(types.METHOD_KOLMOGOROV_SMIRNOV, 0.25, id="ks", columns=["age"]),
            ]
            await live.create(*checks, window=types.WindowSpec(size_rows=100_000))
            await live.baseline(np.random.default_rng(3).normal(40, 10, size=10_000), [1.0] * 10_000)
        settings = {
            "nats_url": log.address,
            "nats_user": "monitoring",
            "nats_password_file": str(log.password_file("monitoring")),
            "nats_api_prefix": API_PREFIX,
            **ground.postgres.urls_of("monitoring"),
            "schema": schema,
            "data_dir": str(folder / "data"),
            **{f"{whose}_{what}_per_second": "0" for whose in ("producer", "project") for what in ("rows", "bytes")},
        }
        process = ServiceProcess(
            "monitoring", "services.monitoring", settings=settings, folder=folder, log=folder / "log", drain_seconds=1.0
        )
        await process.start()
        try:
            yield process, schema
        finally:
            await process.stop()


def _sent(address: str, batches: int, first: int) -> None:
    with connect_sync(monitoring=address, actor="users/ada", patience_seconds=120.0) as client:
        door = client.telemetry
        for one in send(door._session, door._method(), itertools.islice(_requests(first), batches)):
            if one.refusal is not None:
                raise one.refusal


def _requests(seed: int) -> "Iterator[IngestRequest]":
    random = np.random.default_rng(seed)
    made = []
    for _ in range(_KINDS):
        one = batch("", random.normal(40, 10, size=_BATCH_ROWS), at=datetime.now(UTC))
        del one.prediction_ids[:]
        made.append(one)
    for one in itertools.cycle(made):
        one.batch_id = uuid.uuid4().hex
        yield request_of(one)


async def _counted(ground: Ground, schema: str, position: int) -> None:
    connection: Any = await asyncpg.connect(ground.postgres.url)
    try:
        async with asyncio.timeout(_COUNTING_SECONDS):
            while await connection.fetchval(f"select position from {schema}_kept.progress") < position:
                await asyncio.sleep(0.1)
    finally:
        await connection.close()
