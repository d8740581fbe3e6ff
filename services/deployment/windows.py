"""What the gateway counted for a rollout's version, and for the one before it, since the present window began."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelog.deployment.v1.analysis_pb2 import KnownMonitor
from modelog.deployment.v1.types_pb2 import Analysis, Rollout
from services.deployment.domain.comparison import EARLY
from services.deployment.domain.states import PROGRESSING
from services.deployment.domain.strategy import Step, analysis_of, seconds_of, serves_alone, steps_of
from services.deployment.domain.windows import Counted, Window
from services.deployment.drivers.port import PlatformAway
from services.deployment.fetch import Unreachable
from services.deployment.gateway.counts import Counts, added, since
from services.deployment.platforms import Traffic, counts_of_versions

Load = Callable[[str], Awaitable[Any]]


@dataclass
class _Open:
    """A window that is under way. last: the newest reading of each version; seen: what was counted since it began."""

    key: tuple[int, int]
    at: float
    last: dict[str, Counts]
    seen: dict[str, Counts] = field(default_factory=dict)
    looks: int = 0

    def read(self, counts: Mapping[str, Counts]) -> None:
        """Adds what came since the last reading, so that whoever counts may start anew in between, at any time."""
        for version, now in counts.items():
            self.seen[version] = added(self.seen.get(version, Counts()), since(now, self.last.get(version, Counts())))
            self.last[version] = now

    def look(self, seconds: float) -> bool:
        """Whether an early look is due that was not taken yet; one that was missed is not made up for."""
        passed = sum(time.monotonic() - self.at >= part * seconds for part in EARLY)
        is_due, self.looks = passed > self.looks, max(passed, self.looks)
        return is_due


class Windows:
    """Remembers where each window began. A controller that has just started begins its windows anew: they get longer,

    but what they are judged on was all seen within them. load: a monitor by its name, empty when it is not known.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._open: dict[str, _Open] = {}

    async def of(self, rollout: Rollout, traffic: Traffic, now: datetime) -> Window | None:
        """The window of the rollout's present step.

        None while no step is watched, its traffic has only just been moved, or its traffic cannot be asked.
        """
        if rollout.state != PROGRESSING or rollout.step != rollout.steps_passed + 1:
            return None
        analysis = analysis_of(rollout.strategy, rollout.step)
        if analysis is not None and _is_early(rollout, analysis, now):
            return None
        endpoint = rollout.name.rpartition("/rollouts/")[0]
        try:
            versions = [one for one in (rollout.version, rollout.previous_version) if one]
            counts = await counts_of_versions(traffic, endpoint, versions)
        except (Unreachable, PlatformAway):
            return None
        key = (rollout.step, rollout.window_start_time.ToMicroseconds())
        opened = self._open.get(rollout.name)
        if opened is None or opened.key != key:
            opened = self._open[rollout.name] = _Open(key, time.monotonic(), dict(counts))
        opened.read(counts)
        monitors = {one.monitor for one in analysis.metrics if one.monitor} if analysis is not None else set()
        known = {name: await self._load(name) for name in monitors}
        return _window(rollout, opened, endpoint, known)

    def forget(self, but: set[str]) -> None:
        """Drops the windows of rollouts that are not the newest of their endpoint any more."""
        for name in self._open.keys() - but:
            del self._open[name]


def _is_early(rollout: Rollout, analysis: Analysis, now: datetime) -> bool:
    """Whether the step's first window has to wait for its initial delay."""
    if rollout.window > 1:
        return False
    moved = rollout.window_start_time.ToDatetime(tzinfo=UTC)
    return (now - moved).total_seconds() < seconds_of(analysis.initial_delay)


def _window(rollout: Rollout, opened: _Open, endpoint: str, monitors: Mapping[str, KnownMonitor]) -> Window:
    steps = steps_of(rollout.strategy, rollout.replicas)
    step = steps[rollout.step - 1]
    seconds = time.monotonic() - opened.at
    seen = opened.seen.get(rollout.version, Counts())
    return Window(
        seconds,
        seen.requests,
        seen.errors,
        seen.latency,
        running=_running(rollout, step, opened),
        version=rollout.version,
        endpoint=endpoint,
        since=rollout.window_start_time.ToDatetime(tzinfo=UTC),
        monitors=monitors,
        number=max(rollout.window, 1),
        steps=len(steps),
        whole=seconds >= step.seconds,
        look=opened.look(step.seconds),
    )


def _running(rollout: Rollout, step: Step, opened: _Open) -> Counted | None:
    if not rollout.previous_version or serves_alone(rollout.strategy, step):
        return None
    seen = opened.seen.get(rollout.previous_version, Counts())
    return Counted(seen.requests, seen.errors, seen.latency)
