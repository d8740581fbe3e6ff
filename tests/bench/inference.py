"""Inference servers: requests a second over both doors against the runtime in a loop, and what batches gain."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from services.deployment.inference.answers import Answers, Asked
from services.deployment.inference.model import load
from services.deployment.inference.telemetry import Telemetry
from tests.bench.children import Child
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, middle, ratio
from tests.deployment import models
from tests.deployment.replicas import address, order, said, started

_CALLERS = 16
# Batches are worth something where a run costs more than what is around it: here 32 MB of weights are read each time.
_WIDTH, _LAYERS = 1024, 8


async def inference(ground: Ground, effort: Effort) -> Outcome:
    """A small model over HTTP, over gRPC, and in a loop; requests of one row, 16 callers."""
    count = effort.reads
    with tempfile.TemporaryDirectory(dir=ground.folder) as name:
        folder = Path(name)
        async with Child("tests.bench.inference_clients") as clients, _replica(folder, models.classifier()) as ours:
            rounds = []
            for _ in range(effort.rounds):
                floor = await clients.ask("loop", model=ours["model"], width=3, count=count)
                asked = {"width": 3, "callers": _CALLERS, "count": count}
                http = await clients.ask("http", address=ours["address"], **asked)
                rpc = await clients.ask("rpc", address=ours["grpc_address"], **asked)
                lone = await clients.ask("http", address=ours["address"], width=3, callers=1, count=count // 4)
                rounds.append((floor, http | {"rpc": rpc, "lone": lone}))
        telemetry_us = await _telemetry_us(folder, count)
    http_, rpc_, lone_ = ([find(one) for _, one in rounds] for find in (dict, lambda a: a["rpc"], lambda a: a["lone"]))
    return Outcome(
        name="inference",
        question=f"a small ONNX model over HTTP, {_CALLERS} callers, against the runtime in a loop",
        figure=ratio(rounds),
        target=0.01,
        unit="requests/s",
        floor=f"{middle([floor for floor, _ in rounds], 'per_second'):,.0f}/s",
        ours=f"{middle(http_, 'per_second'):,.0f}/s",
        rounds=rounds,
        notes={
            "gRPC": f"{middle(rpc_, 'per_second'):,.0f}/s",
            "latency ms p50, p99": f"HTTP {_latency(http_)}, gRPC {_latency(rpc_)}, a lone caller {_latency(lone_)}",
            "telemetry": f"{telemetry_us:.0f} µs of a request's p50",
        },
    )


async def batching(ground: Ground, effort: Effort) -> Outcome:
    """A model with some work to do, whose queued requests run together or each by itself."""
    count = effort.reads // 2
    content = models.dense(_WIDTH, _LAYERS)
    asked = {"width": _WIDTH, "count": count}
    with tempfile.TemporaryDirectory(dir=ground.folder) as name:
        apart, together = Path(name) / "apart", Path(name) / "together"
        async with (
            Child("tests.bench.inference_clients") as clients,
            _replica(apart, content, inputs=(), batch_rows=0) as alone,
            _replica(together, content, inputs=(), batch_rows=32) as batched,
        ):
            rounds, lone = [], []
            for _ in range(effort.rounds):
                floor, ours = [
                    await clients.ask("rpc", address=one["grpc_address"], callers=_CALLERS, **asked)
                    for one in (alone, batched)
                ]
                rounds.append((floor, ours))
                lone.append(
                    [
                        await clients.ask("rpc", address=one["grpc_address"], width=_WIDTH, callers=1, count=count // 8)
                        for one in (alone, batched)
                    ]
                )
    first, second = ([one[index] for one in lone] for index in (0, 1))
    return Outcome(
        name="batching",
        question=f"requests of {_CALLERS} callers that run together, against each by itself",
        figure=ratio(rounds),
        target=1.0,
        unit="requests/s",
        floor=f"{middle([floor for floor, _ in rounds], 'per_second'):,.0f}/s",
        ours=f"{middle([ours for _, ours in rounds], 'per_second'):,.0f}/s",
        rounds=rounds,
        notes={
            "a lone caller, ms p50": f"{middle(first, 'p50_ms'):.2f} apart, {middle(second, 'p50_ms'):.2f} together"
        },
    )


def _latency(measured: list[dict[str, Any]]) -> str:
    return f"{middle(measured, 'p50_ms'):.2f} {middle(measured, 'p99_ms'):.2f}"


@asynccontextmanager
async def _replica(folder: Path, content: bytes, **values: Any) -> AsyncIterator[dict[str, Any]]:
    """A replica as the driver `process` starts it; what it said of itself, and its model's file."""
    folder.mkdir(exist_ok=True)
    given = order(folder, content, **({"grpc_port": 0, "batch_rows": 32} | values))
    process: subprocess.Popen[bytes] = started(given)
    try:
        await asyncio.to_thread(address, process, given)
        yield said(given) | {"model": given.artifact}
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def _telemetry_us(folder: Path, count: int) -> float:
    """What publishing adds to the p50 of a request within the server, in microseconds."""

    async def nowhere(_batch_id: str, _payload: bytes) -> None:
        pass

    (folder / "in-process").mkdir(parents=True, exist_ok=True)
    given = replace(order(folder / "in-process", models.classifier()), nats_url="nats://nobody")
    telemetry = Telemetry(nowhere, endpoint=given.endpoint, version=given.version, replica="r")
    publishing = asyncio.create_task(telemetry.run())
    model = load(given)
    medians = []
    for kept in (None, telemetry):
        answers, taken = Answers(given, model, kept), []
        for _ in range(count):
            asked = Asked({"X": np.ones((1, 3), dtype=np.float32)})
            began = time.perf_counter()
            await answers.infer(asked)
            taken.append(time.perf_counter() - began)
            await asyncio.sleep(0)
        medians.append(statistics.median(taken))
    publishing.cancel()
    return 1e6 * (medians[1] - medians[0])
