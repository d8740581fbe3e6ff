"""Judges single metrics of an analysis over one window."""

import re
from typing import Any

from kernel.expressions import evaluate
from modelog.deployment.v1.analysis_pb2 import (
    METRIC_SOURCE_ALERTS,
    METRIC_SOURCE_CHECK,
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
    MetricResult,
)
from services.deployment.domain.compared import QUANTILE, judge_compared
from services.deployment.domain.monitored import judge_alerts, judge_check
from services.deployment.domain.verdicts import hold_limit, say
from services.deployment.domain.windows import Counted, Window, quantile

_NAMED = re.compile(r"(?<![.\w])(fresh|running)\b")
_SHOWN_QUANTILES = (50, 90, 95, 99)
_WORDS = {
    VERDICT_UNSPECIFIED: "not_judged",
    VERDICT_PASSED: "passed",
    VERDICT_FAILED: "failed",
    VERDICT_INCONCLUSIVE: "inconclusive",
    VERDICT_NO_DATA: "no_data",
}


def judge_metrics(analysis: Analysis, window: Window) -> list[MetricResult]:
    """One result a metric, in their order; expressions see what the others showed."""
    found: dict[str, MetricResult] = {}
    for metric in sorted(analysis.metrics, key=lambda one: one.source == METRIC_SOURCE_EXPRESSION):
        least = max(metric.min_samples or analysis.min_requests, 1)
        match metric.source:
            case source if source == METRIC_SOURCE_CHECK:
                result = judge_check(metric, window)
            case source if source == METRIC_SOURCE_ALERTS:
                result = judge_alerts(metric, window)
            case source if source == METRIC_SOURCE_EXPRESSION:
                result = _judge_expression(metric, window, least, found)
            case _:
                result = _judge_counted(analysis, metric, window, least)
        result.id = metric.id
        found[metric.id] = result
    return [found[metric.id] for metric in analysis.metrics]


def _judge_counted(analysis: Analysis, metric: AnalysisMetric, window: Window, least: int) -> MetricResult:
    """A rate or a latency: from enough requests, against its limit or the running version."""
    fresh = window.fresh
    result = MetricResult(samples=_samples(metric, fresh))
    if not result.samples:
        return say(result, VERDICT_NO_DATA, "there were no requests")
    result.value = _value(metric, fresh)
    if result.samples < least:
        return say(result, VERDICT_INCONCLUSIVE, f"{result.samples} requests are fewer than {least}")
    if metric.WhichOneof("limit") == "compared":
        if window.running is not None:
            result.running_samples = _samples(metric, window.running)
            if result.running_samples:
                result.running = _value(metric, window.running)
        return judge_compared(analysis, metric, window, result, least)
    return hold_limit(metric, result)


def _samples(metric: AnalysisMetric, counted: Counted) -> int:
    """The histogram is a little behind the counters, so latency counts what is in it."""
    if metric.source == METRIC_SOURCE_LATENCY:
        return counted.latency[-1][1] if counted.latency else 0
    return counted.requests


def _value(metric: AnalysisMetric, counted: Counted) -> float:
    if metric.source == METRIC_SOURCE_LATENCY:
        return quantile(counted.latency, metric.quantile or QUANTILE)
    return 1 - counted.error_rate if metric.source == METRIC_SOURCE_SUCCESS_RATE else counted.error_rate


def _judge_expression(
    metric: AnalysisMetric, window: Window, least: int, others: dict[str, MetricResult]
) -> MetricResult:
    """True passes, false fails. What it names and nobody knows makes it NO_DATA or INCONCLUSIVE, never FAILED."""
    result = MetricResult(samples=window.requests)
    if not window.whole:
        return say(result, VERDICT_UNSPECIFIED, "is judged when the window ends")
    named = set(_NAMED.findall(metric.expression))
    paths = [f"metrics.{id_}." for id_, one in others.items() if not one.HasField("value")]
    both = {"fresh": window.fresh, "running": window.running or Counted()}
    sides = [side for name, side in both.items() if name in named]
    if any(path in metric.expression for path in paths) or any(not side.requests for side in sides):
        return say(result, VERDICT_NO_DATA, "something it names has no data")
    if any(side.requests < least for side in sides):
        return say(result, VERDICT_INCONCLUSIVE, f"it names requests that are fewer than {least}")
    outcome = evaluate(metric.expression, _seen(window, others))
    shown = ", ".join(f"{path} = {value}" for path, value in outcome.evidence.items())
    if outcome.passed:
        return say(result, VERDICT_PASSED, f"holds: {shown}")
    if outcome.reason == "does not hold":
        return say(result, VERDICT_FAILED, f"does not hold: {shown}")
    return say(result, VERDICT_INCONCLUSIVE, outcome.reason)


def _seen(window: Window, others: dict[str, MetricResult]) -> dict[str, Any]:
    """What expressions may name."""
    return {
        "metrics": {id_: _plain(result) for id_, result in others.items()},
        "fresh": _figures(window.fresh),
        "running": _figures(window.running or Counted()),
    }


def _plain(result: MetricResult) -> dict[str, Any]:
    plain: dict[str, Any] = {"verdict": _WORDS[result.verdict], "samples": result.samples}
    for name in ("value", "running"):
        if result.HasField(name):
            plain[name] = getattr(result, name)
    return plain


def _figures(counted: Counted) -> dict[str, Any]:
    rates = {"error_rate": counted.error_rate, "success_rate": 1 - counted.error_rate}
    latency = {f"p{percent}": quantile(counted.latency, percent / 100) for percent in _SHOWN_QUANTILES}
    return {"requests": counted.requests, "errors": counted.errors, **rates, **latency}
