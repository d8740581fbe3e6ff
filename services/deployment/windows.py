"""What the gateway counted for a rollout's version since the present window began."""

import time
from dataclasses import dataclass

from modelog.deployment.v1.types_pb2 import Rollout
from services.deployment.domain.analysis import Window
from services.deployment.domain.states import PROGRESSING
from services.deployment.drivers.port import PlatformAway
from services.deployment.fetch import Unreachable
from services.deployment.gateway.envoy import Counts, since
from services.deployment.platforms import Traffic


@dataclass(frozen=True)
class _Begun:
    key: tuple[int, int]
    at: float
    counts: Counts


class Windows:
    """Remembers where each window began. A controller that has just started begins its windows anew: they get longer,

    but what they are judged on was all seen within them.
    """

    def __init__(self) -> None:
        self._begun: dict[str, _Begun] = {}

    async def of(self, rollout: Rollout, cluster: str, traffic: Traffic) -> Window | None:
        """The window of the rollout's present step; None while no step is watched, or its traffic cannot be asked."""
        if rollout.state != PROGRESSING or rollout.step != rollout.steps_passed + 1:
            return None
        try:
            counts = await traffic.counts(cluster)
        except (Unreachable, PlatformAway):
            return None
        key = (rollout.step, rollout.window_start_time.ToMicroseconds())
        begun = self._begun.get(rollout.name)
        if begun is None or begun.key != key:
            begun = self._begun[rollout.name] = _Begun(key, time.monotonic(), counts)
        seen = since(counts, begun.counts)
        return Window(time.monotonic() - begun.at, seen.requests, seen.errors, seen.latency)

    def forget(self, but: set[str]) -> None:
        """Drops the windows of rollouts that are not the newest of their endpoint any more."""
        for name in self._begun.keys() - but:
            del self._begun[name]
