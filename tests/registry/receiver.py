"""A receiver of webhooks: an HTTP server in this process that notes what comes and answers what it is told to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from suite.folder import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def status(code: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} X", *headers, "Content-Length: 0"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True, slots=True)
class Received:
    """One request. headers: names in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.body)
        return made


Answer = Callable[["Receiver", Received], Awaitable[bytes]]


async def take(_receiver: "Receiver", _received: Received) -> bytes:
    return OK


@dataclass
class Receiver:
    """answer: what is sent back, None ends the connection. taken: what was answered with 2xx, in order."""

    port: int = field(default_factory=free_port)
    answer: Answer = take
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def settings(self) -> dict[str, Any]:
        """What a registry needs to be allowed to send here, without much patience."""
        return {
            "webhook_ports": str(self.port),
            "webhook_http_hosts": "127.0.0.1",
            "webhook_networks": "127.0.0.0/8",
            "webhook_first_pause_seconds": 0.01,
            "webhook_longest_pause_seconds": 0.05,
            "webhook_timeout_seconds": 2.0,
        }

    def kinds(self) -> list[str]:
        """Names of the events that were taken."""
        return [one.event["type"].rpartition(".")[2] for one in self.taken]

    def once(self) -> list[Received]:
        """What was taken without what came again under the same id, as a receiver keeps it."""
        return list({one.id: one for one in reversed(self.taken)}.values())[::-1]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)

    async def stop(self) -> None:
        """Nobody is here any more: connections are refused."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def until(self, holds: Callable[["Receiver"], bool], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(_pair(line) for line in head[1:-2])
                body = await reader.readexactly(int(headers["content-length"]))
                one = Received(head[0].split(" ")[1], headers, body)
                self.received.append(one)
                reply = await self.answer(self, one)
                if reply.startswith(b"HTTP/1.1 2"):
                    self.taken.append(one)
                self._changed.set()
                writer.write(reply)
                await writer.drain()
                if not reply:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value


@asynccontextmanager
async def receiver(**fields: Any) -> AsyncIterator[Receiver]:
    one = Receiver(**fields)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()
