"""One way to call both clients, so that every test of a call holds for both."""

import asyncio
from typing import Any

from modelog.sdk import Client, SyncClient, connect, connect_sync


class Caller:
    """Calls methods of the registry and lists, on the asynchronous or on the blocking client."""

    def __init__(self, client: Client | SyncClient) -> None:
        self.client = client

    async def __call__(self, method: str, request: Any, **options: Any) -> Any:
        if isinstance(self.client, Client):
            return await getattr(self.client.registry, method)(request, **options)
        return await asyncio.to_thread(getattr(self.client.registry, method), request, **options)

    async def catch_up(self) -> int:
        if isinstance(self.client, Client):
            return await self.client.catch_up("registry")
        return await asyncio.to_thread(self.client.catch_up, "registry")

    def as_of(self, moment: Any) -> "Caller":
        return Caller(self.client.as_of(moment))

    async def close(self) -> None:
        if isinstance(self.client, Client):
            await self.client.close()
        else:
            self.client.close()


def caller(kind: str, **arguments: Any) -> Caller:
    """A caller on a new client of the kind `async` or `sync`."""
    return Caller(connect(**arguments) if kind == "async" else connect_sync(**arguments))
