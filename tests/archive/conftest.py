"""A running archive for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive
from tests.archive.expiring import RECORDED, SHA256, store_artifact
from tests.archive.stories import life_of_version


@pytest.fixture
async def running(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Archive]:
    async with archive(nats, postgres, tmp_path, schema) as up:
        yield up


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server in a thread of this process, and a bucket in it."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1",
                "ENDPOINT_URL": f"http://{host}:{port}", "ALLOW_HTTP": "true",
            }.items():  # fmt: skip
                patch.setenv(f"AWS_{name}", value)
            urlopen(Request(f"http://{host}:{port}/records", method="PUT")).close()
            yield "s3://records/of/risk"
    finally:
        server.stop()


@pytest.fixture
async def up(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Archive]:
    """An archive that expires nothing by itself, with one sealed record."""
    store_artifact(tmp_path)
    async with archive(nats, postgres, tmp_path, schema, expiry_pause_seconds=0.0) as running:
        await running.tell(life_of_version(SHA256))
        await running.sealed(RECORDED)
        yield running
