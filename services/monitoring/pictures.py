"""What pictures are drawn from: columns of a window beside what it was compared with, and series short enough to see.
Pure."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from modelog.monitoring.v1 import pictures_pb2 as pictures
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats, Integers
from services.monitoring.measures import values_of
from services.monitoring.statistics import grouped

BINS = 20
MOST_CATEGORIES = 12
MOST_COLUMNS = 20
MOST_POINTS = 300
_OUTSIDE = 0.01  # Of the baseline's values so many at each end have no say in where numbers are cut.
_NEARLY_ALL = 0.95
_SCALE = 0.25  # The span of the widest edges is no double; that of a quarter is.


def distribution(
    after: types.Profile, before: types.Profile | None, bins: int, most: int
) -> pictures.ColumnDistribution:
    """One column before and after. bins: about how many parts of numbers. most: so many categories are told apart.

    A column that only the window has, or whose values were counted otherwise, has no parts.
    """
    told = pictures.ColumnDistribution(
        column=after.name,
        role=after.role,
        categorical=after.WhichOneof("values") == "categories",
        rows_after=after.rows,
        missing_after=_share(after.missing, after.rows),
        invalid_after=_share(after.invalid, after.rows),
    )
    if before is None:
        return told
    told.rows_before = before.rows
    told.missing_before = _share(before.missing, before.rows)
    told.invalid_before = _share(before.invalid, before.rows)
    if after.WhichOneof("values") != before.WhichOneof("values"):
        return told
    if told.categorical:
        told.parts.extend(_categories(before, after, most))
    elif before.numbers.edges and list(before.numbers.edges) == list(after.numbers.edges):
        told.parts.extend(_numbers(before, after, bins))
    if values_of(before) and values_of(after):
        told.distance = min(1.0, math.fsum(abs(part.after - part.before) for part in told.parts) / 2)
    return told


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _numbers(before: types.Profile, after: types.Profile, bins: int) -> Iterator[pictures.PartShares]:
    edges = np.array(before.numbers.edges)
    values = values_of(before), values_of(after)
    counts = _counts(before.numbers), _counts(after.numbers)
    ends = [0, *cuts_of(edges, counts[0][1:-1], bins), len(edges) - 1]
    pairs = zip(*(grouped(one, [end + 1 for end in ends]).tolist() for one in counts), strict=True)
    single = _single_values(before.numbers, after.numbers)
    for (left, right), pair in zip(pairwise([None, *ends, None]), pairs, strict=True):
        if left is None or right is None:
            if not any(pair):
                continue
            kind = pictures.PART_KIND_RANGE
        else:
            alone = right == left + 1 and left in single
            kind = pictures.PART_KIND_NUMBER if alone else pictures.PART_KIND_RANGE
        yield pictures.PartShares(
            kind=kind,
            lower=None if left is None else edges[left],
            upper=None if right is None else edges[right],
            before=_share(pair[0], values[0]),
            after=_share(pair[1], values[1]),
        )


def _counts(numbers: types.NumberProfile) -> Integers:
    """From below the first edge to above the last one."""
    return np.array([numbers.below, *numbers.counts, numbers.above], dtype=np.int64)


def _single_values(*sides: types.NumberProfile) -> frozenset[int]:
    """The parts whose values all lie on their left edge, of columns where that holds for nearly all values: of counts
    and the like, whose numbers people want to see one by one."""
    if any(len(one.offsets) != len(one.counts) for one in sides):
        return frozenset()
    parts = range(len(sides[0].counts))
    single = frozenset(place for place in parts if not any(one.offsets[place] for one in sides))
    if all(sum(one.counts[place] for place in single) >= _NEARLY_ALL * sum(one.counts) for one in sides):
        return single
    return frozenset()


def cuts_of(edges: Floats, counts: Integers, bins: int) -> list[int]:
    """Which inner edges to cut at, ascending: all of them where there are few parts, else those nearest to parts of
    equal width, so that the shape can be seen though edges are quantiles. Between edges nothing is known, so cuts lie
    nowhere else. counts: the baseline's, between the edges."""
    parts = len(edges) - 1
    if parts <= bins:
        return list(range(1, parts))
    total = np.cumsum(counts)
    low = int(np.searchsorted(total, total[-1] * _OUTSIDE))
    high = max(low + 1, int(np.searchsorted(total, total[-1] * (1 - _OUTSIDE))))
    scaled = edges * _SCALE
    inner = np.linspace(scaled[low], scaled[high], bins - 1)
    right = np.clip(np.searchsorted(scaled, inner), 1, parts - 1)
    nearer = np.where(inner - scaled[right - 1] < scaled[right] - inner, right - 1, right)
    return sorted({int(one) for one in nearer if 0 < one < parts})


def _categories(before: types.Profile, after: types.Profile, most: int) -> Iterator[pictures.PartShares]:
    values = values_of(before), values_of(after)
    known = {one.value: [one.count, 0] for one in before.categories.categories}
    for one in after.categories.categories:
        known.setdefault(one.value, [0, 0])[1] = one.count
    shares = {name: (_share(pair[0], values[0]), _share(pair[1], values[1])) for name, pair in known.items()}
    ranked = sorted(shares, key=lambda name: (-max(shares[name]), name))
    for name in ranked[:most]:
        yield pictures.PartShares(
            kind=pictures.PART_KIND_CATEGORY, category=name, categories=1, before=shares[name][0], after=shares[name][1]
        )
    rest = [shares[name] for name in ranked[most:]]
    other = before.categories.other, after.categories.other
    if rest or any(other):
        yield pictures.PartShares(
            kind=pictures.PART_KIND_OTHER_CATEGORIES,
            categories=0 if any(other) else len(rest),
            before=math.fsum(one[0] for one in rest) + _share(other[0], values[0]),
            after=math.fsum(one[1] for one in rest) + _share(other[1], values[1]),
        )
    unseen = before.categories.unseen, after.categories.unseen
    if any(unseen):
        yield pictures.PartShares(
            kind=pictures.PART_KIND_UNSEEN_CATEGORIES,
            before=_share(unseen[0], values[0]),
            after=_share(unseen[1], values[1]),
        )


def thinned(points: Sequence[pictures.SeriesPoint], most: int) -> list[pictures.SeriesPoint]:
    """At most so many of the points, in their order: the first and the last, and of equally many neighbours between
    them the least and the greatest value each. Within a pixel a line looks the same then."""
    if len(points) <= most:
        return list(points)
    if most < 4:
        return [*points[: most - 1], points[-1]] if most > 1 else [points[-1]]
    inner = range(1, len(points) - 1)
    groups = (most - 2) // 2
    kept = {0, len(points) - 1}
    for group in range(groups):
        places = inner[len(inner) * group // groups : len(inner) * (group + 1) // groups]
        told = [at for at in places if points[at].HasField("value")] or list(places)
        kept |= {min(told, key=lambda at: points[at].value), max(told, key=lambda at: points[at].value)}
    return [points[at] for at in sorted(kept)]
