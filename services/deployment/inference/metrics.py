"""What Prometheus is told of a replica. Nothing is kept twice: it is put together when somebody asks."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from services.deployment.gateway.config import LATENCY_BOUNDS_MS
from services.deployment.inference.answers import Answers
from services.deployment.inference.counts import BATCH_BOUNDS
from services.deployment.inference.memory import resident_bytes


class Metrics:
    """The collector of one replica."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """In the text format of Prometheus."""
        text: bytes = generate_latest(self._registry)
        return text

    def collect(self) -> Iterator[Metric]:
        answers, tally = self._answers, self._answers.tally
        requests = CounterMetricFamily(
            "modelog_inference_requests", "Inferences by door and status of HTTP.", labels=["door", "status"]
        )
        for (door, status), count in sorted(tally.by_door.items()):
            requests.add_metric([door, str(status)], count)
        yield requests
        yield _histogram(
            "modelog_inference_seconds",
            "From the request to its answer.",
            [bound / 1000 for bound in LATENCY_BOUNDS_MS],
            tally.buckets,
            tally.milliseconds / 1000,
        )
        yield _histogram("modelog_inference_batch_rows", "Rows a run.", BATCH_BOUNDS, tally.together, tally.rows)
        yield CounterMetricFamily(
            "modelog_inference_batched_requests", "Requests that ran together with others.", value=tally.shared
        )
        yield GaugeMetricFamily(
            "modelog_inference_waiting", "Requests that wait for a turn.", value=answers.turns.waiting
        )
        yield GaugeMetricFamily(
            "modelog_inference_under_way", "Requests that wait or are with the model.", value=answers.under_way
        )
        yield GaugeMetricFamily("modelog_inference_ready", "Whether it would answer now.", value=float(answers.ready))
        yield GaugeMetricFamily("modelog_inference_resident_bytes", "Memory in use.", value=resident_bytes())
        if telemetry := answers.telemetry:
            yield GaugeMetricFamily(
                "modelog_inference_telemetry_rows", "Rows that wait to be published.", value=telemetry.waiting_rows
            )
            yield CounterMetricFamily(
                "modelog_inference_telemetry_dropped_rows",
                "Rows that were not published, for the queue was full or the stream away.",
                value=telemetry.dropped_ever,
            )


def _histogram(name: str, says: str, bounds: Sequence[float], counts: Sequence[int], total: float) -> Metric:
    buckets, below = [], 0
    for bound, count in zip([*map(str, map(float, bounds)), "+Inf"], counts, strict=True):
        below += count
        buckets.append((bound, below))
    return HistogramMetricFamily(name, says, buckets=buckets, sum_value=total)
