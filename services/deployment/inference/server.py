"""The replica's HTTP door: the routes of the protocol as one ASGI application, without a framework.

Two more are for whoever runs it and not for callers: /modelog/counts says what was counted of the requests, where no
gateway of ours does it, and /metrics tells Prometheus. What came through a gateway does not reach /metrics.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from services.deployment.gateway.config import SHADOW_HEADER
from services.deployment.inference import protocol
from services.deployment.inference.answers import (
    MOST_BODY_BYTES,
    Answers,
    Asked,
    NotAnswered,
)
from services.deployment.inference.metrics import Metrics
from services.deployment.inference.model import BadInput

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_JSON, _TEXT, _BYTES = b"application/json", b"text/plain; version=0.0.4", b"application/octet-stream"
_SERVER = orjson.dumps({"name": protocol.NAME, "version": "1", "extensions": protocol.EXTENSIONS})
_NO_SUCH_PATH = protocol.error("no such path; see the Open Inference Protocol V2")


class _Reply(NamedTuple):
    status: int
    body: bytes
    kind: bytes = _JSON
    json_bytes: int = 0  # How much of the body is JSON, where tensors follow.


class _TooLarge(Exception):
    pass


class _OtherEncoding(Exception):
    pass


class Replica:
    """The application."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._order = answers.order
        self._metrics = Metrics(answers)
        self._metadata = protocol.metadata(self._order.model_name, self._order.model_version, answers.model)
        self._about = (b"x-modelog-version", self._order.version.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        reply = await self._answer(scope, receive)
        if scope["method"] == "POST":
            self._answers.count("http", reply.status, began)
        headers = [(b"content-type", reply.kind), (b"content-length", b"%d" % len(reply.body)), self._about]
        if reply.json_bytes:
            headers.append((protocol.HEADER_LENGTH.encode(), b"%d" % reply.json_bytes))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})

    async def _answer(self, scope: Scope, receive: Receive) -> _Reply:
        path = tuple(part for part in scope["path"].split("/") if part)
        if path[:2] == ("v2", "models") and len(path) > 2:
            return await self._of_models(path[2], path[3:], scope, receive)
        if scope["method"] not in ("GET", "HEAD"):
            return _Reply(405, protocol.error("only inferences are a POST"))
        match path:
            case ("v2",):
                return _Reply(200, _SERVER)
            case ("v2", "health", "live"):
                return _Reply(200, b'{"live":true}')
            case ("v2", "health", "ready"):
                return self._readiness({})
            case ("modelog", "counts") if self._order.counts:
                return _Reply(200, orjson.dumps(self._answers.tally.plain()))
            case ("metrics",) if not _header(scope, b"x-forwarded-for"):
                return _Reply(200, self._metrics.text(), _TEXT)
            case _:
                return _Reply(404, _NO_SUCH_PATH)

    async def _of_models(self, name: str, rest: Sequence[str], scope: Scope, receive: Receive) -> _Reply:
        if name != self._order.model_name or (rest[:1] == ("versions",) and rest[1:2] != (self._order.model_version,)):
            mine = f"version {self._order.model_version} of {self._order.model_name}"
            return _Reply(404, protocol.error(f"this replica serves {mine} only"))
        rest = rest[2:] if rest[:1] == ("versions",) else rest
        match (scope["method"], *rest):
            case ("POST", "infer"):
                return await self._infer(scope, receive)
            case ("GET" | "HEAD",):
                return _Reply(200, self._metadata)
            case ("GET" | "HEAD", "ready"):
                return self._readiness({"name": self._order.model_name})
            case (_, "infer"):
                return _Reply(405, protocol.error("infer is a POST"))
            case (_, "ready") | (_,):
                return _Reply(405, protocol.error("only inferences are a POST"))
            case _:
                return _Reply(404, _NO_SUCH_PATH)

    def _readiness(self, about: dict[str, str]) -> _Reply:
        ready = self._answers.ready
        return _Reply(200 if ready else 503, orjson.dumps({**about, "ready": ready}))

    async def _infer(self, scope: Scope, receive: Receive) -> _Reply:
        try:
            return await self._inferred(scope, receive)
        except BadInput as error:
            return _Reply(400, protocol.error(str(error)))
        except NotAnswered as error:
            return _Reply(error.status, protocol.error(str(error)))
        except _TooLarge:
            return _Reply(413, protocol.error(f"a request has at most {MOST_BODY_BYTES} bytes"))
        except _OtherEncoding:
            return _Reply(415, protocol.error("a body is plain or gzip"))

    async def _inferred(self, scope: Scope, receive: Receive) -> _Reply:
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        body = await _read(receive, headers)
        request = protocol.Request(body, headers.get(protocol.HEADER_LENGTH.encode(), ""))
        asked = Asked(
            request.tensors,
            request.id or headers.get(b"x-request-id", ""),
            request.outputs,
            request.seconds,
            SHADOW_HEADER.encode() in headers,
        )
        request_id, outputs = await self._answers.infer(asked)
        about = (self._order.model_name, self._order.model_version)
        answer, json_bytes = protocol.reply(request, request_id, *about, outputs)
        return _Reply(200, answer, _BYTES if json_bytes else _JSON, json_bytes)


async def _read(receive: Receive, headers: Mapping[bytes, str]) -> bytes:
    """The body, unpacked; what is too large is not read to its end."""
    if int(headers.get(b"content-length", "0") or 0) > MOST_BODY_BYTES:
        raise _TooLarge
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BODY_BYTES:
            raise _TooLarge
        more = bool(message.get("more_body"))
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    match headers.get(b"content-encoding", "identity"):
        case "identity":
            return body
        case "gzip":
            content = protocol.unpacked(body, MOST_BODY_BYTES)
            if content is None:
                raise _TooLarge
            return content
        case _:
            raise _OtherEncoding


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
