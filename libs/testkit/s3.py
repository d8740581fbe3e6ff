"""An S3 server in a thread of the test's process."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest


@contextmanager
def s3_bucket(name: str) -> Iterator[str]:
    """The address of a new bucket; the environment tells clients where its server is. Skips where moto is missing."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with pytest.MonkeyPatch.context() as patch:
            for key, value in {
                "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1",
                "ENDPOINT_URL": f"http://{host}:{port}", "ALLOW_HTTP": "true",
            }.items():  # fmt: skip
                patch.setenv(f"AWS_{key}", value)
            urlopen(Request(f"http://{host}:{port}/{name}", method="PUT")).close()
            yield f"s3://{name}"
    finally:
        server.stop()
