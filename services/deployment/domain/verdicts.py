"""How a metric comes to a verdict, and several verdicts to one."""

from collections.abc import Iterable

from modelog.deployment.v1.analysis_pb2 import AnalysisMetric
from modelog.deployment.v1.types_pb2 import (
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_NO_DATA,
    VERDICT_PASSED,
    VERDICT_UNSPECIFIED,
    MetricResult,
    Verdict,
)

# What decides first: harm seen, then a source that says nothing, then one that says too little.
_GRAVEST_FIRST = (VERDICT_FAILED, VERDICT_NO_DATA, VERDICT_INCONCLUSIVE, VERDICT_PASSED)


def say(result: MetricResult, verdict: Verdict, finding: str) -> MetricResult:
    result.verdict, result.finding = verdict, finding
    return result


def hold_limit(metric: AnalysisMetric, result: MetricResult) -> MetricResult:
    """The value as it is against a fixed limit: the least number of samples is the protection against chance."""
    value = result.value
    if metric.WhichOneof("limit") == "at_least":
        result.threshold, broken, side = metric.at_least, value < metric.at_least, "below"
    else:
        result.threshold, broken, side = metric.at_most, value > metric.at_most, "above"
    if broken:
        return say(result, VERDICT_FAILED, f"{value:.4g} is {side} {result.threshold:.4g}")
    return say(result, VERDICT_PASSED, f"{value:.4g} is not {side} {result.threshold:.4g}")


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """FAILED before NO_DATA before INCONCLUSIVE before PASSED; what was not judged has no say."""
    given = set(verdicts)
    return next((one for one in _GRAVEST_FIRST if one in given), VERDICT_UNSPECIFIED)
