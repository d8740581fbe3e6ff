"""A running archive for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive


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
