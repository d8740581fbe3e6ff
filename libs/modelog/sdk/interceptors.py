"""What happens around every call, once for all methods: fill in, send, repeat while unreachable, learn, or refuse."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc
import grpc.aio

from modelog.sdk.errors import refused
from modelog.sdk.session import AsOf, Attempts, Session, refuse_writing
from modelog.sdk.tokens import Tokens


class _UnaryAsync(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, session: Session, as_of: AsOf | None, tokens: Tokens | None) -> None:
        self._session = session
        self._as_of = as_of
        self._tokens = tokens

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        request = self._session.prepare(request, self._as_of)
        attempts = Attempts(self._session, request, client_call_details.timeout)
        token = await _token(self._tokens)
        metadata = grpc.aio.Metadata(*self._session.metadata(client_call_details.metadata, token))
        while True:
            call = await continuation(_details(client_call_details, attempts.remaining(), metadata), request)
            try:
                self._session.learn(await call)
            except grpc.aio.AioRpcError as error:
                refusal, pause = attempts.judge(error)
                if not pause:
                    raise refusal from error
                await asyncio.sleep(pause)
            else:
                return call


class _StreamAsync(grpc.aio.UnaryStreamClientInterceptor):
    """Streams are sent once: whoever reads one knows where to go on (see `subscribe`)."""

    def __init__(self, session: Session, as_of: AsOf | None, tokens: Tokens | None) -> None:
        self._session = session
        self._as_of = as_of
        self._tokens = tokens

    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        token = await _token(self._tokens)
        metadata = grpc.aio.Metadata(*self._session.metadata(client_call_details.metadata, token))
        request = self._session.prepare(request, self._as_of)
        details = _details(client_call_details, client_call_details.timeout, metadata)
        return _replies(await continuation(details, request))


class _BothAsync(grpc.aio.StreamStreamClientInterceptor):
    """Streams both ways are sent once too: whoever sends knows what has been answered (see `register_versions`)."""

    def __init__(self, session: Session, as_of: AsOf | None, tokens: Tokens | None) -> None:
        self._session = session
        self._as_of = as_of
        self._tokens = tokens

    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        refuse_writing(client_call_details.method, self._as_of)
        token = await _token(self._tokens)
        metadata = grpc.aio.Metadata(*self._session.metadata(client_call_details.metadata, token))
        details = _details(client_call_details, client_call_details.timeout, metadata)
        return _replies(await continuation(details, request_iterator))


async def _token(tokens: Tokens | None) -> str:
    """Empty where nothing proves who calls. Fetching one may block, so the loop does not wait for it."""
    if tokens is None:
        return ""
    return tokens.ready() or await asyncio.to_thread(tokens.fetched)


def _details(
    given: grpc.aio.ClientCallDetails, timeout: float | None, metadata: grpc.aio.Metadata
) -> grpc.aio.ClientCallDetails:
    return grpc.aio.ClientCallDetails(given.method, timeout, metadata, given.credentials, given.wait_for_ready)


async def _replies(call: Any) -> AsyncIterator[Any]:
    try:
        async for reply in call:
            yield reply
    except grpc.aio.AioRpcError as error:
        raise refused(error) from error


def async_interceptors(
    session: Session, as_of: AsOf | None, tokens: Tokens | None
) -> Sequence[grpc.aio.ClientInterceptor]:
    return [kind(session, as_of, tokens) for kind in (_UnaryAsync, _StreamAsync, _BothAsync)]


class _Details(NamedTuple):
    """grpc reads these attributes; its own class for them is not public."""

    method: str
    timeout: float | None
    metadata: Sequence[tuple[str, str | bytes]] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class _Sync(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
    def __init__(self, session: Session, as_of: AsOf | None, tokens: Tokens | None) -> None:
        self._session = session
        self._as_of = as_of
        self._tokens = tokens

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        request = self._session.prepare(request, self._as_of)
        attempts = Attempts(self._session, request, client_call_details.timeout)
        while True:
            call = continuation(self._details(client_call_details, attempts.remaining()), request)
            try:
                self._session.learn(call.result())
            except grpc.RpcError as error:
                refusal, pause = attempts.judge(error)
                if not pause:
                    raise refusal from error
                time.sleep(pause)
            else:
                return call

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        details = self._details(client_call_details, client_call_details.timeout)
        return _Replies(continuation(details, self._session.prepare(request, self._as_of)))

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        refuse_writing(client_call_details.method, self._as_of)
        details = self._details(client_call_details, client_call_details.timeout)
        return _Replies(continuation(details, request_iterator))

    def _details(self, given: Any, timeout: float | None) -> _Details:
        return _Details(
            given.method,
            timeout,
            self._session.metadata(given.metadata, self._tokens.fetched() if self._tokens else ""),
            given.credentials,
            given.wait_for_ready,
            given.compression,
        )


class _Replies:
    """A call's replies, with refusals in place of its errors; everything else is the call's own."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise refused(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def sync_channel(channel: grpc.Channel, session: Session, as_of: AsOf | None, tokens: Tokens | None) -> grpc.Channel:
    """The channel with all of this around its calls."""
    return grpc.intercept_channel(channel, _Sync(session, as_of, tokens))
