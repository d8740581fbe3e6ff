"""How well queries are ranked: normalised discounted cumulative gain, summed over queries.

A query is judged as a whole, so all its rows come in one batch of outcomes; a window takes it with its last row. Sums
are kept for a few numbers of rows looked at, so that they add up whatever a check asks for.
"""

import math
from collections.abc import Sequence

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import added, exact_sums
from services.monitoring.labelled import mean_measure
from services.monitoring.measures import Measure

TOPS = (1, 3, 5, 10, 20, 100, 0)


def gains_of(scores: Sequence[float], relevance: Sequence[float]) -> list[float] | None:
    """NDCG of one query for each of TOPS; None when nothing is relevant.

    Jarvelin and Kekalainen (ACM TOIS 2002) with the relevance itself as gain and the discount 1 / log2(1 + rank). Rows
    of equal score share the mean of their gains (McSherry and Najork, ECIR 2008), as scikit-learn does.
    """
    if not max(relevance, default=0.0) > 0:
        return None
    order = sorted(range(len(scores)), key=lambda at: -scores[at])
    ranked = [0.0] * len(scores)
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and scores[order[stop]] == scores[order[start]]:
            stop += 1
        mean = math.fsum(relevance[order[at]] for at in range(start, stop)) / (stop - start)
        ranked[start:stop] = [mean] * (stop - start)
        start = stop
    ideal = sorted(relevance, reverse=True)
    return [_gain(ranked, top) / _gain(ideal, top) for top in TOPS]


def _gain(relevance: Sequence[float], top: int) -> float:
    first = relevance[:top] if top else relevance
    return math.fsum(one / math.log2(rank + 2) for rank, one in enumerate(first))


def count_queries(gains: Sequence[list[float] | None]) -> types.RankedQueries:
    """Sums over queries, each as `gains_of` tells it."""
    known = [one for one in gains if one is not None]
    told = types.RankedQueries(queries=len(known), irrelevant=len(gains) - len(known))
    for at, top in enumerate(TOPS):
        total, squares = exact_sums(np.array([one[at] for one in known], dtype=np.float64))
        told.tops.add(top=top, gains=total, gains_squared=squares)
    return told


def merge_queries(mine: types.RankedQueries, other: types.RankedQueries) -> None:
    mine.queries += other.queries
    mine.irrelevant += other.irrelevant
    if not mine.tops:
        mine.tops.extend(types.RankedTop(top=one.top) for one in other.tops)
    for one, more in zip(mine.tops, other.tops, strict=True):
        one.gains.CopyFrom(added(one.gains, more.gains))
        one.gains_squared.CopyFrom(added(one.gains_squared, more.gains_squared))


def ndcg(check: types.Check, window: types.ProfileSet) -> Measure:
    """Mean over queries with something relevant, 0..1; its rows are these queries. Interval: of a mean."""
    told = window.ranked_queries
    if not told.queries:
        reason = "no outcome told its query, or nothing was relevant"
        return Measure(window.rows, explanation=reason) if window.rows else Measure(0)
    one = next(one for one in told.tops if one.top == check.top)
    return mean_measure(told.queries, one.gains, one.gains_squared)
