"""Stands in for hundreds of replicas and for their Envoy: one process that holds every lock and answers for all.

    python -m tests.bench.standin <folder of the service>

Real replicas would take some 75 MB each. To driver and controller these look the same: a living lock, an order, an
answer with both addresses and HTTP on them; Envoy's interface with as many clusters.
"""

import asyncio
import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Any

_READY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
_ROUTES_VERSION = "http.gateway.rds.endpoints.version_text"


class _Ready(asyncio.Protocol):
    """Answers everything with 200, on a connection that stays open unless the caller wants it closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(_READY * data.count(b"\r\n\r\n"))
        if b"onnection: close" in data:
            self._transport.close()


class _Admin(asyncio.Protocol):
    """Envoy's interface: everything that is written is in use, and every replica is healthy and idle."""

    gateway = Path()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        answer = self._clusters() if data.startswith(b"GET /clusters") else {"stats": self._stats(data)}
        body = json.dumps(answer).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    def _stats(self, asked: bytes) -> list[dict[str, Any]]:
        if b"version_text" not in asked:
            return []
        written = json.loads((self.gateway / "routes.json").read_text())
        return [{"name": _ROUTES_VERSION, "value": written["version_info"]}]

    def _clusters(self) -> dict[str, Any]:
        clusters = json.loads((self.gateway / "clusters.json").read_text())["resources"]
        return {"cluster_statuses": [{"name": one["name"], "host_statuses": _healthy(one)} for one in clusters]}


def _healthy(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    (locality,) = cluster["load_assignment"]["endpoints"]
    return [one["endpoint"] | {"health_status": {"eds_health_status": "HEALTHY"}} for one in locality["lb_endpoints"]]


async def main(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Ready, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    _Admin.gateway = folder / "gateway"
    admin = await loop.create_server(_Admin, "127.0.0.1", 0)
    for replica in (folder / "replicas").iterdir():
        lock = os.open(replica / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here = f"127.0.0.1:{port}"
        (replica / "answer.json").write_text(json.dumps({"address": here, "grpc_address": here}))
        (replica / "pid").write_text(str(os.getpid()))
    print(admin.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
