"""The views of one service, from outside of it: their digests, and dropping them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kernel.digest import views_digest
from kernel.postgres import Pool, create_pool, quoted


@asynccontextmanager
async def views(postgres_url: str, schema: str) -> AsyncIterator["Views"]:
    pool = await create_pool(postgres_url, schema=schema, name="demo", size=2)
    try:
        yield Views(pool, schema)
    finally:
        pool.terminate()


class Views:
    """A service's schema. Stop the service before dropping it."""

    def __init__(self, pool: Pool, schema: str) -> None:
        self._pool = pool
        self._schema = schema

    async def digests(self) -> dict[str, str]:
        """SHA-256 by table; empty when there is no schema."""
        return await views_digest(self._pool, self._schema)

    async def position(self) -> int:
        """The revision up to which they are folded."""
        return int(await self._pool.fetchval("select revision from position"))

    async def drop(self) -> None:
        await self._pool.execute(f"drop schema {quoted(self._schema)} cascade")
