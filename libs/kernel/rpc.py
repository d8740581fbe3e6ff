"""The door of every service: from a gRPC call to a servicer's method and back.

Around each method, once and in this order: deadline, who calls, how much they call, parsing and limits, permission, the
method, and the translation of refusals. Whoever is refused for what they are, or reads history, is recorded before
being answered; what a method's option says to be history is, and every read as of a past moment.
Methods are matched against the service's descriptor when the process starts, so a method without an implementation, or
without a declared permission, never answers anything.
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor

from kernel import arriving, telemetry
from kernel.access_log import Journal
from kernel.arriving import Arriving
from kernel.cause import Cause
from kernel.errors import Denied, Exhausted, Invalid, Refusal, TooLate, Unauthenticated, Unavailable
from kernel.identity import LEEWAY_SECONDS, Authority, Caller, Method, Peer, Permit
from kernel.limits import Limits, Rates
from kernel.log import Unsettled
from kernel.logs import structlog
from kernel.parsing import parse, warm
from kernel.postgres import UNREACHABLE
from kernel.status import grpc_code, trailers
from modelog.type.v1 import options_pb2
from modelog.type.v1.read_pb2 import ReadOptions

_log = structlog.get_logger()
_DEFAULT_SECONDS = 30.0
_MOST_ID_CHARACTERS = 128
_URI = "peer_uri"  # Where gRPC puts the URI names of a verified client certificate.


@dataclass(slots=True)
class Context:
    """What a servicer's method knows besides the request. now: aware, UTC."""

    caller: Caller
    request: Any
    method: str
    now: datetime
    metadata: Mapping[str, str]
    authority: Authority
    permit: Permit = field(default_factory=Permit)
    _request_id: str = ""

    async def may(self, permission: str, resource: str) -> bool:
        """Whether the caller has a permission on one resource besides those the request names."""
        return await self.authority.may(self.caller, permission, resource)

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
            actor=self.caller.principal,
            request_id=self.request_id,
            request_digest=hashlib.sha256(self.method.encode() + b"\0" + encoded).digest(),
            now=self.now,
            reason=getattr(request, "reason", ""),
            on_behalf_of=self.caller.on_behalf_of,
            correlation_id=self.metadata.get("x-correlation-id", "")[:_MOST_ID_CHARACTERS] or self.request_id,
            causation_id=self.metadata.get("x-causation-id", "")[:_MOST_ID_CHARACTERS],
            traceparent=telemetry.traceparent(),
            etag=getattr(request, "etag", ""),
            validate_only=getattr(request, "validate_only", False),
            reads=self.permit.reads,
            check=self.permit.check,
        )


@dataclass(frozen=True, slots=True)
class Door:
    """What stands around every method of a server."""

    authority: Authority
    clock: Callable[[], datetime]
    journal: Journal
    limits: Limits = field(default_factory=lambda: Limits(Rates()))
    arriving: Arriving = field(default_factory=Arriving)

    def handler(self, service: ServiceDescriptor, servicer: Any) -> grpc.GenericRpcHandler:
        """All methods of one service; TypeError when one is missing or declares no permission."""
        handlers = {f"/{service.full_name}/{one.name}": self._method(one, servicer) for one in service.methods}
        return _Handlers(handlers, self.arriving)

    def _method(self, method: MethodDescriptor, servicer: Any) -> "_Pair":
        call = _Call(self, method, servicer)
        if method.client_streaming:
            raise TypeError(f"{method.full_name} streams from the client, which this door does not do")
        if method.server_streaming:
            return (
                grpc.unary_stream_rpc_method_handler(call.stream),
                grpc.stream_stream_rpc_method_handler(call.stream),
            )
        return (grpc.unary_unary_rpc_method_handler(call.unary), grpc.stream_unary_rpc_method_handler(call.unary))


# Two handlers of one method: gRPC takes the request in, or is told that the client streams, which looks the same to it,
# so that the door takes it in itself.
_Pair = tuple["grpc.RpcMethodHandler[Any, Any]", "grpc.RpcMethodHandler[Any, Any]"]


