"""How a client reaches a service: options of its channel."""

from collections.abc import Sequence
from typing import Any

_MOST_RECEIVED_BYTES = 64 * 1024 * 1024
_LOOPBACK = ("localhost", "127.", "[::1]", "::1", "unix:")


def options(address: str) -> Sequence[tuple[str, Any]]:
    """Channel options: come back fast after a restart, notice a dead peer, and take whole batches of facts."""
    chosen = [
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_receive_message_length", _MOST_RECEIVED_BYTES),
    ]
    if address.startswith(_LOOPBACK):
        # A proxy for the outside world has no business with this machine's own services.
        chosen.append(("grpc.enable_http_proxy", 0))
    return chosen
