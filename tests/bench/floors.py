"""What the same servers do for a program that does nothing else: `python -m tests.bench.floors`.

Bare gRPC handlers without parsing, checks or folding, and bare consumers that drop what they receive.
"""

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from kernel.jetstream import STREAM
from kernel.postgres import create_pool
from tests.bench.children import serve

WRITE = "/bench.Floor/Write"
READ = "/bench.Floor/Read"
_PAYLOAD = b"x" * 400
_POOL = 10  # What asyncpg takes by default.
_PULL = 1000
_FETCH = 500

Handler = Callable[[bytes, Any], Awaitable[bytes]]
_open = AsyncExitStack()  # Closed when this process ends.


async def _client(order: dict[str, Any]) -> Client:
    """As nats-py comes. Services may receive on inboxes of their own name only."""
    prefix = f"_INBOX.{order['user']}".encode()
    client = await nats.connect(order["nats_url"], user=order["user"], password=order["password"], inbox_prefix=prefix)
    _open.push_async_callback(client.close)
    return client


async def _listen(method: str, handler: Handler) -> dict[str, Any]:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    service, name = method.strip("/").split("/")
    handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _open.push_async_callback(server.stop, None)
    return {"address": f"127.0.0.1:{port}"}


async def serve_write(order: dict[str, Any]) -> dict[str, Any]:
    """A handler that publishes 400 bytes on a new subject, guarded like a fact, and awaits the acknowledgement.

    The subjects are of no resource, so nobody folds them.
    """
    client = await _client(order)
    stream = client.jetstream(prefix=order["api_prefix"])
    numbers, prefix = itertools.count(), f"lifecycle.{order['user']}.bench.floors.{uuid.uuid4().hex[:8]}"

    async def write(_request: bytes, _context: Any) -> bytes:
        headers = {"Nats-Msg-Id": uuid.uuid4().hex, "Nats-Expected-Last-Subject-Sequence": "0"}
        await stream.publish(f"{prefix}-{next(numbers)}", _PAYLOAD, headers=headers)
        return b""

    return await _listen(WRITE, write)


async def serve_read(order: dict[str, Any]) -> dict[str, Any]:
    """A handler that fetches the stored bytes of the version named in the request, by primary key.

    The pool is set up as the services' own, which saves the round trip that asyncpg makes by default on each release.
    """
    pool = await create_pool(order["postgres_url"], schema=order["schema"], name="floor", size=_POOL)
    _open.callback(pool.terminate)

    async def read(request: bytes, _context: Any) -> bytes:
        body: bytes = await pool.fetchval("select body from version where name = $1", request.decode())
        return body

    return await _listen(READ, read)


async def receive(order: dict[str, Any]) -> dict[str, Any]:
    """Receives the first `count` messages of the log by pull requests kept ahead and a callback that counts."""
    client = await _client(order)
    api, consumer, inbox = order["api_prefix"], f"{order['user']}-1", client.new_inbox()
    received, done = 0, asyncio.Event()
    ask = json.dumps({"batch": _PULL, "expires": 60_000_000_000}).encode()

    async def hear(message: Msg) -> None:
        nonlocal received
        received += 1
        if received % _PULL == 0:
            await client.publish(f"{api}.CONSUMER.MSG.NEXT.{STREAM}.{consumer}", ask, reply=inbox)
        if received == order["count"]:
            done.set()

    await client.subscribe(inbox, cb=hear, pending_msgs_limit=0, pending_bytes_limit=0)
    config = {"name": consumer, "deliver_policy": "all", "ack_policy": "none", "mem_storage": True, "num_replicas": 1}
    body = json.dumps({"stream_name": STREAM, "config": config | {"inactive_threshold": 60_000_000_000}})
    await client.request(f"{api}.CONSUMER.CREATE.{STREAM}.{consumer}", body.encode(), timeout=5)
    began = time.perf_counter()
    for _ in range(2):
        await client.publish(f"{api}.CONSUMER.MSG.NEXT.{STREAM}.{consumer}", ask, reply=inbox)
    await done.wait()
    seconds = time.perf_counter() - began
    await client.publish(f"{api}.CONSUMER.DELETE.{STREAM}.{consumer}", b"")
    await client.close()
    return {"facts": order["count"], "seconds": seconds, "per_second": order["count"] / seconds}


async def fetch(order: dict[str, Any]) -> dict[str, Any]:
    """The same with nats-py's own `fetch()`, for comparison."""
    client = await _client(order)
    stream = client.jetstream()
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True)
    subscription = await stream.pull_subscribe("lifecycle.>", stream=STREAM, config=config)
    received = 0
    began = time.perf_counter()
    while received < order["count"]:
        received += len(await subscription.fetch(min(_FETCH, order["count"] - received), timeout=10))
    seconds = time.perf_counter() - began
    await client.close()
    return {"facts": received, "seconds": seconds, "per_second": received / seconds}


if __name__ == "__main__":
    serve({"serve_write": serve_write, "serve_read": serve_read, "receive": receive, "fetch": fetch}, _open)
