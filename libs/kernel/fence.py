"""At most one process per service folds, reacts and controls: whoever holds a lock in Postgres on its connection."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from kernel.postgres import UNREACHABLE

_RETRY_SECONDS = 0.5
_PROBE_SECONDS = 2.0


class Lost(Exception):
    """The connection that holds the lock is gone, so another process may be active."""


class Fence:
    """`async with fence.held(): ...` waits for the lock; `watch()` raises Lost when it cannot be relied on any more."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        self._connection = connection = await asyncpg.connect(self._url)
        try:
            while not await connection.fetchval("select pg_try_advisory_lock($1)", self._key):
                await asyncio.sleep(_RETRY_SECONDS)
            yield
        finally:
            self._connection = None
            connection.terminate()

    async def watch(self) -> None:
        """Runs beside what the fence protects."""
        while self._connection is not None:
            try:
                await self._connection.fetchval("select 1", timeout=_PROBE_SECONDS)
            except UNREACHABLE as error:
                raise Lost(str(error)) from error
            await asyncio.sleep(_PROBE_SECONDS)
