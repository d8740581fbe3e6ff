"""The replica's HTTP door: seven routes of the protocol as one ASGI application, without a framework.

An eighth, /modelog/counts, says what was counted of the requests, where no gateway of ours does it.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from services.deployment.inference import protocol
from services.deployment.inference.counts import Tally
from services.deployment.inference.model import BadInput, Model, flat
from services.deployment.inference.order import Order
from services.deployment.inference.telemetry import Telemetry

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_MOST_BODY_BYTES = 16 * 1024 * 1024
_MOST_WAITING = 64
_SERVER = orjson.dumps({"name": "modelog-inference", "version": "1", "extensions": []})


class Replica:
    """The application. Requests take turns on one thread, so that a slow model does not stop health answers."""

    def __init__(self, order: Order, model: Model, telemetry: Telemetry | None) -> None:
        self._order = order
        self._model = model
        self._telemetry = telemetry
        self._thread = ThreadPoolExecutor(1, "model")
        self._waiting = 0
        self._tally = Tally()
        self._metadata = protocol.metadata(order.model_name, order.model_version, model)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        status, body = await self._answer(scope, receive)
        if scope["method"] == "POST":
            self._tally.answered(status, (time.perf_counter() - began) * 1000)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers.append((b"x-modelog-version", self._order.version.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        method, path = scope["method"], tuple(part for part in scope["path"].split("/") if part)
        match path:
            case ("v2",):
                return 200, _SERVER
            case ("modelog", "counts") if self._order.counts:
                return 200, orjson.dumps(self._tally.plain())
            case ("v2", "health", "live"):
                return 200, b'{"live":true}'
            case ("v2", "health", "ready"):
                return 200, b'{"ready":true}'
            case ("v2", "models", name, *rest):
                if name != self._order.model_name or (rest[:1] == ["versions"] and not self._is_mine(rest)):
                    mine = f"version {self._order.model_version} of {self._order.model_name}"
                    return 404, protocol.error(f"this replica serves {mine} only")
                rest = rest[2:] if rest[:1] == ["versions"] else rest
                return await self._of_model(method, rest, scope, receive)
            case _:
                return 404, protocol.error("no such path; see the Open Inference Protocol V2")

    def _is_mine(self, rest: Sequence[str]) -> bool:
        return len(rest) > 1 and rest[1] == self._order.model_version

    async def _of_model(self, method: str, rest: Sequence[str], scope: Scope, receive: Receive) -> tuple[int, bytes]:
        match (method, *rest):
            case ("GET",):
                return 200, self._metadata
            case ("GET", "ready"):
                return 200, orjson.dumps({"name": self._order.model_name, "ready": True})
            case ("POST", "infer"):
                return await self._infer(scope, receive)
            case (_, "infer"):
                return 405, protocol.error("infer is a POST")
            case _:
                return 404, protocol.error("no such path; see the Open Inference Protocol V2")

    async def _infer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        body = await _read(receive)
        if body is None:
            return 413, protocol.error(f"a request has at most {_MOST_BODY_BYTES} bytes")
        if self._waiting >= _MOST_WAITING:
            self._failed()
            return 503, protocol.error("too many requests wait for the model")
        self._waiting += 1
        try:
            request = protocol.Request(body)
            request_id = request.id or _header(scope, b"x-request-id") or uuid.uuid4().hex
            feed, inputs = self._model.feed(request.tensors)
            arrays = await asyncio.get_running_loop().run_in_executor(self._thread, self._model.run, feed)
            named = (self._order.model_name, self._order.model_version)
            answer = protocol.reply(request, request_id, *named, self._model, arrays)
        except BadInput as error:
            return 400, protocol.error(str(error))
        except Exception as error:  # The model failed, in whatever way: the caller is told, and the failure is counted.
            self._failed()
            return 500, protocol.error(f"the model failed: {str(error)[:500]}")
        finally:
            self._waiting -= 1
        if self._telemetry:
            rows = inputs[0][1].shape[0]
            ids = [f"{request_id}-{row}" for row in range(rows)]
            self._telemetry.answered(ids, inputs, flat(zip(self._model.output_names, arrays, strict=True), rows))
        return 200, answer

    def _failed(self) -> None:
        if self._telemetry:
            self._telemetry.failed()


async def _read(receive: Receive) -> bytes | None:
    """The body, or None when it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > _MOST_BODY_BYTES:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
