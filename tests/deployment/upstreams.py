"""Replicas that are only their door: they answer as they are told, late or wrong, and remember what they were sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

READY = "/v2/health/ready"


@dataclass
class Upstream:
    """One of them. delay_seconds and status: of the answers to everything but the question whether it is ready."""

    name: str
    delay_seconds: float = 0.0
    status: int = 200
    ready: bool = True
    requests: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> "Upstream":
        """On the port of before, if it had one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Like a kill: whatever is under way gets no answer."""
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._open):
                writer.transport.abort()
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                line, headers = _parsed(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(int(headers.get("content-length", "0")))
                await self._answer(line.split(" ")[1], headers, writer)
        self._open.discard(writer)
        writer.close()

    async def _answer(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        status = 200 if self.ready else 503
        if path != READY:
            self.requests.append(headers)
            status = self.status
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
        body = json.dumps({"from": self.name}).encode()
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}x-modelog-version: {self.name}\r\n\r\n".encode() + body)
        await writer.drain()


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    line, *rest = head.decode().rstrip().split("\r\n")
    return line, {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}


@asynccontextmanager
async def upstreams(*names: str) -> AsyncIterator[dict[str, Upstream]]:
    """So many of them, by name, stopped in the end."""
    made = {name: await Upstream(name).start() for name in names}
    try:
        yield made
    finally:
        for one in made.values():
            await one.stop()