class _Handlers(grpc.GenericRpcHandler):
    """The methods of a service; while many requests are on their way, the door takes them in with more care."""

    def __init__(self, pairs: Mapping[str, _Pair], arriving: Arriving) -> None:
        self._pairs = pairs
        self._arriving = arriving

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        pair = self._pairs.get(handler_call_details.method)
        if pair is None:
            return None
        return pair[0] if self._arriving.begin() else pair[1]


@dataclass(slots=True)
class _Visit:
    """One call, as far as it is known by now."""

    metadata: Mapping[str, str]
    peer: Peer
    caller: Caller | None = None
    request: Any = None
    leave: Callable[[str], None] | None = None

    def end(self) -> None:
        """Gives back the place that the call held among its caller's."""
        leave, self.leave = self.leave, None
        if leave is not None and self.caller is not None:
            leave(self.caller.principal.id)


class _Call:
    """One method behind the door."""

    def __init__(self, door: Door, method: MethodDescriptor, servicer: Any) -> None:
        options: Any = method.GetOptions()
        permission: str = options.Extensions[options_pb2.required_permission]
        if not permission:
            raise TypeError(f"{method.full_name} declares no required_permission")
        behavior = getattr(servicer, method.name, None)
        if behavior is None:
            raise TypeError(f"{type(servicer).__name__} does not implement {method.full_name}")
        self._behavior = behavior
        self._door = door
        self._path = f"{method.containing_service.full_name}/{method.name}"
        self._streaming = method.server_streaming
        self._method = Method(self._path, permission, method, recorded=options.Extensions[options_pb2.recorded])
        self._request = message_factory.GetMessageClass(method.input_type)
        self._reads_states = _reads_states(method.input_type)
        self._seconds = {code: telemetry.CALL_SECONDS.labels(self._path, code.name) for code in grpc.StatusCode}
        self._ok = self._seconds[grpc.StatusCode.OK]
        warm(self._request)

    async def unary(self, taken_in: Any, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        started = time.perf_counter()
        visit = _visit(grpc_context)
        with telemetry.server_span(self._path, visit.metadata):
            try:
                raw = await self._arrived(taken_in, visit.peer, grpc_context)
                if grpc_context.time_remaining() is None:
                    async with asyncio.timeout(_DEFAULT_SECONDS):
                        reply = await self._answer(raw, visit)
                else:  # gRPC ends the call, and cancels this, at the caller's deadline.
                    reply = await self._answer(raw, visit)
                self._ok.observe(time.perf_counter() - started)
                return reply if isinstance(reply, bytes) else reply.SerializeToString()
            except TimeoutError:
                refusal: Refusal = TooLate("DEADLINE_EXCEEDED", "not done in time; repeat with the same request_id")
            except Exception as error:
                refusal = await self._refusal(error, visit)
            finally:
                visit.end()
            await self._abort(refusal, grpc_context, started)
        raise AssertionError("abort raises")

    async def _arrived(self, taken_in: Any, peer: Peer, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        """The request's bytes, as gRPC took them in; or taken in here, of one address only so many at once."""
        if isinstance(taken_in, bytes):
            self._door.arriving.arrived()
            return taken_in
        limits = self._door.limits
        limits.arriving(peer.address)
        try:
            async with asyncio.timeout(arriving.SECONDS):
                raw = await grpc_context.read()
        except TimeoutError:
            raise TooLate("REQUEST_INCOMPLETE", f"the request took over {arriving.SECONDS:g} s to arrive") from None
        finally:
            limits.arrived(peer.address)
        if not isinstance(raw, bytes):
            raise Invalid("REQUEST_MISSING", "the call ended without a request; send one message")
        return raw

    async def _answer(self, raw: bytes, visit: _Visit) -> Any:
        context = await self._enter(raw, visit)
        return await self._behavior(context.request, context)

    async def stream(self, taken_in: Any, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[bytes]:
        started = time.perf_counter()
        visit = _visit(grpc_context)
        with telemetry.server_span(self._path, visit.metadata):
            try:
                raw = await self._arrived(taken_in, visit.peer, grpc_context)
                context = await self._enter(raw, visit)
                replies, until = self._behavior(context.request, context), _until(context.caller)
                while (reply := await _next(replies, until)) is not None:
                    yield reply if isinstance(reply, bytes) else reply.SerializeToString()
                self._ok.observe(time.perf_counter() - started)
                return
            except Exception as error:
                refusal = await self._refusal(error, visit)
            finally:
                visit.end()
            await self._abort(refusal, grpc_context, started)

    async def _refusal(self, error: Exception, visit: _Visit) -> Refusal:
        """What to answer; a refusal for who the caller is becomes another one when it cannot be recorded.

        Nobody fills the records by calling without credentials: past a rate those of one address are only counted.
        """
        refusal = self._translated(error)
        if isinstance(refusal, Exhausted):
            telemetry.LIMITED.labels(refusal.reason).inc()
        if not isinstance(refusal, Denied | Unauthenticated):
            return refusal
        try:
            if isinstance(refusal, Unauthenticated):
                self._door.limits.stranger(visit.peer.address, time.monotonic())
            await self._record(visit, refused=(refusal.reason, refusal.message))
        except Exhausted as flood:
            telemetry.UNRECORDED.inc()
            return flood
        except Unavailable as unrecorded:
            return unrecorded
        return refusal

    def _translated(self, error: Exception) -> Refusal:
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

    async def _enter(self, raw: bytes, visit: _Visit) -> Context:
        authority, metadata = self._door.authority, visit.metadata
        visit.caller = caller = await authority.identify(metadata, visit.peer)
        visit.leave = self._door.limits.enter(caller.principal.id, time.monotonic(), streaming=self._streaming)
        visit.request = request = parse(self._request, raw)
        permit = await authority.authorize(caller, self._method, request, metadata)
        if self._method.recorded or (self._reads_states and request.read.WhichOneof("as_of")):
            await self._record(visit, permit=permit)
        return Context(caller, request, self._path, self._door.clock(), metadata, authority, permit)

    async def _record(
        self, visit: _Visit, *, refused: tuple[str, str] | None = None, permit: Permit | None = None
    ) -> None:
        request = visit.request
        await self._door.journal.write(
            self._method,
            visit.peer,
            caller=visit.caller,
            names=() if request is None else self._door.authority.named(self._method, request),
            refused=refused,
            permit=permit,
            metadata=visit.metadata,
        )


def _reads_states(request: Descriptor) -> bool:
    """Whether a request can ask for a former state."""
    read = request.fields_by_name.get("read")
    return bool(read and read.message_type and read.message_type.full_name == ReadOptions.DESCRIPTOR.full_name)


def _until(caller: Caller) -> float | None:
    """The moment, of the loop's clock, until which a stream may go on: no longer than what proves who reads it."""
    if caller.expires is None:
        return None
    return asyncio.get_running_loop().time() + caller.expires.timestamp() + LEEWAY_SECONDS - time.time()


async def _next(replies: AsyncIterator[Any], until: float | None) -> Any:
    """The next reply, None at the end. Unauthenticated when the credentials ran out while it was waited for."""
    limit = asyncio.timeout_at(until)
    try:
        async with limit:
            return await anext(replies, None)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Unauthenticated("TOKEN_EXPIRED", "the credentials have expired; go on with new ones") from error


def _visit(grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> _Visit:
    metadata: dict[str, str] = {}
    for key, value in grpc_context.invocation_metadata() or ():
        if isinstance(value, str):  # What is said twice is one list, as in HTTP, so that nobody reads only half of it.
            metadata[key] = f"{metadata[key]},{value}" if key in metadata else value
    uris = tuple(uri.decode(errors="replace") for uri in grpc_context.auth_context().get(_URI, ()))
    return _Visit(metadata, Peer(grpc_context.peer(), uris))


class _Internal(Refusal):
    code = "INTERNAL"
