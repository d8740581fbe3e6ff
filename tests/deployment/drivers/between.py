"""Stands between the driver and a real engine, and is slow, wrong, or says everything twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Between:
    """behaviour: `true`, `slow` (never answers), `garbage`, `half`, `broken` (500), `twice` (writes reach it twice)."""

    engine: Path
    socket: Path
    behaviour: str = "true"
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _request(reader):
                writer.write(await self._answer(request))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: bytes) -> bytes:
        line = request.partition(b"\r\n")[0].decode()
        self.asked.append(line)
        match self.behaviour:
            case "slow":
                await asyncio.sleep(60)
            case "garbage":
                return _plain(200, b"<html>It works!</html>")
            case "half":
                return _plain(200, b'[{"Id": "0123456789ab"}]' if "/containers/json" in line else b'{"Id": "0123"}')
            case "broken":
                return _plain(500, b'{"message": "out of luck"}')
            case "twice" if not line.startswith("GET"):
                await self._forward(request)
        return await self._forward(request)

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self.engine))
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        writer.write(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
        answer = await reader.read()
        writer.close()
        return answer


async def _request(reader: asyncio.StreamReader) -> bytes:
    """One request with its body; empty at the end of the connection."""
    with suppress(asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        size = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        return head + await reader.readexactly(size)
    return b""


def _plain(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def between(engine: Path, folder: Path) -> AsyncIterator[Between]:
    """A socket beside the engine's own."""
    made = Between(engine, folder / "between")
    server = await asyncio.start_unix_server(made.serve, str(made.socket))
    try:
        yield made
    finally:
        server.close()
