"""Judges the live requests of one window, and checks what an analysis asks for."""

import re
from collections import Counter
from collections.abc import Iterable

from kernel.errors import invalid_field
from kernel.expressions import fault
from kernel.names import Pattern
from modelog.deployment.v1.analysis_pb2 import (
    METRIC_SOURCE_ALERTS,
    METRIC_SOURCE_CHECK,
    METRIC_SOURCE_ERROR_RATE,
    METRIC_SOURCE_EXPRESSION,
    METRIC_SOURCE_LATENCY,
    METRIC_SOURCE_SUCCESS_RATE,
    AnalysisMetric,
)
from modelog.deployment.v1.types_pb2 import (
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_NO_DATA,
    VERDICT_PASSED,
    VERDICT_UNSPECIFIED,
    Analysis,
    AnalysisResult,
    Verdict,
)
from services.deployment.domain.compared import QUANTILE
from services.deployment.domain.metrics import judge_metrics
from services.deployment.domain.verdicts import gravest
from services.deployment.domain.windows import Window, quantile

__all__ = ["Window", "check_analysis", "fails_already", "judge", "quantile"]

_MONITOR = Pattern("projects/*/monitors/*")
_COUNTED = (METRIC_SOURCE_ERROR_RATE, METRIC_SOURCE_SUCCESS_RATE, METRIC_SOURCE_LATENCY)
_NAMES = frozenset({"metrics", "fresh", "running"})
_METRIC_PATH = re.compile(r"\bmetrics\.(\w+)")
_MOST_FINDINGS = 3


def judge(analysis: Analysis | None, window: Window) -> AnalysisResult:
    """PASSED, FAILED, INCONCLUSIVE (too few requests) or NO_DATA (none), with the figures it was judged on.

    The limits of the analysis itself and each metric come to a verdict of their own; the gravest is that of the
    window: FAILED before NO_DATA before INCONCLUSIVE before PASSED. Fixed limits are compared with the observed figure
    as it is: min_requests is the protection against chance. Comparisons are tests, see `comparison`.
    """
    result = AnalysisResult(requests=window.requests, errors=window.errors, verdict=VERDICT_PASSED)
    result.window.FromMilliseconds(int(window.seconds * 1000))
    result.error_rate = window.fresh.error_rate
    if window.running is not None:
        result.running_requests, result.running_errors = window.running.requests, window.running.errors
    if analysis is None:
        result.finding = "no analysis was asked for"
        return result
    result.latency_quantile = analysis.latency_quantile or QUANTILE
    result.latency_ms = quantile(window.latency, result.latency_quantile)
    verdict, finding = _judge_limits(analysis, result)
    result.metrics.extend(judge_metrics(analysis, window))
    found = [(verdict, finding), *((one.verdict, f"{one.id}: {one.finding}") for one in result.metrics)]
    together = gravest(verdict for verdict, _ in found)
    telling = [said for verdict, said in found if verdict == together and said]
    result.verdict = together or VERDICT_PASSED
    result.finding = "; ".join(telling[:_MOST_FINDINGS]) if together else "nothing was to be judged in this step"
    return result


def _judge_limits(analysis: Analysis, result: AnalysisResult) -> tuple[Verdict, str]:
    """Error rate and latency against the limits of the analysis itself; unspecified where metrics stand for them."""
    requests, least = result.requests, max(analysis.min_requests, 1)
    no_error_limit = bool(analysis.metrics) and not analysis.max_error_rate
    if no_error_limit and not analysis.max_latency_ms:
        return VERDICT_UNSPECIFIED, ""
    if requests == 0:
        return VERDICT_NO_DATA, "there were no requests"
    if requests < least:
        return VERDICT_INCONCLUSIVE, f"{requests} requests are fewer than {least}"
    if not no_error_limit and result.error_rate > analysis.max_error_rate:
        return VERDICT_FAILED, f"error rate {result.error_rate:.4g} is above {analysis.max_error_rate:.4g}"
    if analysis.max_latency_ms and result.latency_ms > analysis.max_latency_ms:
        seen = f"latency quantile {result.latency_quantile:g} of {result.latency_ms:.4g} ms"
        return VERDICT_FAILED, f"{seen} is above {analysis.max_latency_ms:.4g} ms"
    return VERDICT_PASSED, f"{requests} requests held every limit"


def fails_already(analysis: Analysis | None, window: Window) -> bool:
    """Whether the window need not be waited for: what it needs is there and does not hold."""
    return analysis is not None and judge(analysis, window).verdict == VERDICT_FAILED


def check_analysis(analysis: Analysis, place: str, *, compares: bool) -> None:
    """Refuses what limits on single fields cannot tell. place: of the analysis in the request, for messages.

    compares: there is a step in which another version serves too.
    """
    ids = [metric.id for metric in analysis.metrics]
    if twice := [id_ for id_, count in Counter(ids).items() if count > 1]:
        raise invalid_field(
            f"{place}.metrics", f"{twice[0]} is there twice; give each metric an id of its own", "TWICE"
        )
    for index, metric in enumerate(analysis.metrics):
        at = f"{place}.metrics[{index}]"
        if metric.source in _COUNTED:
            _check_counted(metric, at, compares=compares)
        elif metric.source == METRIC_SOURCE_EXPRESSION:
            _check_expression(metric, at, ids)
        else:
            _check_monitored(metric, at)


def _check_counted(metric: AnalysisMetric, at: str, *, compares: bool) -> None:
    limit = metric.WhichOneof("limit")
    if limit is None:
        raise invalid_field(at, "say at_most, at_least or compared", "LIMIT_MISSING")
    if limit != "compared":
        return
    if not compares:
        raise invalid_field(
            f"{at}.compared", "no step leaves traffic to the running version; use a canary below 100", "NOT_COMPARABLE"
        )
    tolerant = metric.compared.ratio > 1 or metric.compared.difference > 0
    if metric.compared.prove and not tolerant:
        raise invalid_field(f"{at}.compared.prove", "give a ratio above 1 or a difference with it", "NO_TOLERANCE")


def _check_monitored(metric: AnalysisMetric, at: str) -> None:
    _MONITOR.ids(metric.monitor, f"{at}.monitor")
    if metric.source == METRIC_SOURCE_CHECK and not metric.check:
        raise invalid_field(f"{at}.check", "say which check of the monitor", "REQUIRED")
    if metric.WhichOneof("limit") == "compared":
        raise invalid_field(f"{at}.compared", "only rates and latency are compared; give a limit", "NOT_COMPARABLE")
    if metric.source == METRIC_SOURCE_ALERTS and metric.WhichOneof("limit") == "at_least":
        raise invalid_field(f"{at}.at_least", "alerts are limited by at_most", "LIMIT_WRONG")


def _check_expression(metric: AnalysisMetric, at: str, ids: Iterable[str]) -> None:
    if metric.WhichOneof("limit"):
        raise invalid_field(at, "an expression has its limit inside", "LIMIT_WRONG")
    if not metric.expression:
        raise invalid_field(f"{at}.expression", "write a condition", "REQUIRED")
    wrong = fault(metric.expression, _NAMES)
    unknown = set(_METRIC_PATH.findall(metric.expression)) - set(ids)
    if wrong or unknown:
        told = wrong or f"there is no metric {min(unknown)}"
        raise invalid_field(f"{at}.expression", told, "EXPRESSION_WRONG")
