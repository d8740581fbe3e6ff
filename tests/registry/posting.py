"""A registry whose webhooks lead to a receiver of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kernel.fold import kind
from modelog.registry.v1 import types_pb2 as types
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.build import MODEL_NAME, PROJECT_NAME
from tests.registry.office import Office, office
from tests.registry.receiver import Receiver

NAME = f"{PROJECT_NAME}/webhooks/chat"
ALERTS = kind("monitoring", "projects/*/monitors/*/alerts/#", types.KnownEndpoint, lambda *_: None, listens=())


class Post:
    """A registry and a receiver that it may send to."""

    def __init__(self, registry: Office, target: Receiver) -> None:
        self.registry = registry
        self.target = target
        self.secret = ""

    async def create(self, webhook_id: str = "chat", **fields: Any) -> str:
        settings = {"url": self.target.url, **fields.pop("settings", {})}
        reply = await self.registry.CreateWebhook(
            parent=PROJECT_NAME, webhook_id=webhook_id, settings=settings, **fields
        )
        self.secret = reply.secret
        name: str = reply.name
        return name

    async def tag(self, *values: int) -> None:
        """One fact for each value."""
        for value in values:
            await self.registry.SetTag(name=MODEL_NAME, key="k", value=str(value))

    def values(self) -> list[int]:
        """The values of the tags that arrived, each once, in the order of their coming."""
        return [int(one.event["data"]["value"]) for one in self.target.once() if one.event["type"].endswith("TagSet")]

    async def arrived(self, *values: int) -> None:
        await self.target.until(lambda _: len(self.values()) >= len(values))
        assert self.values() == list(values)

    async def state(self, wanted: int, name: str = NAME) -> Any:
        """The webhook once it is in this state."""
        async with asyncio.timeout(20):
            while True:
                head = await self.registry.live.rooms.log.head()
                found = await self.registry.GetWebhook(name=name, read={"at_least": head})
                if found.state == wanted:
                    return found
                await asyncio.sleep(0.02)


@asynccontextmanager
async def posting(
    nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str, target: Receiver, **settings: Any
) -> AsyncIterator[Post]:
    async with office(nats, postgres, folder, schema, **{**target.settings, **settings}) as registry:
        yield Post(registry, target)
