"""Confidence intervals by closed formulas. Each says its source; none draws at random, so results repeat."""

import math
from statistics import NormalDist

import numpy as np

from modelog.evaluate.observed import Floats
from modelog.registry.v1.types_pb2 import ConfidenceInterval, Metric


def z_of(level: float) -> float:
    """Two-sided quantile of the normal distribution: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(successes: float, rows: float, level: float) -> ConfidenceInterval:
    """The score interval of a proportion (Wilson, JASA 22, 1927); it holds its level with few rows and at 0 and 1."""
    z, share = z_of(level), successes / rows
    spread = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + (z / rows) ** 2 / 4)
    middle = (share + z * z / rows / 2) / (1 + z * z / rows)
    # Rounding must not put the share outside at 0 and at 1.
    low, high = min(max(0.0, middle - spread), share), max(min(1.0, middle + spread), share)
    return ConfidenceInterval(low=low, high=high, level=level, method="Wilson score")


def f1_wilson(hits: float, union: float, level: float) -> ConfidenceInterval:
    """Of F1 = 2J / (1 + J), which rises with the Jaccard index J = hits / union: Wilson's interval of J, carried over.

    hits: true positives; union: rows that are positive, or were taken for it."""
    inner = wilson(hits, union, level)
    low, high = (2 * end / (1 + end) for end in (inner.low, inner.high))
    return ConfidenceInterval(low=low, high=high, level=level, method="Wilson score, from the Jaccard index")


def normal(value: float, error: float, level: float, method: str, low: float, high: float) -> ConfidenceInterval:
    """value plus and minus z standard errors, cut at what the metric can be."""
    reach = z_of(level) * error
    return ConfidenceInterval(low=max(low, value - reach), high=min(high, value + reach), level=level, method=method)


def logit(value: float, error: float, level: float, method: str) -> ConfidenceInterval | None:
    """Of a value between 0 and 1, symmetric on the log odds so that it stays inside; None at 0 and 1, where a standard
    error of 0 would pretend to know. error: the standard error of the value itself."""
    if not 0 < value < 1 or not error > 0:
        return None
    middle, reach = math.log(value / (1 - value)), z_of(level) * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-end)) for end in (middle - reach, middle + reach))
    return ConfidenceInterval(low=min(low, value), high=max(high, value), level=level, method=method)


def of_influence(
    value: float, influence: Floats, level: float, low: float = -math.inf, high: float = math.inf
) -> ConfidenceInterval | None:
    """Of a smooth statistic by the variance of its influence function over the rows (the infinitesimal jackknife;
    Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982, ch. 6). None for fewer than two rows."""
    rows = influence.size
    if rows < 2:
        return None
    error = math.sqrt(float(np.mean(np.square(influence))) / rows)
    return normal(value, error, level, "infinitesimal jackknife", low, high)


def of_mean(values: Floats, level: float, low: float = -math.inf, high: float = math.inf) -> ConfidenceInterval | None:
    """Of a mean, by the central limit theorem. None for fewer than two values."""
    if values.size < 2:
        return None
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(values.size)
    return normal(mean, error, level, "normal approximation of the mean", low, high)


def metric(value: float, interval: ConfidenceInterval | None = None, *, higher: bool = True, unit: str = "") -> Metric:
    return Metric(value=value, higher_is_better=higher, unit=unit, interval=interval)


def share(successes: float, rows: float, level: float, *, higher: bool = True) -> Metric:
    """A proportion with Wilson's interval."""
    return metric(successes / rows, wilson(successes, rows, level), higher=higher)
