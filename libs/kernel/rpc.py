"""The door of every service: from a gRPC call to a servicer's method and back.

Around each method, once and in this order: deadline, who calls, parsing and limits, permission, the method, and the
translation of refusals. Methods are matched against the service's descriptor when the process starts, so a method
without an implementation, or without a declared permission, never answers anything.
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from kernel import telemetry
from kernel.cause import Cause
from kernel.errors import Refusal, TooLate, Unavailable
from kernel.identity import Authority, on_behalf_of
from kernel.log import Unsettled
from kernel.logs import structlog
from kernel.parsing import parse, warm
from kernel.postgres import UNREACHABLE
from kernel.status import grpc_code, trailers
from modelog.type.v1 import options_pb2
from modelog.type.v1.principal_pb2 import Principal

_log = structlog.get_logger()
_DEFAULT_SECONDS = 30.0
_MOST_ID_CHARACTERS = 128


@dataclass(slots=True)
class Context:
    """What a servicer's method knows besides the request. now: aware, UTC."""

    principal: Principal
    request: Any
    method: str
    now: datetime
    metadata: Mapping[str, str]
    _request_id: str = ""

    @property
    def request_id(self) -> str:
        """The caller's, or one made for this call."""
        if not self._request_id:
            self._request_id = getattr(self.request, "request_id", "") or uuid.uuid4().hex
        return self._request_id

    def cause(self) -> Cause:
        """The cause of the command this request asks for."""
        request = self.request
        encoded = request.SerializeToString(deterministic=True)
        return Cause(
            actor=self.principal,
            request_id=self.request_id,
            request_digest=hashlib.sha256(self.method.encode() + b"\0" + encoded).digest(),
            now=self.now,
            reason=getattr(request, "reason", ""),
            on_behalf_of=on_behalf_of(self.metadata),
            correlation_id=self.metadata.get("x-correlation-id", "")[:_MOST_ID_CHARACTERS] or self.request_id,
            causation_id=self.metadata.get("x-causation-id", "")[:_MOST_ID_CHARACTERS],
            traceparent=telemetry.traceparent(),
            etag=getattr(request, "etag", ""),
            validate_only=getattr(request, "validate_only", False),
        )


@dataclass(frozen=True, slots=True)
class Door:
    """What stands around every method of a server."""

    authority: Authority
    clock: Callable[[], datetime]

    def handler(self, service: ServiceDescriptor, servicer: Any) -> grpc.GenericRpcHandler:
        """All methods of one service; TypeError when one is missing or declares no permission."""
        handlers = {method.name: self._method(method, servicer) for method in service.methods}
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _method(self, method: MethodDescriptor, servicer: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        call = _Call(self, method, servicer)
        if method.client_streaming:
            raise TypeError(f"{method.full_name} streams from the client, which this door does not do")
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(call.stream)
        return grpc.unary_unary_rpc_method_handler(call.unary)


class _Call:
    """One method behind the door."""

    def __init__(self, door: Door, method: MethodDescriptor, servicer: Any) -> None:
        options: Any = method.GetOptions()
        self._permission: str = options.Extensions[options_pb2.required_permission]
        if not self._permission:
            raise TypeError(f"{method.full_name} declares no required_permission")
        behavior = getattr(servicer, method.name, None)
        if behavior is None:
            raise TypeError(f"{type(servicer).__name__} does not implement {method.full_name}")
        self._behavior = behavior
        self._door = door
        self._path = f"{method.containing_service.full_name}/{method.name}"
        self._request = message_factory.GetMessageClass(method.input_type)
        self._seconds = {code: telemetry.CALL_SECONDS.labels(self._path, code.name) for code in grpc.StatusCode}
        self._ok = self._seconds[grpc.StatusCode.OK]
        warm(self._request)

    async def unary(self, raw: bytes, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        started = time.perf_counter()
        metadata = _text_metadata(grpc_context)
        with telemetry.server_span(self._path, metadata):
            try:
                if grpc_context.time_remaining() is None:
                    async with asyncio.timeout(_DEFAULT_SECONDS):
                        reply = await self._answer(raw, metadata)
                else:  # gRPC ends the call, and cancels this, at the caller's deadline.
                    reply = await self._answer(raw, metadata)
                self._ok.observe(time.perf_counter() - started)
                return reply if isinstance(reply, bytes) else reply.SerializeToString()
            except TimeoutError:
                refusal: Refusal = TooLate("DEADLINE_EXCEEDED", "not done in time; repeat with the same request_id")
            except Exception as error:
                refusal = self._refusal(error)
            await self._abort(refusal, grpc_context, started)
        raise AssertionError("abort raises")

    async def _answer(self, raw: bytes, metadata: Mapping[str, str]) -> Any:
        request, context = self._enter(raw, metadata)
        return await self._behavior(request, context)

    async def stream(self, raw: bytes, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[bytes]:
        started = time.perf_counter()
        metadata = _text_metadata(grpc_context)
        with telemetry.server_span(self._path, metadata):
            try:
                request, context = self._enter(raw, metadata)
                async for reply in self._behavior(request, context):
                    yield reply if isinstance(reply, bytes) else reply.SerializeToString()
                self._ok.observe(time.perf_counter() - started)
                return
            except Exception as error:
                refusal = self._refusal(error)
            await self._abort(refusal, grpc_context, started)

    def _refusal(self, error: Exception) -> Refusal:
        """What to answer. While the log or the views are away, the same request may succeed, or have succeeded."""
        if isinstance(error, Refusal):
            return error
        if isinstance(error, Unsettled):
            return Unavailable("LOG_UNREACHABLE", f"{error}; repeat with the same request_id to learn the outcome")
        if isinstance(error, UNREACHABLE):
            return Unavailable("VIEWS_UNREACHABLE", f"the views cannot be read now, try again: {error!r}")
        _log.error("call_failed", method=self._path, exc_info=error)
        return _Internal("INTERNAL", "the service failed; its log tells why")

    async def _abort(
        self, refusal: Refusal, grpc_context: "grpc.aio.ServicerContext[Any, Any]", started: float
    ) -> None:
        code = grpc_code(refusal)
        telemetry.refused(code.name, refusal.reason)
        self._seconds[code].observe(time.perf_counter() - started)
        await grpc_context.abort(code, refusal.message, trailers(refusal))

    def _enter(self, raw: bytes, metadata: Mapping[str, str]) -> tuple[Any, Context]:
        authority = self._door.authority
        principal = authority.principal(metadata)
        request = parse(self._request, raw)
        authority.authorize(principal, self._permission, request)
        return request, Context(principal, request, self._path, self._door.clock(), metadata)


def _text_metadata(grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> dict[str, str]:
    return {key: value for key, value in grpc_context.invocation_metadata() or () if isinstance(value, str)}


class _Internal(Refusal):
    code = "INTERNAL"
