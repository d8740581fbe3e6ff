"""Connections to the outside, and to nowhere else: a name is resolved once, all its addresses are checked, and the very
address that was checked is connected to. The name stays the one that TLS verifies and the request speaks of.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import httpcore

from services.registry.domain.outside import Outside, is_inside

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
_MOST_TRIED = 3


class Inside(Exception):
    """The name leads to an address that nothing is sent to. Which one is not told: it is nobody's business outside."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name. httpcore.ConnectError when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} has no address") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Guarded(httpcore.AsyncNetworkBackend):
    """Every connection of an HTTP client goes through here, so nothing gets around the check."""

    def __init__(self, outside: Outside, resolve: Resolve = resolve) -> None:
        self._outside = outside
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        # One bad address among good ones is no accident, so the name is refused with all of them.
        if any(is_inside(ip_address(one), self._outside) for one in addresses):
            raise Inside(f"{host} leads to an address inside, or to none of the public internet")
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for one in addresses[:_MOST_TRIED]:
            try:
                return await self._inner.connect_tcp(one, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise Inside("nothing is sent to sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
