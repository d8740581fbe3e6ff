"""A running registry for the tests that call it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.office import Elsewhere, Office, office
from tests.registry.posting import Post, posting
from tests.registry.receiver import Receiver, receiver


@pytest.fixture
async def registry(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Office]:
    async with office(nats, postgres, tmp_path, schema) as running:
        yield running


@pytest.fixture
def elsewhere(nats: NatsServer) -> Elsewhere:
    return Elsewhere(nats)


@pytest.fixture
async def target() -> AsyncIterator[Receiver]:
    async with receiver() as one:
        yield one


@pytest.fixture
async def post(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, target: Receiver
) -> AsyncIterator[Post]:
    async with posting(nats, postgres, tmp_path, schema, target) as one:
        await one.registry.found_model()
        yield one
