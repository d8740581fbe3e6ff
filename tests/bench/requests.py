"""Requests over HTTP at a rate that waits for no answer, in a process of its own: `python -m tests.bench.requests`.

Latency counts from the moment a request was due, so that a server which falls behind cannot hide it.
"""

import asyncio
import random
import time
from collections import Counter
from typing import Any

import httptools

from tests.bench.children import serve
from tests.bench.clients import percentile

_ANSWER_SECONDS = 30.0
_MOST_REFUSED = 0.01


class _Connection(asyncio.Protocol):
    """One request after the other on a kept connection."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._parser: Any = None
        self._answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def close(self) -> None:
        self._transport.close()

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        """The status of the answer."""
        self._answered = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("closed before it answered"))


async def offer(order: dict[str, Any]) -> dict[str, Any]:
    """POSTs `body` to `path` at `address`, `per_second` for `seconds`, with the gaps of independent callers.

    Answers p50_ms and p99_ms. On a machine that stalls a replica refuses what it cannot keep (503); more than one in a
    hundred of these, and any other status than 200, is an error of the measure.
    """
    host, _, port = order["address"].rpartition(":")
    body = order["body"].encode()
    head = f"POST {order['path']} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    loop, idle, latencies = asyncio.get_running_loop(), list[_Connection](), list[float]()
    statuses = Counter[int]()

    async def one(due: float) -> None:
        connection = idle.pop() if idle else (await loop.create_connection(_Connection, host, int(port)))[1]
        async with asyncio.timeout(_ANSWER_SECONDS):
            status = await connection.ask(request)
        latencies.append(time.perf_counter() - due)
        statuses[status] += 1
        idle.append(connection)

    chance, due = random.Random(7), time.perf_counter()
    end, waiting = due + order["seconds"], list[asyncio.Task[None]]()
    while (due := due + chance.expovariate(order["per_second"])) < end:
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        waiting.append(asyncio.create_task(one(due)))
    await asyncio.gather(*waiting)
    for connection in idle:
        connection.close()
    if statuses[200] + statuses[503] < len(latencies) or statuses[503] > _MOST_REFUSED * len(latencies):
        raise RuntimeError(f"{order['address']} answered {dict(statuses)}")
    latencies.sort()
    return {
        "calls": len(latencies),
        "refused": statuses[503],
        "p50_ms": percentile(latencies, 0.5) * 1e3,
        "p99_ms": percentile(latencies, 0.99) * 1e3,
    }


if __name__ == "__main__":
    serve({"offer": offer})
