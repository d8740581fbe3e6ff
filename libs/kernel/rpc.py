"""The door of every service: from a gRPC call to a servicer's method and back.

Around each method, once and in this order: deadline, who calls, how much they call, parsing and limits, permission, the
method, and the translation of refusals; around one that takes a stream, for each message of it (see `kernel.incoming`).
Whoever is refused for what they are, or reads history, is recorded before being answered; what a method's option says
to be history is, and every read as of a past moment.
Methods are matched against the service's descriptor when the process starts, so a method without an implementation, or
without a declared permission, never answers anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from kernel.access_log import Journal
from kernel.arriving import Arriving
from kernel.calls import Call
from kernel.context import Context
from kernel.identity import Authority
from kernel.incoming import Incoming
from kernel.limits import Limits, Rates
from kernel.texts import Texts

__all__ = ["Context", "Door", "Incoming"]


@dataclass(frozen=True, slots=True)
class Door:
    """What stands around every method of a server."""

    authority: Authority
    clock: Callable[[], datetime]
    journal: Journal
    limits: Limits = field(default_factory=lambda: Limits(Rates()))
    arriving: Arriving = field(default_factory=Arriving)
    texts: Texts | None = None

    def handler(self, service: ServiceDescriptor, servicer: Any) -> grpc.GenericRpcHandler:
        """All methods of one service; TypeError when one is missing or declares no permission."""
        handlers = {f"/{service.full_name}/{one.name}": self._method(one, servicer) for one in service.methods}
        return _Handlers(handlers, self.arriving)

    def _method(self, method: MethodDescriptor, servicer: Any) -> "_Pair":
        call = Call(self, method, servicer)
        if method.client_streaming and method.server_streaming:
            return (grpc.stream_stream_rpc_method_handler(call.both),) * 2
        if method.client_streaming:
            return (grpc.stream_unary_rpc_method_handler(call.taking),) * 2
        if method.server_streaming:
            return (
                grpc.unary_stream_rpc_method_handler(call.stream),
                grpc.stream_stream_rpc_method_handler(call.stream),
            )
        return (grpc.unary_unary_rpc_method_handler(call.unary), grpc.stream_unary_rpc_method_handler(call.unary))


# Two handlers of one method: gRPC takes the request in, or is told that the client streams, which looks the same to it,
# so that the door takes it in itself. Where the client does stream, the door takes in each message anyway.
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
