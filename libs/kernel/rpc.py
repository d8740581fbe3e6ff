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
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import grpc.aio
import structlog
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from kernel import telemetry
from kernel.cause import Cause
from kernel.errors import Refusal, TooLate
from kernel.identity import Authority, on_behalf_of
from kernel.parsing import parse, warm
from kernel.status import grpc_code, trailers
from modelog.type.v1 import options_pb2
from modelog.type.v1.principal_pb2 import Principal

_log = structlog.get_logger()
_DEFAULT_SECONDS = 30.0
_MOST_SECONDS = 300.0
_MOST_ID_CHARACTERS = 128


@dataclass(slots=True)
class Context:
    """What a servicer's method knows besides the request. now: aware, UTC. request_id: the caller's, or a new one."""

    principal: Principal
    request: Any
    method: str
    now: datetime
    metadata: Mapping[str, str]
    request_id: str = ""

    def __post_init__(self) -> None:
        self.request_id = getattr(self.request, "request_id", "") or uuid.uuid4().hex

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
        warm(self._request)

    async def unary(self, raw: bytes, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        remaining = grpc_context.time_remaining() or _DEFAULT_SECONDS
        with self._observed(grpc_context) as outcome:
            try:
                async with asyncio.timeout(min(remaining, _MOST_SECONDS)):
                    request, context = self._enter(raw, outcome.metadata)
                    reply = await self._behavior(request, context)
                return reply if isinstance(reply, bytes) else reply.SerializeToString()
            except TimeoutError:
                refusal: Refusal = TooLate("DEADLINE_EXCEEDED", "not done in time; repeat with the same request_id")
            except Refusal as error:
                refusal = error
            except Exception:
                _log.exception("call_failed", method=self._path)
                refusal = _internal()
            outcome.code = grpc_code(refusal)
        await grpc_context.abort(outcome.code, refusal.message, trailers(refusal))
        raise AssertionError("abort raises")

    async def stream(self, raw: bytes, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[bytes]:
        with self._observed(grpc_context) as outcome:
            try:
                request, context = self._enter(raw, outcome.metadata)
                async for reply in self._behavior(request, context):
                    yield reply if isinstance(reply, bytes) else reply.SerializeToString()
                return
            except Refusal as error:
                refusal = error
            except Exception:
                _log.exception("call_failed", method=self._path)
                refusal = _internal()
            outcome.code = grpc_code(refusal)
        await grpc_context.abort(outcome.code, refusal.message, trailers(refusal))

    def _enter(self, raw: bytes, metadata: Mapping[str, str]) -> tuple[Any, Context]:
        authority = self._door.authority
        principal = authority.principal(metadata)
        request = parse(self._request, raw)
        authority.authorize(principal, self._permission, request)
        return request, Context(principal, request, self._path, self._door.clock(), metadata)

    @contextmanager
    def _observed(self, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> Any:
        metadata = {key: value for key, value in grpc_context.invocation_metadata() or () if isinstance(value, str)}
        outcome = _Outcome(metadata)
        started = time.perf_counter()
        try:
            with telemetry.server_span(self._path, metadata) as span:
                yield outcome
                if outcome.code is not grpc.StatusCode.OK:
                    span.set_attribute("rpc.response.status_code", outcome.code.name)
        finally:
            self._seconds[outcome.code].observe(time.perf_counter() - started)


@dataclass(slots=True)
class _Outcome:
    metadata: Mapping[str, str]
    code: grpc.StatusCode = grpc.StatusCode.OK


class _Internal(Refusal):
    code = "INTERNAL"


def _internal() -> Refusal:
    return _Internal("INTERNAL", "the service failed; its log tells why")
