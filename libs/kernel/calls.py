"""One method behind the door, in the four shapes that calls have. See `kernel.rpc` for what is done in which order."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor

from kernel import arriving, telemetry
from kernel.context import Context
from kernel.errors import Denied, Exhausted, Invalid, Refusal, TooLate, Unauthenticated, Unavailable
from kernel.identity import Caller, Method, Peer, Permit
from kernel.incoming import Incoming
from kernel.log import Unsettled
from kernel.logs import structlog
from kernel.parsing import parse, warm
from kernel.postgres import UNREACHABLE
from kernel.status import grpc_code, trailers
from kernel.visit import Visit, until, visit_of
from modelog.type.v1 import options_pb2
from modelog.type.v1.read_pb2 import ReadOptions

if TYPE_CHECKING:
    from kernel.rpc import Door

_log = structlog.get_logger()
_DEFAULT_SECONDS = 30.0
# Of a call that streams to us and has no deadline of its own: what comes is limited too, so it ends long before.
_LONGEST_SECONDS = 3600.0


class Call:
    """One method behind the door."""

    def __init__(self, door: "Door", method: MethodDescriptor, servicer: Any) -> None:
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
        self._streaming = method.server_streaming or method.client_streaming
        self._method = Method(self._path, permission, method, recorded=options.Extensions[options_pb2.recorded])
        self._request = message_factory.GetMessageClass(method.input_type)
        self._reply = message_factory.GetMessageClass(method.output_type)
        self._reads_states = _reads_states(method.input_type)
        self._seconds = {code: telemetry.CALL_SECONDS.labels(self._path, code.name) for code in grpc.StatusCode}
        self._ok = self._seconds[grpc.StatusCode.OK]
        warm(self._request)

    async def unary(self, taken_in: Any, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        started = time.perf_counter()
        visit = visit_of(grpc_context)
        with telemetry.server_span(self._path, visit.metadata):
            try:
                raw = await self._arrived(taken_in, visit.peer, grpc_context)
                if grpc_context.time_remaining() is None:
                    async with asyncio.timeout(_DEFAULT_SECONDS):
                        reply = await self._answer(raw, visit)
                else:  # gRPC ends the call, and cancels this, at the caller's deadline.
                    reply = await self._answer(raw, visit)
                self._ok.observe(time.perf_counter() - started)
                return await self._shown(reply)
            except TimeoutError:
                refusal: Refusal = _too_late()
            except Exception as error:
                refusal = await self.refusal(error, visit)
            finally:
                visit.end()
            await self._abort(refusal, grpc_context, started)
        raise AssertionError("abort raises")

    async def stream(self, taken_in: Any, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[bytes]:
        started = time.perf_counter()
        visit = visit_of(grpc_context)
        with telemetry.server_span(self._path, visit.metadata):
            try:
                raw = await self._arrived(taken_in, visit.peer, grpc_context)
                await self._known(visit)
                context = await self.admit(raw, visit)
                replies, end = self._behavior(context.request, context), until(context.caller)
                while (reply := await _next(replies, end)) is not None:
                    yield await self._shown(reply)
                self._ok.observe(time.perf_counter() - started)
                return
            except Exception as error:
                refusal = await self.refusal(error, visit)
            finally:
                visit.end()
            await self._abort(refusal, grpc_context, started)

    async def taking(self, _requests: Any, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        """Streams to us, and is answered once: what the method returns for its `Incoming`."""
        started = time.perf_counter()
        visit = visit_of(grpc_context)
        with telemetry.server_span(self._path, visit.metadata):
            try:
                async with _limited(grpc_context):
                    incoming, caller = await self._opened(visit, grpc_context)
                    reply = await _within(self._behavior(incoming), until(caller))
                self._ok.observe(time.perf_counter() - started)
                return await self._shown(reply)
            except TimeoutError:
                refusal: Refusal = _too_late()
            except Exception as error:
                refusal = await self.refusal(error, visit)
            finally:
                visit.end()
            await self._abort(refusal, grpc_context, started)
        raise AssertionError("abort raises")

    async def both(self, _requests: Any, grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """Streams both ways: the method's replies, an async generator made from its `Incoming`.

        They are written here, not yielded to gRPC, so that whatever ends the call ends what the method has begun.
        """
        started = time.perf_counter()
        visit = visit_of(grpc_context)
        with telemetry.server_span(self._path, visit.metadata):
            try:
                async with _limited(grpc_context):
                    incoming, caller = await self._opened(visit, grpc_context)
                    end = until(caller)
                    async with aclosing(self._behavior(incoming)) as replies:
                        while (reply := await _next(replies, end)) is not None:
                            await grpc_context.write(await self._shown(reply))
                self._ok.observe(time.perf_counter() - started)
                return
            except TimeoutError:
                refusal: Refusal = _too_late()
            except Exception as error:
                refusal = await self.refusal(error, visit)
            finally:
                visit.end()
            await self._abort(refusal, grpc_context, started)

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

    async def _answer(self, raw: bytes, visit: Visit) -> Any:
        await self._known(visit)
        context = await self.admit(raw, visit)
        return await self._behavior(context.request, context)

    async def _opened(
        self, visit: Visit, grpc_context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> tuple[Incoming, Caller]:
        """The messages of a call that streams them; nothing is taken in before it is known who sends it."""
        self._door.arriving.arrived()
        caller = await self._known(visit)
        limits, principal = self._door.limits, caller.principal.id
        return Incoming(self, visit, grpc_context.read, lambda: limits.pace(principal, time.monotonic())), caller

    async def _known(self, visit: Visit) -> Caller:
        """Who calls; lets them in, as far as they may call now."""
        visit.caller = caller = await self._door.authority.identify(visit.metadata, visit.peer)
        visit.leave = self._door.limits.enter(caller.principal.id, time.monotonic(), streaming=self._streaming)
        return caller

    async def admit(self, raw: bytes, visit: Visit) -> Context:
        """One request of a known caller: parsed, permitted, and recorded where it reads history."""
        authority, metadata, caller = self._door.authority, visit.metadata, visit.caller
        assert caller is not None
        visit.request = request = parse(self._request, raw)
        permit = await authority.authorize(caller, self._method, request, metadata)
        if self._method.recorded or (self._reads_states and request.read.WhichOneof("as_of")):
            await self._record(visit, permit=permit)
        return Context(caller, request, self._path, self._door.clock(), metadata, authority, permit)

    async def refusal(self, error: Exception, visit: Visit) -> Refusal:
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

    async def _shown(self, reply: Any) -> bytes:
        """The answer's bytes, with the texts that its facts and states have beside the log."""
        data = reply if isinstance(reply, bytes) else bytes(reply.SerializeToString())
        return data if self._door.texts is None else await self._door.texts.shown(self._reply, data)

    async def _abort(
        self, refusal: Refusal, grpc_context: "grpc.aio.ServicerContext[Any, Any]", started: float
    ) -> None:
        code = grpc_code(refusal)
        telemetry.refused(code.name, refusal.reason)
        self._seconds[code].observe(time.perf_counter() - started)
        if self._door.texts is not None:
            refusal.message = await self._door.texts.sentence_shown(refusal.message)
        await grpc_context.abort(code, refusal.message, trailers(refusal))

    async def _record(
        self, visit: Visit, *, refused: tuple[str, str] | None = None, permit: Permit | None = None
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


def _limited(grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> AbstractAsyncContextManager[Any]:
    """The deadline of a call that streams to us: the caller's, which gRPC keeps, or ours."""
    return asyncio.timeout(_LONGEST_SECONDS) if grpc_context.time_remaining() is None else nullcontext()


def _too_late() -> TooLate:
    return TooLate("DEADLINE_EXCEEDED", "not done in time; repeat with the same request_id")


async def _next(replies: AsyncIterator[Any], end: float | None) -> Any:
    """The next reply, None at the end. Unauthenticated when the credentials ran out while it was waited for."""
    return await _within(anext(replies, None), end)


async def _within(work: Any, end: float | None) -> Any:
    """What the work comes to. Unauthenticated when the credentials ran out, at `end`, while it was waited for."""
    limit = asyncio.timeout_at(end)
    try:
        async with limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Unauthenticated("TOKEN_EXPIRED", "the credentials have expired; go on with new ones") from error


class _Internal(Refusal):
    code = "INTERNAL"
