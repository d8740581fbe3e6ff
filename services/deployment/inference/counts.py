"""What a replica has counted of its requests, for whoever judges a version where no gateway of ours counts them."""

from bisect import bisect_left

from services.deployment.gateway.config import LATENCY_BOUNDS_MS


class Tally:
    """Requests, those that failed by our fault, and how long they took, since the replica started."""

    def __init__(self) -> None:
        self._requests = 0
        self._errors = 0
        self._buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)

    def answered(self, status: int, milliseconds: float) -> None:
        self._requests += 1
        self._errors += status >= 500
        self._buckets[bisect_left(LATENCY_BOUNDS_MS, milliseconds)] += 1

    def plain(self) -> dict[str, object]:
        """requests, errors, and latency as [upper bound in ms, requests at or below it], cumulative."""
        latency, below = [], 0
        for bound, count in zip(LATENCY_BOUNDS_MS, self._buckets, strict=False):
            below += count
            latency.append([bound, below])
        return {"requests": self._requests, "errors": self._errors, "latency": latency}
