"""Judges the live requests of one window."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelog.deployment.v1.types_pb2 import (
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_NO_DATA,
    VERDICT_PASSED,
    Analysis,
    AnalysisResult,
)

_QUANTILE = 0.99


@dataclass(frozen=True)
class Window:
    """What a version's requests looked like. latency: (upper bound in ms, requests at or below it), cumulative."""

    seconds: float
    requests: int = 0
    errors: int = 0
    latency: Sequence[tuple[float, int]] = ()


def judge(analysis: Analysis | None, window: Window) -> AnalysisResult:
    """PASSED, FAILED, INCONCLUSIVE (too few requests) or NO_DATA (none), with the figures it was judged on.

    Limits are compared with the observed rate and quantile as they are: min_requests is the protection against chance.
    """
    result = AnalysisResult(requests=window.requests, errors=window.errors, verdict=VERDICT_PASSED)
    result.window.FromMilliseconds(int(window.seconds * 1000))
    result.error_rate = window.errors / window.requests if window.requests else 0.0
    if analysis is None:
        result.finding = "no analysis was asked for"
        return result
    result.latency_quantile = analysis.latency_quantile or _QUANTILE
    result.latency_ms = quantile(window.latency, result.latency_quantile)
    least = max(analysis.min_requests, 1)
    if window.requests == 0:
        result.verdict, result.finding = VERDICT_NO_DATA, "there were no requests"
    elif window.requests < least:
        result.verdict = VERDICT_INCONCLUSIVE
        result.finding = f"{window.requests} requests are fewer than {least}"
    elif result.error_rate > analysis.max_error_rate:
        result.verdict = VERDICT_FAILED
        result.finding = f"error rate {result.error_rate:.4g} is above {analysis.max_error_rate:.4g}"
    elif analysis.max_latency_ms and result.latency_ms > analysis.max_latency_ms:
        result.verdict = VERDICT_FAILED
        result.finding = (
            f"latency quantile {result.latency_quantile:g} of {result.latency_ms:.4g} ms "
            f"is above {analysis.max_latency_ms:.4g} ms"
        )
    else:
        result.finding = f"{window.requests} requests held every limit"
    return result


def fails_already(analysis: Analysis | None, window: Window) -> bool:
    """Whether the window need not be waited for: it has the requests it needs and a limit is broken."""
    return analysis is not None and judge(analysis, window).verdict == VERDICT_FAILED


def quantile(latency: Sequence[tuple[float, int]], q: float) -> float:
    """The q-quantile in ms, linear within the bucket it falls into; 0 without observations.

    The estimate is at most one bucket off, as that of Prometheus' histogram_quantile, whose method this is.
    """
    whole = latency[-1][1] if latency else 0
    if not whole:
        return 0.0
    rank, below, lower = q * whole, 0, 0.0
    for bound, count in latency:
        if count >= rank and count > below:
            return lower + (bound - lower) * (rank - below) / (count - below)
        below, lower = count, bound
    return lower
