"""One HTTP GET on a private address: asking a replica whether it is ready, and Envoy what it sees."""

import asyncio
import http.client


class Unreachable(Exception):
    """Nobody answered in time, or not in HTTP."""


async def fetch(address: str, path: str, *, timeout: float) -> tuple[int, bytes]:
    """Status and body from `host:port`. The standard library's client on a thread: these calls are few and small."""

    def get() -> tuple[int, bytes]:
        host, _, port = address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    try:
        return await asyncio.to_thread(get)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{address}{path}: {error}") from error
