"""The stream ACCESS as a test sees it: whatever stands in it, and what happens to it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client

from modelog.access.v1.types_pb2 import AccessRecord
from suite.nats_server import NatsServer
from suite.provision import pinned

STREAM = "ACCESS"


@asynccontextmanager
async def owner(server: NatsServer) -> AsyncIterator[Client]:
    """Somebody who may do everything in the log's account."""
    client = await nats.connect(server.url)
    try:
        yield client
    finally:
        await client.close()


async def records(server: NatsServer) -> list[AccessRecord]:
    """Every record in the stream, in order."""
    async with owner(server) as client:
        state = (await _api(client, f"STREAM.INFO.{STREAM}"))["state"]
        stream = client.jetstream()
        numbers = range(state["first_seq"] or 1, state["last_seq"] + 1)
        messages = [await stream.get_msg(STREAM, number) for number in numbers]
    return [AccessRecord.FromString(message.data or b"") for message in messages]


async def facts(server: NatsServer) -> int:
    """How many facts the log holds."""
    async with owner(server) as client:
        return int((await _api(client, "STREAM.INFO.LIFECYCLE"))["state"]["messages"])


async def remove(server: NatsServer) -> None:
    async with owner(server) as client:
        await _api(client, f"STREAM.DELETE.{STREAM}")


async def make(server: NatsServer, **otherwise: Any) -> None:
    """The stream as it is pinned, but for some fields."""
    async with owner(server) as client:
        await _api(client, f"STREAM.CREATE.{STREAM}", pinned("access") | otherwise)


async def _api(client: Client, verb: str, request: Any = None) -> dict[str, Any]:
    body = json.dumps(request).encode() if request else b""
    answer: dict[str, Any] = json.loads((await client.request(f"$JS.API.{verb}", body, timeout=5)).data)
    if "error" in answer:
        raise RuntimeError(f"{verb}: {answer['error']}")
    return answer
