"""The binomial distribution, exact, over as many trials as a gateway counts, without a normal approximation."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

# Beyond so many standard deviations, and so many counts more, there is less than any float tells.
_DEVIATIONS = 12.0
_MORE = 40
_HALVINGS = 50


def masses(trials: int, chance: float) -> tuple[int, Any]:
    """(first, p) with p[i] = P(X = first + i), where X has any mass to speak of; sums to 1.

    From the ratio of neighbours, P(k + 1) / P(k) = (n - k) / (k + 1) * p / (1 - p), added up as logarithms.
    """
    if chance <= 0.0 or trials == 0:
        return 0, np.ones(1)
    if chance >= 1.0:
        return trials, np.ones(1)
    mean, deviation = trials * chance, math.sqrt(trials * chance * (1 - chance))
    reach = _DEVIATIONS * deviation + _MORE
    first, last = max(0, math.floor(mean - reach)), min(trials, math.ceil(mean + reach))
    at = np.arange(first, last, dtype=np.float64)
    logs = np.concatenate(([0.0], np.cumsum(np.log((trials - at) / (at + 1)) + math.log(chance) - math.log1p(-chance))))
    weights = np.exp(logs - logs.max())
    return first, weights / weights.sum()


def at_least(count: Any, trials: int, chance: float) -> Any:
    """P(X >= count), for a number or an array of them."""
    first, mass = masses(trials, chance)
    tails = np.concatenate((np.cumsum(mass[::-1])[::-1], [0.0]))
    return np.minimum(tails[np.clip(np.asarray(count) - first, 0, len(mass)).astype(np.int64)], 1.0)


def at_most(count: Any, trials: int, chance: float) -> Any:
    """P(X <= count), for a number or an array of them."""
    return at_least(trials - np.asarray(count), trials, 1.0 - chance)


@lru_cache(maxsize=1024)
def interval(count: int, trials: int, alpha: float) -> tuple[float, float]:
    """Where the chance lies with a confidence of 1 - alpha: Clopper and Pearson, Biometrika 26 (1934) 404."""
    low = _root(lambda chance: at_least(count, trials, chance) > alpha / 2) if count else 0.0
    high = _root(lambda chance: at_most(count, trials, chance) <= alpha / 2) if count < trials else 1.0
    return low, high


def _root(beyond: Any) -> float:
    """Where `beyond`, false for small chances and true for great ones, changes."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return (low + high) / 2
