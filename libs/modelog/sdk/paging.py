"""Lists as iterators: all items of all pages of any List method."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, overload

import grpc
import grpc.aio

_PAGE_SIZE = 500


@overload
def pages(method: "grpc.aio.UnaryUnaryMultiCallable[Any, Any]", request: Any) -> AsyncIterator[Any]: ...
@overload
def pages(method: "grpc.UnaryUnaryMultiCallable[Any, Any]", request: Any) -> Iterator[Any]: ...
def pages(method: Any, request: Any) -> AsyncIterator[Any] | Iterator[Any]:
    """Every item of a listing, page after page: `async for` over an async stub's method, `for` over a blocking one's.

    A page_size in the request is kept, else pages are as large as the service gives them. The request is not changed.
    """
    asking = type(request)()
    asking.CopyFrom(request)
    asking.page_size = request.page_size or _PAGE_SIZE
    return _async(method, asking) if isinstance(method, grpc.aio.UnaryUnaryMultiCallable) else _sync(method, asking)


async def _async(method: Any, request: Any) -> AsyncIterator[Any]:
    while True:
        reply = await method(request)
        for item in items(reply):
            yield item
        if not reply.next_page_token:
            return
        request.page_token = reply.next_page_token


def _sync(method: Any, request: Any) -> Iterator[Any]:
    while True:
        reply = method(request)
        yield from items(reply)
        if not reply.next_page_token:
            return
        request.page_token = reply.next_page_token


def items(reply: Any) -> Any:
    """The one repeated field of a List reply."""
    (field,) = (one for one in reply.DESCRIPTOR.fields if one.is_repeated)
    return getattr(reply, field.name)
