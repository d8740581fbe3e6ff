"""Judges a metric against the running version, as far as chance allows."""

from typing import NamedTuple

from modelog.deployment.v1.analysis_pb2 import METRIC_SOURCE_LATENCY, METRIC_SOURCE_SUCCESS_RATE, AnalysisMetric
from modelog.deployment.v1.types_pb2 import (
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_NO_DATA,
    VERDICT_PASSED,
    VERDICT_UNSPECIFIED,
    Analysis,
    MetricResult,
)
from services.deployment.domain.comparison import (
    Rate,
    Tolerance,
    detectable,
    latency_not_slower,
    latency_slower,
    rates_not_worse,
    rates_worse,
    share_of,
)
from services.deployment.domain.verdicts import say
from services.deployment.domain.windows import Window

QUANTILE = 0.99
_ALPHA = 0.05


class _Tested(NamedTuple):
    """p-values of "not worse" and, where that is to be proved, of "worse".

    bound: of latency; None when there are too few requests for one.
    """

    worse: float
    not_worse: float = 1.0
    bound: float | None = None


def judge_compared(
    analysis: Analysis, metric: AnalysisMetric, window: Window, result: MetricResult, least: int
) -> MetricResult:
    """FAILED when the new version is shown to be worse than tolerated, with this look's part of alpha.

    Otherwise PASSED, or with `prove` PASSED only when it is shown not to be worse, and INCONCLUSIVE in between.
    """
    if window.running is None:
        return say(result, VERDICT_UNSPECIFIED, "no other version serves in this step")
    if not window.whole and not window.look:
        return say(result, VERDICT_UNSPECIFIED, "is compared later in the window")
    if not result.running_samples:
        return say(result, VERDICT_NO_DATA, "the running version had no requests")
    if result.running_samples < least:
        finding = f"{result.running_samples} requests of the running version are fewer than {least}"
        return say(result, VERDICT_INCONCLUSIVE, finding)
    comparisons = sum(one.WhichOneof("limit") == "compared" for one in analysis.metrics)
    result.alpha = share_of(
        analysis.alpha or _ALPHA,
        comparisons=comparisons,
        steps=window.steps,
        window=window.number,
        early=not window.whole,
    )
    tolerance = Tolerance(metric.compared.ratio or 1.0, metric.compared.difference)
    test = _latency if _is_latency(metric) else _rate
    tested = test(metric, window, tolerance, result)
    return _conclude(metric, result, tested, _boundary(metric, result, tolerance))


def _conclude(metric: AnalysisMetric, result: MetricResult, tested: _Tested, boundary: float) -> MetricResult:
    result.threshold, result.p_value = boundary, tested.worse
    beside = f"{result.value:.4g} beside {result.running:.4g} of the running version"
    if _is_latency(metric) and tested.bound is None:
        finding = f"{beside}: too few requests to bound the quantile, or it is slower than the slowest bucket"
        return say(result, VERDICT_INCONCLUSIVE, finding)
    if tested.worse <= result.alpha:
        finding = f"{beside} is worse than tolerated ({boundary:.4g}; p {tested.worse:.2g}, alpha {result.alpha:.2g})"
        return say(result, VERDICT_FAILED, finding)
    if not metric.compared.prove:
        return say(result, VERDICT_PASSED, f"{beside} is not shown to be worse{_missed(result)}")
    if tested.not_worse <= result.alpha:
        return say(result, VERDICT_PASSED, f"{beside} is shown not to be worse than tolerated ({boundary:.4g})")
    return say(result, VERDICT_INCONCLUSIVE, f"{beside} is neither shown to be worse nor not to be")


def _missed(result: MetricResult) -> str:
    return f"; {result.detectable:.4g} would have been found" if result.HasField("detectable") else ""


def _is_latency(metric: AnalysisMetric) -> bool:
    return bool(metric.source == METRIC_SOURCE_LATENCY)


def _boundary(metric: AnalysisMetric, result: MetricResult, tolerance: Tolerance) -> float:
    """What the running version's value makes of the tolerance, in the metric's own direction."""
    if metric.source == METRIC_SOURCE_SUCCESS_RATE:
        return 1 - tolerance.ratio * (1 - result.running) - tolerance.difference
    return tolerance.ratio * result.running + tolerance.difference


def _rate(metric: AnalysisMetric, window: Window, tolerance: Tolerance, result: MetricResult) -> _Tested:
    assert window.running is not None
    new, running = Rate(window.errors, window.requests), Rate(window.running.errors, window.running.requests)
    found = detectable(new.requests, running, tolerance, result.alpha)
    result.detectable = 1 - found if metric.source == METRIC_SOURCE_SUCCESS_RATE else found
    worse = rates_worse(new, running, tolerance, result.alpha)
    if not metric.compared.prove:
        return _Tested(worse)
    return _Tested(worse, rates_not_worse(new, running, tolerance, result.alpha))


def _latency(metric: AnalysisMetric, window: Window, tolerance: Tolerance, result: MetricResult) -> _Tested:
    assert window.running is not None
    q = metric.quantile or QUANTILE
    slower = latency_slower(window.latency, window.running.latency, q, tolerance, result.alpha)
    if not metric.compared.prove:
        return _Tested(slower.p_value, bound=slower.bound)
    not_slower = latency_not_slower(window.latency, window.running.latency, q, tolerance, result.alpha)
    return _Tested(slower.p_value, not_slower.p_value, slower.bound)
