"""What is known when a step of a rollout is judged: what was counted in the window, and what monitoring said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from modelog.deployment.v1.analysis_pb2 import KnownMonitor


@dataclass(frozen=True)
class Counted:
    """A version's requests. latency: (upper bound in ms, requests at or below it), cumulative."""

    requests: int = 0
    errors: int = 0
    latency: Sequence[tuple[float, int]] = ()

    @property
    def error_rate(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Window:
    """What the requests of a rollout's version looked like, and what they are held against.

    running: those of the version before, in the same time; None when it has no share of this step's traffic.
    version, endpoint: by name. since: when the window began. monitors: those that metrics name, by name; empty ones
    are unknown. number: of the window within its step, from 1. steps: of the rollout. whole: it lasted as long as it
    should. look: not whole, but a comparison may be made now.
    """

    seconds: float
    requests: int = 0
    errors: int = 0
    latency: Sequence[tuple[float, int]] = ()
    running: Counted | None = None
    version: str = ""
    endpoint: str = ""
    since: datetime | None = None
    monitors: Mapping[str, KnownMonitor] = field(default_factory=dict)
    number: int = 1
    steps: int = 1
    whole: bool = True
    look: bool = False

    @property
    def fresh(self) -> Counted:
        """The new version's requests."""
        return Counted(self.requests, self.errors, self.latency)


def quantile(latency: Sequence[tuple[float, int]], q: float) -> float:
    """The q-quantile in ms, linear within the bucket it falls into; 0 without observations.

    The estimate is at most one bucket off, as that of Prometheus' histogram_quantile, whose method this is.
    """
    whole = latency[-1][1] if latency else 0
    if not whole:
        return 0.0
    rank, below, lower = q * whole, 0, 0.0
    for bound, count in latency:
        if count >= rank and count > below:
            return lower + (bound - lower) * (rank - below) / (count - below)
        below, lower = count, bound
    return lower
