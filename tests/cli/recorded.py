"""Facts that came into the log by no door, as an older build or somebody with too many rights may have left them."""

import asyncio
import uuid
from typing import Any

import grpc.aio
import nats
from google.protobuf.message import Message

from kernel.fold import pack
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.registry_service_pb2 import GetModelRequest
from modelog.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.domain import MODEL
from suite.suite import Suite


def record(suite: Suite, name: str, *events: Message, reason: str) -> None:
    """The events as the whole life of a model; returns when the registry has folded them."""
    asyncio.run(_recorded(suite, name, *events, reason=reason))


async def _recorded(suite: Suite, name: str, *events: Message, reason: str) -> None:
    client = await nats.connect(suite.nats.url)
    try:
        for generation, event in enumerate(events, 1):
            fact = Fact(id=uuid.uuid4().hex, resource=name, generation=generation, reason=reason, event=pack(event))
            fact.actor.id = "users/eve"
            fact.recorded_at.GetCurrentTime()
            ack = await client.jetstream().publish(MODEL.subject(name), fact.SerializeToString())
    finally:
        await client.close()
    async with grpc.aio.insecure_channel(suite.address("registry")) as channel:
        stub: Any = RegistryServiceStub(channel)
        await stub.GetModel(GetModelRequest(name=name, read=ReadOptions(at_least=ack.seq)), timeout=20)
