"""What a replica has counted: for whoever judges a version where no gateway of ours counts, and for Prometheus."""

from bisect import bisect_left
from collections import Counter

from services.deployment.gateway.config import LATENCY_BOUNDS_MS

# Rows that ran together.
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Tally:
    """Requests, those that failed by our fault, and how long they took, since the replica started."""

    def __init__(self) -> None:
        self.by_door: Counter[tuple[str, int]] = Counter()
        self.milliseconds = 0.0
        self.buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self.together = [0] * (len(BATCH_BOUNDS) + 1)
        self.rows = 0
        self.shared = 0

    def answered(self, status: int, milliseconds: float, door: str = "http") -> None:
        """One inference. status: of HTTP, also where the door speaks gRPC."""
        self.by_door[door, status] += 1
        self.milliseconds += milliseconds
        self.buckets[bisect_left(LATENCY_BOUNDS_MS, milliseconds)] += 1

    def ran(self, requests: int, rows: int) -> None:
        """One run of the model for so many requests."""
        self.together[bisect_left(BATCH_BOUNDS, rows)] += 1
        self.rows += rows
        self.shared += requests if requests > 1 else 0

    def plain(self) -> dict[str, object]:
        """requests, errors, and latency as [upper bound in ms, requests at or below it], cumulative."""
        latency, below = [], 0
        for bound, count in zip(LATENCY_BOUNDS_MS, self.buckets, strict=False):
            below += count
            latency.append([bound, below])
        errors = sum(count for (_, status), count in self.by_door.items() if status >= 500)
        return {"requests": self.by_door.total(), "errors": errors, "latency": latency}
