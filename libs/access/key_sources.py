"""Where a set of keys comes from: a file, or a URL that is asked for nothing but the set. Both block, and end soon."""

import http.client
import ipaddress
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_MOST_BYTES = 256 * 1024
_SECONDS = 3.0


def source(place: str) -> Callable[[], bytes]:
    """Reads the set at a path or a URL. ValueError for a URL that somebody between could answer for."""
    parts = urlsplit(place)
    if not parts.scheme or "://" not in place:
        return partial(_read, Path(place))
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return partial(_fetch, place, direct=_is_loopback(parts.hostname or ""))
    raise ValueError("keys come from a file, from https, or from http on this machine itself")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return _limited(file.read(_MOST_BYTES + 1))


def _fetch(url: str, *, direct: bool) -> bytes:
    """direct: not through a proxy, which has no business with this machine's own services."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if direct:
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Accept": "application/json", "Cache-Control": "no-cache"})  # noqa: S310 - see `source`.
    until = time.monotonic() + _SECONDS
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_SECONDS) as reply:
            return _drained(reply, until)
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP: {error!r}") from error


def _drained(reply: Any, until: float) -> bytes:
    """All of a reply, unless it is too long or comes drop by drop."""
    content = b""
    while len(content) <= _MOST_BYTES:
        part = reply.read1(_MOST_BYTES)
        if not part:
            break
        content += part
        if time.monotonic() > until:
            raise TimeoutError(f"not read in {_SECONDS:.0f} s")
    return _limited(content)


def _limited(content: bytes) -> bytes:
    if len(content) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    return content


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from where the settings say, and not from wherever that place points today."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None
