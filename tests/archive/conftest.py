"""A running archive for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive


@pytest.fixture
async def running(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Archive]:
    async with archive(nats, postgres, tmp_path, schema) as up:
        yield up
