"""Readings of Envoy's statistics that begin anew, each at its own moment."""

from typing import Any

from services.deployment.gateway.counts import Counts, Reading
from services.deployment.gateway.grpc import beside

NAME = "risk_fraud-eu_fraud_1"


def stats(name: str = NAME, *, latency: tuple[int, int] | None = None, **values: int) -> list[dict[str, Any]]:
    """latency: requests within 1 ms, and within 2 ms."""
    found: list[dict[str, Any]] = [{"name": f"cluster.{name}.{stat}", "value": value} for stat, value in values.items()]
    if latency is not None:
        buckets = [{"upper_bound": bound, "cumulative": count} for bound, count in zip((1, 2), latency, strict=True)]
        found.append({"histograms": [{"name": f"cluster.{name}.upstream_rq_time", "buckets": buckets}]})
    return found


def test_each_statistic_that_begins_anew_goes_on_from_what_it_had_reached() -> None:
    reading = Reading()
    first = stats(upstream_rq_completed=10, upstream_rq_5xx=4, upstream_rq_4xx=1, latency=(5, 10))
    assert reading.read(first, [NAME])[NAME] == Counts(10, 4, ((1.0, 5), (2.0, 10)), 1)
    anew = stats(upstream_rq_completed=12, upstream_rq_5xx=1, upstream_rq_4xx=2, latency=(0, 2))
    assert reading.read(anew, [NAME])[NAME] == Counts(12, 5, ((1.0, 5), (2.0, 12)), 2)
    assert reading.read(anew, [NAME])[NAME] == Counts(12, 5, ((1.0, 5), (2.0, 12)), 2)


def test_a_statistic_that_is_gone_for_now_keeps_what_it_had_reached() -> None:
    reading = Reading()
    reading.read(stats(upstream_rq_completed=3, upstream_rq_5xx=3, latency=(3, 3)), [NAME])
    assert reading.read(stats(upstream_rq_completed=3), [NAME])[NAME] == Counts(3, 3, ((1.0, 3), (2.0, 3)))
    grown = stats(upstream_rq_completed=8, upstream_rq_5xx=5, latency=(5, 5))
    assert reading.read(grown, [NAME])[NAME] == Counts(8, 8, ((1.0, 8), (2.0, 8)))


def test_errors_of_grpc_are_added_up_by_status() -> None:
    reading, rpc = Reading(), beside(NAME)

    def read(internal: int, unavailable: int, fine: int) -> int:
        by_status = {13: internal, 14: unavailable, 0: fine}
        named = [
            {"name": f"cluster.{rpc}.grpc.inference.GRPCInferenceService.ModelInfer.{status}", "value": value}
            for status, value in by_status.items()
        ]
        return reading.read([*stats(rpc, upstream_rq_completed=99, upstream_rq_5xx=7), *named], [rpc])[rpc].errors

    assert read(5, 5, 10) == 10
    assert read(0, 7, 11) == 12  # The one began anew, the other did not.


def test_a_cluster_that_envoy_does_not_know_has_no_counts_and_is_forgotten() -> None:
    reading = Reading()
    reading.read(stats(upstream_rq_completed=3), [NAME])
    assert reading.read([], [NAME]) == {}
    assert reading.read(stats(upstream_rq_completed=1), [NAME])[NAME] == Counts(1)
