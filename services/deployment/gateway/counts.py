"""What Envoy counts for clusters, read from its statistics, and kept going where Envoy begins to count anew.

Envoy makes a cluster anew whenever its replicas change. What it counts for every cluster goes on then, but what it
only counts once there is something to count (errors, latencies, statuses of gRPC) begins anew.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.deployment.gateway import grpc

LATENCY = "upstream_rq_time"
COUNTERS = {
    "upstream_rq_completed": "requests",
    "upstream_rq_5xx": "errors",
    "upstream_rq_4xx": "client_errors",
    "upstream_rq_timeout": "timeouts",
    "upstream_rq_per_try_timeout": "timeouts",
    "upstream_rq_retry": "retries",
    "outlier_detection.ejections_enforced_total": "ejections",
}
Latency = tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Counts:
    """What was counted for one cluster.

    requests: answered ones, also those that the cluster got as a mirror; errors: of these, 5xx or no answer at all;
    client_errors: of these, 4xx. latency: (upper bound in ms, requests at or below it), cumulative over the bounds of
    the histogram; slower ones than the last bound only show in requests. timeouts: requests, or tries of one, that
    took too long; retries: what was sent again; ejections: how often a replica was left alone for its errors.
    """

    requests: int = 0
    errors: int = 0
    latency: Latency = ()
    client_errors: int = 0
    timeouts: int = 0
    retries: int = 0
    ejections: int = 0


_FIELDS = tuple(sorted(set(COUNTERS.values())))


class Reading:
    """Statistics of Envoy as read again and again; sums of each that never shrink.

    Where one is smaller than before, or gone, it has begun anew, and what it had reached is added from then on. What
    came between the last reading and that moment is lost; who judges reads several times a second.
    """

    def __init__(self) -> None:
        self._clusters: dict[str, _Cluster] = {}

    def read(self, stats: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Counts]:
        """Counts by cluster, of statistics as Envoy answers them when asked for these; none of one it does not know."""
        values: dict[str, dict[str, int]] = {}
        latencies: dict[str, Latency] = {}
        for one in stats:
            if "name" in one:
                _, cluster, stat = one["name"].split(".", 2)
                values.setdefault(cluster, {})[stat] = int(one["value"])
            for histogram in one.get("histograms", ()):
                buckets = ((float(each["upper_bound"]), int(each["cumulative"])) for each in histogram["buckets"])
                latencies[histogram["name"].split(".")[1]] = tuple(buckets)
        for name in names:
            if name in values:
                self._clusters.setdefault(name, _Cluster()).read(values[name], latencies.get(name, ()))
            else:
                self._clusters.pop(name, None)
        return {name: self._clusters[name].counts(is_grpc=grpc.is_beside(name)) for name in names if name in values}


class _Cluster:
    """last: as Envoy said it; before: what each statistic had reached whenever it began anew, added up."""

    def __init__(self) -> None:
        self._last: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        self._latency: Latency = ()
        self._latency_before: Latency = ()

    def read(self, values: Mapping[str, int], latency: Latency) -> None:
        for stat, last in self._last.items():
            if values.get(stat, 0) < last:
                self._before[stat] += last
        self._last = Counter(values)
        if _shrunk(latency, self._latency):
            self._latency_before = _stacked(self._latency_before, self._latency)
        self._latency = latency

    def counts(self, *, is_grpc: bool) -> Counts:
        whole = self._last + self._before
        sums: Counter[str] = Counter()
        for stat, field in COUNTERS.items():
            sums[field] += whole[stat]
        if is_grpc:  # Errors of gRPC have status 200 of HTTP.
            sums["errors"] = grpc.errors({stat: count for stat, count in whole.items() if stat not in COUNTERS})
        return Counts(**sums, latency=_stacked(self._latency_before, self._latency))


def added(one: Counts, other: Counts) -> Counts:
    """Both together, bucket by bucket; a side that has no histogram yet has no requests."""
    counted = {name: getattr(one, name) + getattr(other, name) for name in _FIELDS}
    return Counts(**counted, latency=_stacked(one.latency, other.latency))


def since(now: Counts, before: Counts) -> Counts:
    """What was counted between two readings. Whoever counts and started anew in between counts from nothing."""
    if now.requests < before.requests or now.errors < before.errors or _shrunk(now.latency, before.latency):
        return now
    earlier = dict(before.latency)
    latency = tuple((bound, count - earlier.get(bound, 0)) for bound, count in now.latency)
    counted = {name: max(getattr(now, name) - getattr(before, name), 0) for name in _FIELDS}
    return Counts(**counted, latency=latency)


def _stacked(one: Latency, other: Latency) -> Latency:
    known = dict(one)
    return tuple((bound, count + known.get(bound, 0)) for bound, count in other) or one


def _shrunk(now: Latency, before: Latency) -> bool:
    known = dict(now)
    return any(known.get(bound, 0) < count for bound, count in before)
