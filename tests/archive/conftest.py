"""A running archive for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.s3 import s3_bucket
from tests.archive.calls import Archive, archive
from tests.archive.expiring import RECORDED, SHA256, store_artifact
from tests.archive.stories import life_of_version


@pytest.fixture
async def running(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Archive]:
    async with archive(nats, postgres, tmp_path, schema) as up:
        yield up


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_bucket("records") as address:
        yield f"{address}/of/risk"


@pytest.fixture
async def up(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Archive]:
    """An archive that expires nothing by itself, with one sealed record."""
    store_artifact(tmp_path)
    async with archive(nats, postgres, tmp_path, schema, expiry_pause_seconds=0.0) as running:
        await running.tell(life_of_version(SHA256))
        await running.sealed(RECORDED)
        yield running
