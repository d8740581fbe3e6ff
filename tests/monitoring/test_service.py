"""Latencies and saturation: quantiles beside numpy's on all values, counts that add up, and a running monitor."""

from typing import Any

import numpy as np
import pytest

from kernel.errors import Invalid
from modelog.monitoring.v1 import service_counts_pb2 as counts
from modelog.monitoring.v1 import types_pb2 as types
from services.deployment.inference.telemetry import Service
from services.monitoring.domain.checking import complete_checks
from services.monitoring.profile import encode, merge
from services.monitoring.service import PARTS, latency_quantile, lower_seconds, merge_service, saturation
from services.monitoring.telemetry.batches import Rejected, read
from tests.monitoring.build import MONITOR, batch, check
from tests.monitoring.station import Station

RANDOM = np.random.default_rng(11)
SHAPES = {
    "lognormal": RANDOM.lognormal(-5, 1, 5_000),
    "two humps": np.concatenate([RANDOM.normal(0.01, 0.001, 900), RANDOM.normal(1.5, 0.1, 100)]),
    "one": np.array([0.02]),
    "beyond both ends": np.array([1e-9] * 50 + [0.5] * 20 + [9_000.0] * 3),
}


def told(seconds: Any) -> counts.ServiceCounts:
    """As an inference server counts them."""
    service = Service()
    for one in seconds:
        service.took(float(one))
    return service.take()


def window(*services: counts.ServiceCounts, rows: int = 0) -> types.ProfileSet:
    profiles = types.ProfileSet(rows=rows)
    for one in services:
        merge_service(profiles, one)
    return profiles


@pytest.mark.parametrize("shape", ["lognormal", "two humps", "one"])
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99, 0.999])
def test_a_quantile_is_that_of_all_values_within_its_bound(shape: str, quantile: float) -> None:
    asked = check(types.METHOD_LATENCY_QUANTILE, 1.0, quantile=quantile)
    found = latency_quantile(asked, window(told(SHAPES[shape])))
    exact = float(np.quantile(SHAPES[shape], quantile, method="inverted_cdf"))
    assert abs(found.statistic - exact) <= found.error_bound
    assert found.error_bound < 0.1 * exact
    assert found.rows == len(SHAPES[shape])


def test_what_lies_beyond_the_bounds_is_in_the_outer_parts() -> None:
    service = told(SHAPES["beyond both ends"])
    assert [(one.part, one.requests) for one in service.latencies if one.part in (0, PARTS - 1)] == [(0, 50), (207, 3)]
    assert lower_seconds(PARTS) > 600


def test_any_split_gives_the_same_bytes() -> None:
    values = SHAPES["lognormal"]
    whole = window(told(values), rows=3)
    whole.service.observed_microseconds = 0
    for cut in (1, 17, 4_000):
        parts = [told(values[:cut]), told(values[cut:])]
        for one in parts:
            one.observed_microseconds = 0
        merged = merge(window(parts[0], rows=1), window(parts[1], rows=2))
        assert encode(merged) == encode(whole)


def test_saturation_is_the_share_of_the_time_over_replicas() -> None:
    busy = counts.ServiceCounts(busy_microseconds=900_000, observed_microseconds=1_000_000)
    idle = counts.ServiceCounts(busy_microseconds=100_000, observed_microseconds=1_000_000)
    found = saturation(check(types.METHOD_SATURATION, 0.8), window(busy, idle, rows=5))
    assert (found.statistic, found.rows) == (0.5, 5)
    assert "how busy" in saturation(check(types.METHOD_SATURATION, 0.8), types.ProfileSet(rows=5)).explanation
    assert latency_quantile(check(types.METHOD_LATENCY_QUANTILE, 1.0), types.ProfileSet(rows=5)).explanation


def test_a_check_says_which_quantile_and_others_have_none() -> None:
    (complete,) = complete_checks([types.Check(id="p", method=types.METHOD_LATENCY_QUANTILE, threshold=0.2)])
    assert complete.quantile == 0.99
    with pytest.raises(Invalid, match="only LATENCY_QUANTILE"):
        complete_checks([types.Check(id="p", method=types.METHOD_PSI, threshold=0.2, quantile=0.5)])


def test_counts_that_make_no_sense_are_put_aside() -> None:
    wrong = batch("b", [1.0])
    for part in (5, 5):
        wrong.service.latencies.add(part=part, requests=1)
    found = read("telemetry.predictions.risk.fraud-eu", wrong.SerializeToString())
    assert isinstance(found, Rejected)
    assert "parts of latencies ascend" in found.reason


async def test_a_monitor_fires_on_slow_and_busy_servers(live: Station) -> None:
    slow = check(types.METHOD_LATENCY_QUANTILE, 0.2, id="slow", quantile=0.95)
    busy = check(types.METHOD_SATURATION, 0.8, id="busy")
    await live.create(slow, busy, window=types.WindowSpec(size_rows=10))
    for name, seconds, microseconds in (("quick", 0.01, 100_000), ("late", 0.5, 950_000)):
        sent = batch(name, [1.0] * 10)
        sent.service.CopyFrom(told([seconds] * 10))
        sent.service.busy_microseconds, sent.service.observed_microseconds = microseconds, 1_000_000
        await live.send(sent)
    found = await live.monitor(lambda monitor: monitor.windows == 2)
    assert {one.check: one.condition for one in found.statuses} == {
        "slow": types.CONDITION_FIRING,
        "busy": types.CONDITION_FIRING,
    }
    for number, outcome in ((1, types.OUTCOME_OK), (2, types.OUTCOME_FAILED)):
        again = await live.call("ReevaluateWindow", name=MONITOR, window=number)
        assert again.same
        assert [one.outcome for one in again.recorded] == [outcome, outcome]
