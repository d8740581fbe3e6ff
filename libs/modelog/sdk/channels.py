"""How a client reaches a service: options of its channel, and TLS."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from modelog.sdk import settings
from modelog.sdk.errors import NotConfigured

_MOST_RECEIVED_BYTES = 64 * 1024 * 1024


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
    if is_loopback(address):
        # A proxy for the outside world has no business with this machine's own services.
        chosen.append(("grpc.enable_http_proxy", 0))
    return chosen


def tls(
    ca_file: str | Path = "", certificate_file: str | Path = "", key_file: str | Path = ""
) -> grpc.ChannelCredentials | None:
    """TLS as given, or else as MODELOG_CA_FILE, MODELOG_CERTIFICATE_FILE and MODELOG_KEY_FILE say; None for plaintext.

    ca_file: whom to trust with naming services, `system` for the authorities this system trusts. The other two prove
    that the caller is a service. NotConfigured when a file cannot be read, or only one of those two is said.
    """
    ca, certificate, key = settings.tls_files(ca_file, certificate_file, key_file)
    if bool(certificate) != bool(key):
        raise NotConfigured("a client's certificate needs its key: MODELOG_CERTIFICATE_FILE and MODELOG_KEY_FILE")
    if not ca and not certificate:
        return None
    try:
        authorities = None if ca in ("", "system") else Path(ca).read_bytes()
        own = (Path(key).read_bytes(), Path(certificate).read_bytes()) if key else (None, None)
    except OSError as error:
        raise NotConfigured(f"TLS: {error.filename}: {error.strerror}") from error
    return grpc.ssl_channel_credentials(authorities, *own)


def is_loopback(address: str) -> bool:
    """Whether a target of gRPC stays on this machine. What is not plainly so is not."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]") if not address.endswith("]") else address.strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
