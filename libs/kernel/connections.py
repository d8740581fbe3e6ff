"""What a server's connections may do, as options of gRPC, and what its callers may do, as rates: from the settings.

Each option is proved by a flood in tests/faults; gRPC ignores a misspelt one without a word.
"""

from kernel.limits import Rates
from kernel.settings import Settings

MOST_CALLS = 2_000  # At once, in one process; gRPC refuses the next.
# Over the largest request (see kernel.parsing), so that the door can still say what is wrong with one a little larger.
_MOST_MESSAGE_BYTES = 320 * 1024
# More than the longest credentials need. Past the first gRPC refuses some, past the second every call.
_METADATA_BYTES, _MOST_METADATA_BYTES = 16 * 1024, 32 * 1024
_MOST_STREAMS = 100
_MOST_CONNECTIONS = 4_000
_HANDSHAKE_SECONDS = 10
_KEEPALIVE_SECONDS, _KEEPALIVE_ANSWER_SECONDS = 30, 10
# The SDK pings every 30 s. Who pings more often than this gets a few warnings' worth of patience, then GOAWAY.
_PING_SECONDS, _MOST_EARLY_PINGS = 10, 3


def options(settings: Settings) -> list[tuple[str, int]]:
    """Options of the gRPC server."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", _MOST_MESSAGE_BYTES),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MOST_METADATA_BYTES),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        ("grpc.max_allowed_incoming_connections", _MOST_CONNECTIONS),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_SECONDS * 1000),
        ("grpc.keepalive_time_ms", _KEEPALIVE_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_ANSWER_SECONDS * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_SECONDS * 1000),
        ("grpc.http2.max_ping_strikes", _MOST_EARLY_PINGS),
        *_lives(settings),
    ]


def _lives(settings: Settings) -> list[tuple[str, int]]:
    """How long connections live; gRPC takes no option for for ever."""
    seconds = {
        "grpc.max_connection_age_ms": settings.connection_age_seconds,
        "grpc.max_connection_age_grace_ms": settings.connection_grace_seconds,
        "grpc.max_connection_idle_ms": settings.connection_idle_seconds,
    }
    return [(name, int(value * 1000)) for name, value in seconds.items() if value]


def rates(settings: Settings) -> Rates:
    return Rates(
        calls_per_second=settings.calls_per_second,
        calls_burst=settings.calls_burst,
        calls_at_once=settings.calls_at_once,
        streams_at_once=settings.streams_at_once,
        strangers_per_second=settings.strangers_per_second,
        strangers_burst=settings.strangers_burst,
        arriving_at_once=MOST_CALLS // 2,
    )
