"""A rollout as it changes, over any number of broken connections: each state once, in order, until it is finished."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from modelog.sdk.breaks import Breaks
from modelog.sdk.errors import Refused

if TYPE_CHECKING:
    from modelog.deployment.v1.people_pb2 import WatchRolloutRequest, WatchRolloutResponse


class _Place:
    """Where a watcher stands, whichever way it waits."""

    def __init__(self, name: str, interval_seconds: float, patience_seconds: float) -> None:
        self._name = name
        self._interval = interval_seconds
        self._breaks = Breaks(patience_seconds)
        self._revision = 0

    def request(self) -> "WatchRolloutRequest":
        """Goes on behind the last state that came."""
        from modelog.deployment.v1.people_pb2 import WatchRolloutRequest

        request = WatchRolloutRequest(name=self._name, after_revision=self._revision)
        if self._interval:
            request.interval.FromMilliseconds(int(self._interval * 1000))
        return request

    def take(self, reply: "WatchRolloutResponse") -> None:
        self._revision = max(self._revision, reply.rollout.revision)
        self._breaks.heard()

    def pause(self, error: Refused) -> float:
        """Seconds to wait after a break; raises what will not pass, or lasts too long."""
        return self._breaks.pause(error, passes=error.reason == "TOKEN_EXPIRED")


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
