"""One call, as far as it is known by now: what came with it, who calls, and how long that may be believed."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc.aio

from kernel.identity import LEEWAY_SECONDS, Caller, Peer

_URI = "peer_uri"  # Where gRPC puts the URI names of a verified client certificate.


@dataclass(slots=True)
class Visit:
    """A call. request: the newest one that was parsed. leave: gives back the place among the caller's calls."""

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

    def message(self) -> "Visit":
        """The same call, for one of its messages, which is refused and recorded by itself."""
        return Visit(self.metadata, self.peer, self.caller)


def visit_of(grpc_context: "grpc.aio.ServicerContext[Any, Any]") -> Visit:
    metadata: dict[str, str] = {}
    for key, value in grpc_context.invocation_metadata() or ():
        if isinstance(value, str):  # What is said twice is one list, as in HTTP, so that nobody reads only half of it.
            metadata[key] = f"{metadata[key]},{value}" if key in metadata else value
    uris = tuple(uri.decode(errors="replace") for uri in grpc_context.auth_context().get(_URI, ()))
    return Visit(metadata, Peer(grpc_context.peer(), uris))


def until(caller: Caller) -> float | None:
    """The moment, of the loop's clock, until which a stream may go on: no longer than what proves who reads it."""
    if caller.expires is None:
        return None
    return asyncio.get_running_loop().time() + caller.expires.timestamp() + LEEWAY_SECONDS - time.time()
