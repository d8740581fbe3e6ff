"""A running registry for the tests that call it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.office import Elsewhere, Office, office


@pytest.fixture
async def registry(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Office]:
    async with office(nats, postgres, tmp_path, schema) as running:
        yield running


@pytest.fixture
def elsewhere(nats: NatsServer) -> Elsewhere:
    return Elsewhere(nats)
