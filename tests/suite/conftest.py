"""One server of each kind for the tests that leave it as they found it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from suite.provision import provision


@pytest.fixture(scope="session")
async def log_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    async with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        await provision(server.url)
        yield server


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    async with PostgresServer(tmp_path / "postgres") as server:
        yield server
