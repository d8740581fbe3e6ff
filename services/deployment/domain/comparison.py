"""Is the new version worse than the running one? Exact tests of counts, and how often they may be asked.

Both tests hold for any number of requests, however rare errors are: what they rest on is the binomial distribution and
nothing else, so requests have to be independent. Where they come in bursts that fail together, errors are less
surprising than the tests believe.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from services.deployment.domain.binomial import at_least, at_most, interval, masses

Latency = Sequence[tuple[float, int]]

# Early looks at a window, as parts of its length; its end is the last look.
EARLY = (0.125, 0.25, 0.5)
POWER = 0.8
_NUISANCE = 0.1  # Part of alpha for not knowing the running version's own rate.
_GRID = 33
_ROUNDING = 1e-7
_HALVINGS = 40


class Rate(NamedTuple):
    """So many of the requests failed."""

    errors: int
    requests: int


class Tolerance(NamedTuple):
    """Worse is above ratio * running + difference."""

    ratio: float = 1.0
    difference: float = 0.0


def share_of(alpha: float, *, comparisons: int, steps: int, window: int, early: bool) -> float:
    """The part of alpha that one comparison may spend on one look.

    A union bound (Bonferroni), which holds however looks depend on each other: alpha is divided evenly between
    comparisons and steps; the w-th window of a step gets 2^-w of that, for as many windows as there may be; half of it
    is for the end of the window and the rest for the early looks. So a whole rollout spends at most alpha.
    """
    whole = alpha / max(comparisons, 1) / max(steps, 1) * 0.5 ** max(window, 1)
    return whole / 2 / len(EARLY) if early else whole / 2


def rates_worse(new: Rate, running: Rate, tolerance: Tolerance, alpha: float) -> float:
    """p-value of "the new rate is at most ratio * the running one + difference": small when the new version is worse.

    Exact and unconditional: the chance, at the boundary of the hypothesis, of a difference at least as great as the one
    seen, summed over both binomials; the greatest over the running rates that a Clopper-Pearson interval of confidence
    1 - alpha / 10 holds, plus alpha / 10. Berger and Boos, JASA 89 (1994) 1012; for such a margin Chan, Statistics in
    Medicine 17 (1998) 1403. Not worse is p > alpha, with the same alpha.
    """
    return _rates(new, running, tolerance, alpha, upper=True)


def rates_not_worse(new: Rate, running: Rate, tolerance: Tolerance, alpha: float) -> float:
    """p-value of "the new rate is above that boundary": small when it is shown not to be worse. As `rates_worse`."""
    return _rates(new, running, tolerance, alpha, upper=False)


def _rates(new: Rate, running: Rate, tolerance: Tolerance, alpha: float, *, upper: bool) -> float:
    spent = alpha * _NUISANCE
    low, high = interval(running.errors, running.requests, spent)
    seen = new.errors / new.requests - tolerance.ratio * running.errors / running.requests
    greatest = 0.0
    for chance in np.linspace(low, high, _GRID):
        boundary = min(1.0, tolerance.ratio * float(chance) + tolerance.difference)
        first, mass = masses(running.requests, float(chance))
        others = (first + np.arange(len(mass))) / running.requests
        needed = new.requests * (seen + tolerance.ratio * others)
        if upper:
            tails = at_least(np.ceil(needed - _ROUNDING), new.requests, boundary)
        else:
            tails = at_most(np.floor(needed + _ROUNDING), new.requests, boundary)
        greatest = max(greatest, float(mass @ tails))
    return min(1.0, greatest + spent)


def detectable(new_requests: int, running: Rate, tolerance: Tolerance, alpha: float) -> float:
    """The smallest rate of the new version that `rates_worse` would find worse with a chance of 0.8; 1 when none.

    By the normal approximation with unpooled variances, since it is for orientation: Fleiss, Levin and Paik,
    Statistical Methods for Rates and Proportions, 3rd edition (2003), chapter 4.
    """
    other = (running.errors + 0.5) / (running.requests + 1)
    _, highest = interval(running.errors, running.requests, alpha * _NUISANCE)
    boundary, gravest = (min(1.0, tolerance.ratio * one + tolerance.difference) for one in (other, highest))
    theirs, most = (tolerance.ratio**2 * one * (1 - one) / running.requests for one in (other, highest))
    normal = NormalDist()
    wanted = -normal.inv_cdf(alpha * (1 - _NUISANCE)) * _deviation(gravest, new_requests, most)
    low, high = boundary, 1.0
    for _ in range(_HALVINGS):
        rate = (low + high) / 2
        found = rate - boundary >= wanted + normal.inv_cdf(POWER) * _deviation(rate, new_requests, theirs)
        low, high = (low, rate) if found else (rate, high)
    return high


def _deviation(rate: float, requests: int, more: float) -> float:
    return math.sqrt(rate * (1 - rate) / requests + more)


class Slower(NamedTuple):
    """bound: milliseconds that stand for the tolerated quantile; None when there are too few requests for one."""

    p_value: float
    bound: float | None


def latency_slower(new: Latency, running: Latency, q: float, tolerance: Tolerance, alpha: float) -> Slower:
    """p-value of "the new q-quantile is at most ratio * the running one + difference", from histograms.

    A distribution-free upper bound of the running quantile is an order statistic (David and Nagaraja, Order
    Statistics, 3rd edition (2003), section 7.1), here with confidence 1 - alpha / 10 and rounded up to the bound of its
    bucket. Of the new version's requests a share of at most 1 - q is slower than what is tolerated of that; the
    binomial tail (the sign test of a quantile: Conover, Practical Nonparametric Statistics, section 3.2) plus
    alpha / 10 is the p-value. What is slower than the last bucket is not in the histograms, and a difference within
    one bucket is not seen.
    """
    spent, others, requests = alpha * _NUISANCE, _total(running), _total(new)
    rank = int(_ranks(lambda k: float(at_least(k, others, q)) <= spent, others))
    tolerated = tolerance.ratio * _upper_edge(running, rank) + tolerance.difference if 0 < rank <= others else math.inf
    bound = next((edge for edge, _ in new if edge >= tolerated), None)
    if bound is None or not requests:
        return Slower(1.0, None)
    slower = requests - dict(new)[bound]
    return Slower(min(1.0, float(at_least(slower, requests, 1 - q)) + spent), bound)


def latency_not_slower(new: Latency, running: Latency, q: float, tolerance: Tolerance, alpha: float) -> Slower:
    """p-value of "the new q-quantile is above that": small when it is shown not to be slower. As `latency_slower`."""
    spent, others, requests = alpha * _NUISANCE, _total(running), _total(new)
    rank = others + 1 - int(_ranks(lambda k: float(at_least(k, others, 1 - q)) <= spent, others))
    tolerated = tolerance.ratio * _lower_edge(running, rank) + tolerance.difference if rank > 0 else -math.inf
    bound = max((edge for edge, _ in new if edge <= tolerated), default=None)
    if bound is None or not requests:
        return Slower(1.0, None)
    slower = requests - dict(new)[bound]
    return Slower(min(1.0, float(at_most(slower, requests, 1 - q)) + spent), bound)


def _total(latency: Latency) -> int:
    return latency[-1][1] if latency else 0


def _ranks(enough: object, most: int) -> int:
    """The smallest k in 1..most + 1 that is enough; `enough` is false and then true as k grows."""
    low, high = 1, most + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)  # type: ignore[operator]
    return low


def _upper_edge(latency: Latency, rank: int) -> float:
    """Upper bound of the bucket that holds the request of this rank, from 1."""
    return next(edge for edge, count in latency if count >= rank)


def _lower_edge(latency: Latency, rank: int) -> float:
    below = [edge for edge, count in latency if count < rank]
    return below[-1] if below else 0.0
