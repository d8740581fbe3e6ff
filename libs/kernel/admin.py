"""/metrics, /livez and /readyz over plain HTTP on the admin port, for Prometheus and orchestrators."""

import asyncio
from types import TracebackType

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kernel.position import Position
from kernel.postgres import Pool

_READ_SECONDS = 5.0
_MOST_LINE_BYTES = 8192


class Admin:
    """A few lines of HTTP/1.1: one request a connection, GET only, three paths."""

    def __init__(self, listen: str, position: Position, pool: Pool) -> None:
        self._host, _, port = listen.rpartition(":")
        self._port = int(port)
        self._position = position
        self._pool = pool
        self._server: asyncio.Server | None = None
        self.address = listen

    async def __aenter__(self) -> "Admin":
        self._server = await asyncio.start_server(self._answer, self._host, self._port, limit=_MOST_LINE_BYTES)
        self.address = f"{self._host}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                line = await reader.readuntil(b"\r\n")
            parts = line.decode("latin-1").split(" ")
            status, body, kind = await self._route(parts[1] if len(parts) > 1 and parts[0] == "GET" else "")
            head = (
                f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # Whoever sends no proper request gets no answer.
        finally:
            writer.close()

    async def _route(self, path: str) -> tuple[str, bytes, str]:
        text = "text/plain; charset=utf-8"
        match path:
            case "/metrics":
                return "200 OK", generate_latest(), CONTENT_TYPE_LATEST
            case "/livez":
                return "200 OK", b"alive\n", text
            case "/readyz":
                problem = await self._problem()
                return (
                    ("503 Service Unavailable", f"{problem}\n".encode(), text)
                    if problem
                    else ("200 OK", b"ready\n", text)
                )
        return "404 Not Found", b"/metrics /livez /readyz\n", text

    async def _problem(self) -> str:
        if self._position.halted:
            return f"halted: {self._position.halted}"
        try:
            async with asyncio.timeout(2):
                await self._pool.fetchval("select 1")
        except Exception as error:
            return f"views unreachable: {error!r}"
        return ""
