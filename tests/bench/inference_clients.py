"""Who asks for inferences, in a process of its own: over HTTP, over gRPC, and the runtime itself in a loop.

`python -m tests.bench.inference_clients`. Bodies are built before the clock starts, and answers are not parsed.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import onnxruntime as ort
import orjson

from modelog.inference.v2 import open_inference_grpc_pb2 as v2
from tests.bench.children import serve
from tests.bench.clients import percentile
from tests.deployment import models

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_SECONDS = 30.0

Call = Callable[[], Awaitable[None]]


def _row(width: int) -> list[float]:
    return [round(0.1 * (index % 10), 1) for index in range(width)]


async def http(order: dict[str, Any]) -> dict[str, Any]:
    """order: address, width of a row, count of calls, and callers with a connection each."""
    host, _, port = str(order["address"]).rpartition(":")
    request = _http_request(order["width"])
    connections = [await asyncio.open_connection(host, int(port)) for _ in range(order["callers"])]
    try:
        return await _closed_loop([_http_call(*one, request) for one in connections], order["count"])
    finally:
        for _, writer in connections:
            writer.close()


def _http_request(width: int) -> bytes:
    body = orjson.dumps(models.request([_row(width)]))
    head = f"POST /v2/models/fraud/infer HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _http_call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Call:
    async def call() -> None:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))

    return call


async def rpc(order: dict[str, Any]) -> dict[str, Any]:
    """The same over gRPC, with raw tensors."""
    request = v2.ModelInferRequest(model_name="fraud")
    request.inputs.add(name="X", datatype="FP32", shape=[1, order["width"]])
    request.raw_input_contents.append(np.array(_row(order["width"]), dtype="<f4").tobytes())
    content = request.SerializeToString()
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        method: Any = channel.unary_unary(_METHOD)

        async def call() -> None:
            await method(content, timeout=_SECONDS)

        return await _closed_loop([call] * order["callers"], order["count"])


async def loop(order: dict[str, Any]) -> dict[str, Any]:
    """What there is to have: ONNX Runtime on one thread, one row a call, nothing around it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(Path(order["model"]).read_bytes(), options, providers=["CPUExecutionProvider"])
    feed = {"X": np.array([_row(order["width"])], dtype=np.float32)}
    for _ in range(order["count"] // 10):
        session.run(None, feed)
    began = time.perf_counter()
    for _ in range(order["count"]):
        session.run(None, feed)
    return {"per_second": order["count"] / (time.perf_counter() - began)}


async def _closed_loop(calls: list[Call], count: int) -> dict[str, Any]:
    """Every caller asks again when it has its answer."""
    left = iter(range(count))
    latencies: list[float] = []

    async def caller(call: Call) -> None:
        for _ in left:
            began = time.perf_counter()
            await call()
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller(call) for call in calls))
    seconds = time.perf_counter() - began
    latencies.sort()
    return {
        "per_second": count / seconds,
        "p50_ms": 1000 * statistics.median(latencies),
        "p99_ms": 1000 * percentile(latencies, 0.99),
    }


if __name__ == "__main__":
    serve({"http": http, "rpc": rpc, "loop": loop})
