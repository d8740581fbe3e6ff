"""A running monitoring service whose endpoint serves version 1."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import VERSION
from tests.monitoring.station import Station, station


@pytest.fixture
async def live(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Station]:
    async with station(nats, postgres, tmp_path, schema=schema) as up:
        await up.serve(VERSION)
        yield up
