"""HTTP/1.1 as far as clients of an API need it: requests with bodies, answers whole or as a stream of lines."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_MOST_BODY_BYTES = 4 << 20


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True)
class Answer:
    """body as JSON, or text; or lines, each sent as soon as it is there."""

    code: int
    body: Any = None
    lines: AsyncIterator[Any] | None = None


Handle = Callable[[Request], Awaitable[Answer]]


async def serve(handle: Handle, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, request after request, until the other side ends it."""
    try:
        while (request := await _read(reader)) is not None:
            answer = await handle(request)
            if answer.lines is None:
                await _whole(writer, answer)
            else:
                await _stream(writer, answer)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    first = await reader.readline()
    if not first:
        return None
    method, target, _ = first.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    size = int(headers.get("content-length", "0"))
    if size > _MOST_BODY_BYTES:
        raise ConnectionError("too much")
    body = await reader.readexactly(size)
    parts = urlsplit(target)
    return Request(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)


async def _whole(writer: asyncio.StreamWriter, answer: Answer) -> None:
    text = isinstance(answer.body, str)
    body = answer.body.encode() if text else json.dumps(answer.body).encode()
    kind = "text/plain" if text else "application/json"
    writer.write(_head(answer.code, f"Content-Type: {kind}", f"Content-Length: {len(body)}") + body)
    await writer.drain()


async def _stream(writer: asyncio.StreamWriter, answer: Answer) -> None:
    assert answer.lines is not None
    writer.write(_head(answer.code, "Content-Type: application/json", "Transfer-Encoding: chunked"))
    await writer.drain()
    async for line in answer.lines:
        body = json.dumps(line).encode() + b"\n"
        writer.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _head(code: int, *lines: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", *lines, "", "")).encode()
