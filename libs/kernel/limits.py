"""How much one caller may ask for: calls a second, calls and streams at once; how often strangers are recorded. Pure.

A bucket is kept as one number, the moment at which it would be full again: refilling needs no timer, and a bucket that
is full is worth nothing, so it may be forgotten (GCRA, ITU-T I.371). `now` is any clock in seconds that never goes
back.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from kernel.errors import Exhausted

_MOST_KEYS = 10_000
_AGAIN_SECONDS = 0.1


class Buckets:
    """A bucket of tokens for each key. At most `most` are kept; past that the one used longest ago is forgotten."""

    def __init__(self, per_second: float, burst: float, most: int = _MOST_KEYS) -> None:
        """per_second: how fast a bucket fills, 0 for no limit at all. burst: how many tokens a full one holds."""
        self._each_seconds = 1 / per_second if per_second > 0 else 0.0
        self._depth_seconds = self._each_seconds * max(burst - 1, 0.0)
        self._full_at: dict[str, float] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float, tokens: float = 1.0) -> float:
        """Takes tokens and returns 0; or, when not even one is there, the seconds until there is.

        What takes more than there is leaves the bucket in debt, so that what comes next waits the longer.
        """
        if not self._each_seconds:
            return 0.0
        full_at = max(self._full_at.pop(key, now), now)
        missing = full_at - self._depth_seconds - now
        if missing <= 0:
            full_at += self._each_seconds * tokens
        self._full_at[key] = full_at  # Put back at the end, so the first is the one used longest ago.
        if len(self._full_at) > self._most:
            del self._full_at[next(iter(self._full_at))]
        return max(missing, 0.0)


class Places:
    """How many each key holds at once, up to `most`; 0 for any number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, int] = {}

    def held(self, key: str) -> int:
        return self._held.get(key, 0)

    def take(self, key: str) -> bool:
        held = self._held.get(key, 0)
        if self._most and held >= self._most:
            return False
        self._held[key] = held + 1
        return True

    def leave(self, key: str) -> None:
        left = self._held[key] - 1
        if left:
            self._held[key] = left
        else:
            del self._held[key]


@dataclass(frozen=True, slots=True)
class Rates:
    """The figures. A 0 stands for no limit."""

    calls_per_second: float = 0
    calls_burst: float = 1
    calls_at_once: int = 0
    streams_at_once: int = 0
    strangers_per_second: float = 0
    strangers_burst: float = 1
    # Requests of one address that have begun and not arrived.
    arriving_at_once: int = 0


class Limits:
    """The limits of one door, in one process."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._calls = Buckets(rates.calls_per_second, rates.calls_burst)
        self._strangers = Buckets(rates.strangers_per_second, rates.strangers_burst)
        self._unary, self._streams = Places(rates.calls_at_once), Places(rates.streams_at_once)
        self._arriving = Places(rates.arriving_at_once)

    def arriving(self, address: str) -> None:
        """Counts a request that begins to arrive, of whom nobody knows yet; `arrived` ends it."""
        if not self._arriving.take(host_of(address)):
            raise Exhausted(
                "TOO_MANY_ARRIVING",
                f"{self._rates.arriving_at_once} requests from your address are on their way already; send them whole",
                retry_seconds=_AGAIN_SECONDS,
            )

    def arrived(self, address: str) -> None:
        self._arriving.leave(host_of(address))

    def enter(self, principal: str, now: float, *, streaming: bool) -> Callable[[str], None]:
        """Lets a call of a known principal in; call what is returned, with the principal, when it is over."""
        wait_seconds = self._calls.take(principal, now)
        if wait_seconds:
            raise Exhausted(
                "RATE_LIMITED",
                f"{principal} makes more than {self._rates.calls_per_second:g} calls a second here; wait "
                f"{wait_seconds:.3f} s and repeat with the same request_id",
                metadata={"principal": principal},
                retry_seconds=wait_seconds,
            )
        places = self._streams if streaming else self._unary
        if not places.take(principal):
            what, most = ("streams", self._rates.streams_at_once) if streaming else ("calls", self._rates.calls_at_once)
            raise Exhausted(
                "TOO_MANY_STREAMS" if streaming else "TOO_MANY_CALLS",
                f"{principal} has {most} {what} open here, which is the most; end one before the next",
                metadata={"principal": principal},
                retry_seconds=0.0 if streaming else _AGAIN_SECONDS,
            )
        return places.leave

    def pace(self, principal: str, now: float) -> float:
        """Counts one more message of an open stream as a call; or the seconds to wait before it is taken in."""
        return self._calls.take(principal, now)

    def stranger(self, address: str, now: float) -> None:
        """Counts a caller who could not say who they are; past the limit the refusal is not worth a record."""
        wait_seconds = self._strangers.take(host_of(address), now)
        if wait_seconds:
            raise Exhausted(
                "RATE_LIMITED",
                f"too many calls from your address without valid credentials; get valid ones, or wait "
                f"{wait_seconds:.3f} s",
                retry_seconds=wait_seconds,
            )


@lru_cache(maxsize=_MOST_KEYS)
def host_of(peer: str) -> str:
    """Whom an address of gRPC belongs to: `ipv4:10.0.0.7:51000` without its port, of IPv6 the network of 64 bits.

    Who has one address of IPv6 has the network, so each of its addresses must not be a fresh start.
    """
    family, _, rest = peer.replace("%5B", "[").replace("%5D", "]").partition(":")
    if family == "ipv4":
        return rest.rpartition(":")[0]
    if family == "ipv6":
        host = rest.rpartition("]")[0].lstrip("[").partition("%")[0]
        try:
            return str(ipaddress.IPv6Network((host, 64), strict=False).network_address)
        except ValueError:
            return host
    return peer
