"""One POST to one receiver: no redirects, no proxies, no cookies, one deadline over all, little of the answer read."""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpcore

from kernel.errors import Refusal
from services.registry.domain.outside import Outside, destination
from services.registry.webhooks.network import Guarded, Inside, Resolve, resolve

_CONNECT_SECONDS = 5.0
_MOST_BYTES = 64 * 1024
_KEEP_SECONDS = 10.0
_LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0
GONE = 410
_FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
    OSError,
)


class Answer(NamedTuple):
    """What came of it. status: 0 when there was no answer. refused: nothing was sent, because of where it leads.

    retry_after_seconds: what the receiver asked for; 0 when nothing.
    """

    status: int = 0
    error: str = ""
    refused: bool = False
    retry_after_seconds: float = 0.0

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


class Sender:
    """One receiver's connection: at most one at a time, kept for a moment. `close()` it."""

    def __init__(
        self, outside: Outside, tls: ssl.SSLContext, *, timeout_seconds: float, resolve: Resolve = resolve
    ) -> None:
        self._outside = outside
        self._timeout_seconds = timeout_seconds
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=_KEEP_SECONDS,
            network_backend=Guarded(outside, resolve),
        )

    async def close(self) -> None:
        await self._pool.aclose()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Never raises for what a receiver or the network does."""
        try:
            destination(url, self._outside)  # The settings may be stricter now than when the webhook was created.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._post(url, headers, body)
        except (Refusal, Inside) as refused:
            return Answer(error=str(refused), refused=True)
        except TimeoutError:
            return Answer(error=f"no whole answer within {self._timeout_seconds:g} s")
        except _FAILURES as error:
            return Answer(error=f"{type(error).__name__}: {error}"[:300])

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        waits = {"connect": _CONNECT_SECONDS, "read": self._timeout_seconds, "write": self._timeout_seconds}
        async with self._pool.stream(
            "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": waits}
        ) as response:
            size = 0
            async for chunk in response.aiter_stream():
                size += len(chunk)
                if size > _MOST_BYTES:  # What it says is not kept, so nobody reads the inside through us either.
                    break
            answered = {name.lower(): value for name, value in response.headers}
            wait = retry_after_seconds(answered.get(b"retry-after", b"").decode("latin-1"), datetime.now(UTC))
            return Answer(response.status, _told(response.status), retry_after_seconds=wait)


def _told(status: int) -> str:
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed, change the address"
    return "" if 200 <= status < 300 else f"answered {status}"


def retry_after_seconds(value: str, now: datetime) -> float:
    """Of a Retry-After header, seconds or a date (RFC 9110, 10.2.3), at most a day; 0 for what is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)
