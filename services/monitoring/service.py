"""How fast and how busy what answers is, from counts that inference servers send with their telemetry. Pure.

Latencies are counted between bounds that are a twelfth apart (2^(1/8)) and the same everywhere, so that counts of any
replicas and times add up; a quantile is known to the width of its part.
"""

from collections.abc import Iterable

from modelog.monitoring.v1 import service_counts_pb2 as counts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.measures import Measure

PARTS = 208
QUANTILE = 0.99
_LEAST_SECONDS = 10e-6
_PARTS_A_DOUBLING = 8


def lower_seconds(part: int) -> float:
    """Where a part begins."""
    return float(_LEAST_SECONDS * 2 ** (part / _PARTS_A_DOUBLING))


def is_sound(service: counts.ServiceCounts) -> bool:
    parts = [one.part for one in service.latencies]
    ascending = parts == sorted(set(parts)) and all(0 <= one < PARTS for one in parts)
    counted = all(one.requests >= 0 for one in service.latencies)
    return ascending and counted and min(service.busy_microseconds, service.observed_microseconds) >= 0


def merge_service(mine: types.ProfileSet, other: counts.ServiceCounts) -> None:
    """Adds the counts of `other` to a window's."""
    requests = {one.part: one.requests for one in mine.service.latencies}
    for one in other.latencies:
        requests[one.part] = requests.get(one.part, 0) + one.requests
    del mine.service.latencies[:]
    mine.service.latencies.extend(_counted(requests.items()))
    mine.service.busy_microseconds += other.busy_microseconds
    mine.service.observed_microseconds += other.observed_microseconds


def _counted(requests: Iterable[tuple[int, int]]) -> Iterable[counts.LatencyCount]:
    return [counts.LatencyCount(part=part, requests=count) for part, count in sorted(requests)]


def latency_quantile(check: types.Check, window: types.ProfileSet) -> Measure:
    """Seconds that the share `quantile` of the requests stayed within; rows: requests.

    The request of rank ceil(q n) (Hyndman and Fan, 1996, definition 1), as far into its part as its rank is among the
    part's requests; the error bound is the width of the part.
    """
    requests = sum(one.requests for one in window.service.latencies)
    if not requests:
        return Measure(0, explanation="no server told how long requests took" if window.rows else "")
    rank = max(1, -int(-(check.quantile or QUANTILE) * requests // 1))
    before = 0
    for one in window.service.latencies:
        if before + one.requests >= rank:
            low, high = lower_seconds(one.part), lower_seconds(one.part + 1)
            value = low + (high - low) * (rank - before - 0.5) / one.requests
            return Measure(requests, value, error_bound=high - low)
        before += one.requests
    raise AssertionError("the rank lies among the requests")


def saturation(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Share of the replicas' time in which their model ran, 0..1; rows: requests and rows of the window."""
    service = window.service
    requests = max(window.rows, sum(one.requests for one in service.latencies))
    if not service.observed_microseconds:
        return Measure(requests, explanation="no server told how busy it was" if requests else "")
    return Measure(requests, min(1.0, service.busy_microseconds / service.observed_microseconds))
