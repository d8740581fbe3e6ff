"""Pauses between attempts, and when to give up."""

import random
import time

import grpc

from modelog.sdk.errors import Refused

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)


class Pauses:
    """Each twice as long as the one before, up to a longest one."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest = longest_seconds
        self._next = _FIRST_PAUSE_SECONDS

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait now. Halved at random, so that many clients do not come back in one moment."""
        pause = max(self._next * random.uniform(0.5, 1.0), at_least)
        self._next = min(self._next * 2, self._longest)
        return pause

    def start_anew(self) -> None:
        """The next one is short again."""
        self._next = _FIRST_PAUSE_SECONDS


class Breaks:
    """Breaks of one stream that is read on after each. patience_seconds: how long nothing may be heard."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience = patience_seconds
        self._pauses = Pauses(_LONGEST_PAUSE_SECONDS)
        self._heard = time.monotonic()

    def heard(self) -> None:
        """Something came."""
        self._heard = time.monotonic()
        self._pauses.start_anew()

    def pause(self, error: Refused, *, passes: bool = False) -> float:
        """Seconds to wait before reading on; raises what will not pass, or lasts too long. passes: known to pass."""
        passes = passes or error.code in _PASSING
        if not passes or time.monotonic() - self._heard > self._patience:
            raise error
        return self._pauses.next(error.retry_seconds)
