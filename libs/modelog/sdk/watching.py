"""A rollout as it changes, over any number of broken connections: each state once, in order, until it is finished."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc

from modelog.sdk.errors import Refused

if TYPE_CHECKING:
    from modelog.deployment.v1.people_pb2 import WatchRolloutRequest, WatchRolloutResponse

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)


class _Place:
    """Where a watcher stands, whichever way it waits."""

    def __init__(self, name: str, interval_seconds: float, patience_seconds: float) -> None:
        self._name = name
        self._interval = interval_seconds
        self._patience = patience_seconds
        self._revision = 0
        self._pause = _FIRST_PAUSE_SECONDS
        self._heard = time.monotonic()

    def request(self) -> "WatchRolloutRequest":
        """Goes on behind the last state that came."""
        from modelog.deployment.v1.people_pb2 import WatchRolloutRequest

        request = WatchRolloutRequest(name=self._name, after_revision=self._revision)
        if self._interval:
            request.interval.FromMilliseconds(int(self._interval * 1000))
        return request

    def take(self, reply: "WatchRolloutResponse") -> None:
        self._revision = max(self._revision, reply.rollout.revision)
        self._pause, self._heard = _FIRST_PAUSE_SECONDS, time.monotonic()

    def pause(self, error: Refused) -> float:
        """Seconds to wait after a break; raises what will not pass, or lasts too long."""
        passing = error.code in _PASSING or error.reason == "TOKEN_EXPIRED"
        if not passing or time.monotonic() - self._heard > self._patience:
            raise error
        pause = max(self._pause * random.uniform(0.5, 1.0), error.retry_seconds)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        return pause


def watch_rollout(
    method: Callable[..., Any], name: str, *, interval_seconds: float = 0.0, patience_seconds: float = float("inf")
) -> "Iterator[WatchRolloutResponse]":
    """Replies of `WatchRollout`; `method` is that of a blocking stub. See SyncClient.watch_rollout."""
    place = _Place(name, interval_seconds, patience_seconds)
    while True:
        call = method(place.request())
        try:
            for reply in call:
                place.take(reply)
                yield reply
            return
        except Refused as error:
            time.sleep(place.pause(error))
        finally:
            call.cancel()


async def awatch_rollout(
    method: Callable[..., Any], name: str, *, interval_seconds: float = 0.0, patience_seconds: float = float("inf")
) -> "AsyncIterator[WatchRolloutResponse]":
    """The same on an event loop. See Client.watch_rollout."""
    place = _Place(name, interval_seconds, patience_seconds)
    while True:
        call = method(place.request())
        try:
            async for reply in call:
                place.take(reply)
                yield reply
            return
        except Refused as error:
            await asyncio.sleep(place.pause(error))
        finally:
            call.cancel()
