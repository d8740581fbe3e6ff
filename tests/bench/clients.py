"""The callers, in one process of their own for the floor and the service alike: `python -m tests.bench.clients`.

Requests are built before the clock starts; bytes go out and come back as they are.
"""

import asyncio
import base64
import random
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import grpc
import grpc.aio

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.imports_pb2 import RegisterVersionsResponse
from tests.bench.children import serve
from tests.bench.samples import registration

REGISTER = "/modelog.registry.v1.RegistryService/RegisterVersion"
GET = "/modelog.registry.v1.RegistryService/GetVersion"
_DEADLINE_SECONDS = 30.0
_MOST_OF_A_CALL = 5000

Call = Callable[[bytes], Awaitable[bytes]]


def registrations(count: int, models: Sequence[str], reason: str = "") -> list[bytes]:
    """Requests that register a version each, on the models in turn, under request ids never used before."""
    requests = []
    for index in range(count):
        request = registration(models[index % len(models)])
        request.request_id, request.reason = uuid.uuid4().hex, reason
        requests.append(request.SerializeToString())
    return requests


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    return sorted_values[min(int(len(sorted_values) * share), len(sorted_values) - 1)]


async def _closed_loop(call: Call, requests: Sequence[bytes], callers: int) -> dict[str, Any]:
    """Every caller sends its next request when it has its answer. An error of any call is an error of the measure."""
    latencies: list[float] = []
    left: Iterator[bytes] = iter(requests)

    async def caller() -> None:
        for request in left:
            began = time.perf_counter()
            await call(request)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - began
    latencies.sort()
    return {
        "calls": len(requests),
        "seconds": seconds,
        "per_second": len(requests) / seconds,
        "p50_ms": percentile(latencies, 0.5) * 1e3,
        "p99_ms": percentile(latencies, 0.99) * 1e3,
    }


def _method(channel: grpc.aio.Channel, path: str, token: str = "") -> Call:
    stub: Any = channel.unary_unary(path)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    return lambda request: stub(request, timeout=_DEADLINE_SECONDS, metadata=metadata)


async def write(order: dict[str, Any]) -> dict[str, Any]:
    """Registers `count` versions on `models`, by `callers` at a time over one channel; `reason` says why each time."""
    requests = registrations(order["count"], order["models"], order.get("reason", ""))
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        await channel.channel_ready()
        return await _closed_loop(_called(channel, order), requests, order["callers"])


async def bulk(order: dict[str, Any]) -> dict[str, Any]:
    """Registers `count` versions on `models` in as few calls as they fit in."""
    requests = registrations(order["count"], order["models"])
    answered = 0
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        await channel.channel_ready()
        stub: Any = channel.stream_stream(
            f"{order['method']}s", response_deserializer=RegisterVersionsResponse.FromString
        )
        began = time.perf_counter()
        for start in range(0, len(requests), _MOST_OF_A_CALL):
            async for reply in stub(requests[start : start + _MOST_OF_A_CALL], timeout=10 * _DEADLINE_SECONDS):
                if not reply.name:
                    raise RuntimeError(f"refused: {reply.refusal}")
                answered += 1
        seconds = time.perf_counter() - began
    return {"calls": answered, "seconds": seconds, "per_second": answered / seconds}


async def read(order: dict[str, Any]) -> dict[str, Any]:
    """Gets one of `names` at a time. `bare`: the request is the name itself, for a handler that parses nothing."""
    chosen = random.Random(7).choices(order["names"], k=order["count"])
    if order["bare"]:
        requests = [name.encode() for name in chosen]
    else:
        requests = [rpc.GetVersionRequest(name=name).SerializeToString() for name in chosen]
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        await channel.channel_ready()
        return await _closed_loop(_called(channel, order), requests, order["callers"])


async def call(order: dict[str, Any]) -> dict[str, Any]:
    """Makes `count` calls of the given requests, in base64, in random order."""
    requests = [base64.b64decode(one) for one in order["requests"]]
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        await channel.channel_ready()
        chosen = random.Random(7).choices(requests, k=order["count"])
        return await _closed_loop(_called(channel, order), chosen, order["callers"])


def _called(channel: grpc.aio.Channel, order: dict[str, Any]) -> Call:
    return _method(channel, order["method"], order.get("token", ""))


async def visible(order: dict[str, Any]) -> dict[str, Any]:
    """Starts `per_second` registrations for `seconds`, whatever they take, and after each reads until it is seen."""
    requests = registrations(int(order["per_second"] * order["seconds"]), order["models"])
    delays: list[float] = []
    reads = 0
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        await channel.channel_ready()
        register, get = _method(channel, REGISTER), _method(channel, GET)

        async def one(request: bytes) -> None:
            nonlocal reads
            reply = rpc.RegisterVersionResponse.FromString(await register(request))
            replied = time.perf_counter()
            question = rpc.GetVersionRequest(name=reply.name).SerializeToString()
            while True:
                reads += 1
                try:
                    await get(question)
                    break
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:
                        raise
            delays.append(time.perf_counter() - replied)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for index, request in enumerate(requests):
                await asyncio.sleep(began + index / order["per_second"] - time.perf_counter())
                group.create_task(one(request))
        seconds = time.perf_counter() - began
    delays.sort()
    return {
        "writes": len(delays),
        "per_second": len(delays) / seconds,
        "reads_each": reads / len(delays),
        "p50_ms": percentile(delays, 0.5) * 1e3,
        "p99_ms": percentile(delays, 0.99) * 1e3,
        "most_ms": delays[-1] * 1e3,
    }


async def depth(order: dict[str, Any]) -> dict[str, Any]:
    """Registers in turn one more version of the deep model and the first of each fresh one, one call at a time.

    `turn` says which of the two begins; the next pair begins with the other.
    """
    deep: list[float] = []
    first: list[float] = []
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        await channel.channel_ready()
        register = _method(channel, REGISTER)
        for request in registrations(order["warm_up"], order["others"]):
            await register(request)
        fresh = registrations(len(order["fresh"]), order["fresh"])
        more = registrations(len(order["fresh"]), [order["deep"]])
        for index, pair in enumerate(zip(more, fresh, strict=True)):
            timed = [(deep, pair[0]), (first, pair[1])]
            for latencies, request in timed if (index + order["turn"]) % 2 else reversed(timed):
                began = time.perf_counter()
                await register(request)
                latencies.append(time.perf_counter() - began)
    return {"deep_ms": statistics.median(deep) * 1e3, "first_ms": statistics.median(first) * 1e3}


if __name__ == "__main__":
    serve({"write": write, "bulk": bulk, "read": read, "call": call, "visible": visible, "depth": depth})
