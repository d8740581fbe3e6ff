"""HTTP calls on replicas and on the gateway, and load that notices every failed request."""

import asyncio
import http.client
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

SECONDS = 20.0


def call(address: str, path: str, body: object = None) -> tuple[int, Any]:
    """One call on a connection of its own: status and parsed answer."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
    try:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, content)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


async def acall(address: str, path: str, body: object = None) -> tuple[int, Any]:
    return await asyncio.to_thread(call, address, path, body)


async def eventually(condition: Callable[[], Awaitable[Any]], *, seconds: float = SECONDS) -> Any:
    """Asks until the answer is true, and returns it; the last answer is in the failure."""
    answer: Any = None
    try:
        async with asyncio.timeout(seconds):
            while not (answer := await condition()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s, last: {answer}") from None
    return answer


class Load:
    """Keeps sending one request over a few kept connections; counts statuses and who answered."""

    def __init__(self, address: str, path: str, body: object, *, threads: int = 3) -> None:
        self.statuses: Counter[object] = Counter()
        self.versions: Counter[str] = Counter()
        self._target = (address, path, json.dumps(body).encode())
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    async def __aenter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _run(self) -> None:
        address, path, body = self._target
        host, _, port = address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
        while not self._stop.wait(0.004):
            try:
                connection.request("POST", path, body)
                response = connection.getresponse()
                response.read()
                self.statuses[response.status] += 1
                self.versions[response.headers.get("x-modelog-version", "")] += 1
            except (OSError, http.client.HTTPException) as error:
                self.statuses[repr(error)] += 1
                connection.close()
        connection.close()
