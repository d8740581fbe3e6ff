"""Profiles: what is kept of a column instead of its rows. Additive, so that any split of the rows gives the same bytes.

Numbers are counted between edges taken from the baseline (its quantiles, so that every part holds about the same share
of it), with moments that do not round; categories are counted one by one as far as the baseline knows them. Sketches
such as KLL or t-digest were rejected: they are random or depend on the order of arrival, so an alert could not be
computed again. Sizes: a column of numbers costs at most 2 KB for its edges, 1 KB for its counts and as much for their
sums, 2 KB for its registers.
"""

import hashlib
import math
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import sketches
from services.monitoring.exact import Floats, Integers, added, exact_sums
from services.monitoring.groups import merge_sensitive
from services.monitoring.performance import merge_performance
from services.monitoring.ranking import merge_queries
from services.monitoring.samples import merge_samples
from services.monitoring.service import merge_service

MOST_CATEGORIES = 256
MOST_CHARACTERS = 256
MOST_UNKNOWN = 32
OFFSET_UNITS = 1 << 20  # A part's width.
_QUANTILES = 255  # Edges from the baseline; one more closes the greatest value off.

Key = tuple[types.ColumnRole, str]


class Column(NamedTuple):
    """Values of one column, one a row: numbers (NaN is missing), or categories ("" is missing) when strings is set."""

    name: str
    role: types.ColumnRole
    numbers: Floats
    strings: Sequence[str] | None = None

    @property
    def key(self) -> Key:
        return self.role, self.name

    @property
    def rows(self) -> int:
        return len(self.numbers) if self.strings is None else len(self.strings)

    def part(self, start: int, stop: int) -> "Column":
        """The rows from start to stop."""
        strings = None if self.strings is None else self.strings[start:stop]
        return Column(self.name, self.role, self.numbers[start:stop], strings)


@dataclass(frozen=True)
class ColumnLayout:
    """How the values of one column are counted: between edges, or by category."""

    edges: Floats | None
    categories: frozenset[str] = frozenset()


Layout = Mapping[Key, ColumnLayout]


def layout_of(baseline: types.ProfileSet | None) -> Layout:
    """How windows that are compared with this baseline are counted; empty without one."""
    return {(one.role, one.name): _column_layout(one) for one in (baseline.columns if baseline else ())}


def _column_layout(profile: types.Profile) -> ColumnLayout:
    if profile.WhichOneof("values") == "categories":
        return ColumnLayout(None, frozenset(one.value for one in profile.categories.categories))
    return ColumnLayout(np.array(profile.numbers.edges, dtype=np.float64))


def capture(columns: Sequence[Column]) -> types.ProfileSet:
    """A baseline of columns of one length: edges and categories come from the values themselves."""
    layout = {one.key: ColumnLayout(edges_of(one.numbers)) for one in columns if one.strings is None}
    layout |= {one.key: _frequent(one.strings) for one in columns if one.strings is not None}
    rows = columns[0].rows if columns else 0
    profiles = count(columns, layout, rows)
    for one in profiles.columns:
        # Rare categories of the baseline itself are not news, so they are kept apart from unseen ones.
        if one.WhichOneof("values") == "categories":
            one.categories.other, one.categories.unseen = one.categories.unseen, 0
    return profiles


def edges_of(numbers: Floats) -> Floats:
    """At most 256 ascending edges: values at equally spaced ranks, and a last edge just above the greatest value.

    Ranks as in Hyndman and Fan (1996), definition 1, which picks values and never computes any. The last edge gives the
    greatest value a part of its own, so that columns of few distinct values are counted value by value.
    """
    values = np.sort(numbers[np.isfinite(numbers)] + 0.0)
    if not len(values):
        return values
    ranks = -(-np.arange(_QUANTILES) * len(values) // (_QUANTILES - 1)) - 1
    edges: Floats = np.unique(values[np.maximum(ranks, 0)])
    above = math.nextafter(edges[-1], math.inf)
    if math.isfinite(above):
        return np.append(edges, above)
    return edges if len(edges) > 1 else np.append(math.nextafter(edges[0], -math.inf), edges)


def _frequent(strings: Sequence[str]) -> ColumnLayout:
    counts = Counter(one for one in strings if one and len(one) <= MOST_CHARACTERS)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ColumnLayout(None, frozenset(value for value, _ in ranked[:MOST_CATEGORIES]))


def count(columns: Iterable[Column], layout: Layout, rows: int) -> types.ProfileSet:
    """Profiles of `rows` rows. A column the layout has and the rows lack counts as missing.

    Without a layout (there is no baseline yet) every column is profiled by its missing and invalid values alone.
    """
    given = {one.key: one for one in columns}
    hashes = {key: _hashes(one) for key, one in given.items()}
    profiles = types.ProfileSet(rows=rows)
    for key in sorted(layout or given):
        profile = _profile(key, given.get(key), layout.get(key), rows)
        if key in given:
            profile.distinct.CopyFrom(sketches.counted(_present(given[key], hashes[key])))
        profiles.columns.append(profile)
    if rows:
        inputs = [hashes[key] for key in sorted(given) if key[0] == types.COLUMN_ROLE_INPUT]
        if inputs:
            profiles.distinct_rows.CopyFrom(sketches.counted(sketches.hashes_of_rows(inputs, rows)))
    _note_unknown(profiles, [one for key, one in sorted(given.items()) if layout and key not in layout])
    return profiles


def _hashes(column: Column) -> sketches.Hashes:
    if column.strings is None:
        return sketches.hashes_of_numbers(column.numbers)
    return sketches.hashes_of_texts(column.strings)


def _present(column: Column, hashes: sketches.Hashes) -> sketches.Hashes:
    """The hashes of values that are neither missing nor infinite."""
    if column.strings is None:
        there = np.isfinite(column.numbers)
    else:
        there = np.fromiter(map(bool, column.strings), dtype=bool, count=len(hashes))
    return hashes if there.all() else np.compress(there, hashes)


def _note_unknown(profiles: types.ProfileSet, columns: Iterable[Column]) -> None:
    for one in columns:
        profiles.unknown_columns.add(role=one.role, name=one.name, categorical=one.strings is not None)
    del profiles.unknown_columns[MOST_UNKNOWN:]


def _profile(key: Key, column: Column | None, layout: ColumnLayout | None, rows: int) -> types.Profile:
    profile = types.Profile(role=key[0], name=key[1], rows=rows)
    if layout is None:
        pass
    elif layout.edges is None:
        profile.categories.SetInParent()
        profile.categories.categories.extend(types.CategoryCount(value=one) for one in sorted(layout.categories))
    else:
        profile.numbers.edges.extend(layout.edges)
        profile.numbers.counts.extend([0] * (len(layout.edges) - 1))
        profile.numbers.offsets.extend([0] * (len(layout.edges) - 1))
        profile.numbers.SetInParent()
    if column is None:
        profile.missing = rows
    elif layout is not None and (column.strings is None) is (layout.edges is None):
        profile.invalid = rows  # Text where the baseline has numbers, or the other way round.
    elif column.strings is None:
        _count_numbers(profile, column.numbers, None if layout is None else layout.edges)
    else:
        _count_categories(profile, column.strings)
    return profile


def _count_numbers(profile: types.Profile, numbers: Floats, edges: Floats | None) -> None:
    profile.missing = int(np.isnan(numbers).sum())
    profile.invalid = int(np.isinf(numbers).sum())
    if edges is None:
        return
    values = np.sort(numbers[np.isfinite(numbers)] + 0.0)  # Adding 0.0 makes one zero of the two.
    into = profile.numbers
    into.count = len(values)
    if not len(values):
        return
    into.minimum, into.maximum = float(values[0]), float(values[-1])
    total, squares = exact_sums(values)
    into.sum.CopyFrom(total)
    into.sum_of_squares.CopyFrom(squares)
    if not len(edges):
        return
    places = np.searchsorted(values, edges, side="left")
    places[-1] = np.searchsorted(values, edges[-1], side="right")
    into.counts[:] = np.diff(places).tolist()
    into.below, into.above = int(places[0]), len(values) - int(places[-1])
    if into.below or into.above:
        into.sum_below.CopyFrom(exact_sums(values[: places[0]])[0])
        into.sum_above.CopyFrom(exact_sums(values[places[-1] :])[0])
    into.offsets[:] = _offsets(values, edges, places)


def _offsets(values: Floats, edges: Floats, places: Integers) -> list[int]:
    """Sums of how far sorted values lie right of the left edge of their part, each rounded to a whole unit."""
    inside, counts = values[places[0] : places[-1]], np.diff(places)
    # The width of very wide parts is no double, but that of parts half as wide is.
    scale = 1.0 if math.isfinite(float(edges[-1]) - float(edges[0])) else 0.5
    lefts = edges[:-1] * scale
    widths = edges[1:] * scale - lefts
    widths[widths == 0] = 1.0
    shares = (inside * scale - np.repeat(lefts, counts)) / np.repeat(widths, counts)
    units = np.append(0, np.cumsum(np.rint(shares * OFFSET_UNITS).astype(np.int64)))
    sums: list[int] = np.diff(units[places - places[0]]).tolist()
    return sums


def _count_categories(profile: types.Profile, strings: Sequence[str]) -> None:
    counts = Counter(strings)
    profile.missing = counts.pop("", 0)
    if profile.WhichOneof("values") is None:
        return
    into = profile.categories
    for one in into.categories:
        one.count = counts.pop(one.value, 0)
    into.unseen = counts.total()


def merge(one: types.ProfileSet, other: types.ProfileSet) -> types.ProfileSet:
    """The profiles of the rows of both. ValueError when a column was counted between different edges or categories."""
    merged = types.ProfileSet()
    merged.CopyFrom(one)
    merged.rows += other.rows
    merged.dropped_rows += other.dropped_rows
    merged.failed_requests += other.failed_requests
    merged.late_rows += other.late_rows
    merged.newest_microseconds = max(merged.newest_microseconds, other.newest_microseconds)
    known = {(profile.role, profile.name): profile for profile in merged.columns}
    added_columns = False
    for profile in other.columns:
        mine = known.get((profile.role, profile.name))
        if mine is None:
            merged.columns.append(profile)
            added_columns = True
        else:
            _merge_column(mine, profile)
    if added_columns:
        merged.columns.sort(key=lambda profile: (profile.role, profile.name))
    _merge_beside(merged, other)
    return merged


def _merge_beside(merged: types.ProfileSet, other: types.ProfileSet) -> None:
    """What is counted beside columns."""
    if other.HasField("performance"):
        merge_performance(merged.performance, other.performance)
    if other.HasField("distinct_rows"):
        merged.distinct_rows.CopyFrom(sketches.united(merged.distinct_rows, other.distinct_rows))
    if other.HasField("service"):
        merge_service(merged, other.service)
    if other.unknown_columns:
        _unite_unknown(merged, other)
    if other.sensitive:
        merge_sensitive(merged, other)
    if other.HasField("expected_errors"):
        _merge_expected(merged.expected_errors, other.expected_errors)
    if other.HasField("ranked_queries"):
        merge_queries(merged.ranked_queries, other.ranked_queries)
    if other.HasField("sample"):
        merged.sample.CopyFrom(merge_samples(merged.sample, other.sample))
    if other.HasField("outliers"):
        merged.outliers.rows += other.outliers.rows
        merged.outliers.outliers += other.outliers.outliers


def _merge_expected(mine: types.ExpectedErrors, other: types.ExpectedErrors) -> None:
    mine.rows += other.rows
    for name in ("absolute", "squared", "absolute_squared", "squared_squared"):
        getattr(mine, name).CopyFrom(added(getattr(mine, name), getattr(other, name)))


def _unite_unknown(mine: types.ProfileSet, other: types.ProfileSet) -> None:
    """The first of all are among the first of every part, so any order of merging keeps the same ones."""
    both = {(one.role, one.name, one.categorical): one for one in (*mine.unknown_columns, *other.unknown_columns)}
    kept = [both[key] for key in sorted(both)][:MOST_UNKNOWN]
    del mine.unknown_columns[:]
    mine.unknown_columns.extend(kept)


def _merge_column(mine: types.Profile, other: types.Profile) -> None:
    if mine.WhichOneof("values") != other.WhichOneof("values"):
        raise ValueError(f"{mine.name}: not counted in the same way")
    mine.rows += other.rows
    mine.missing += other.missing
    mine.invalid += other.invalid
    if other.HasField("distinct"):
        mine.distinct.CopyFrom(sketches.united(mine.distinct, other.distinct))
    if mine.WhichOneof("values") == "categories":
        _merge_categories(mine.name, mine.categories, other.categories)
    elif mine.WhichOneof("values") == "numbers":
        _merge_numbers(mine.name, mine.numbers, other.numbers)


def _merge_numbers(name: str, mine: types.NumberProfile, other: types.NumberProfile) -> None:
    if mine.edges != other.edges:
        raise ValueError(f"{name}: counted between different edges")
    mine.counts[:] = list(map(operator.add, mine.counts, other.counts))
    mine.below += other.below
    mine.above += other.above
    if not other.count:
        return
    mine.minimum = min(mine.minimum, other.minimum) if mine.count else other.minimum
    mine.maximum = max(mine.maximum, other.maximum) if mine.count else other.maximum
    mine.count += other.count
    mine.sum.CopyFrom(added(mine.sum, other.sum))
    mine.sum_of_squares.CopyFrom(added(mine.sum_of_squares, other.sum_of_squares))
    if len(mine.offsets) == len(other.offsets):
        mine.offsets[:] = list(map(operator.add, mine.offsets, other.offsets))
        if other.below or other.above:
            mine.sum_below.CopyFrom(added(mine.sum_below, other.sum_below))
            mine.sum_above.CopyFrom(added(mine.sum_above, other.sum_above))
    else:
        _forget_offsets(mine)


def _forget_offsets(numbers: types.NumberProfile) -> None:
    """Of rows that were partly counted before offsets were, none are told."""
    for field in ("offsets", "sum_below", "sum_above"):
        numbers.ClearField(field)


def _merge_categories(name: str, mine: types.CategoryProfile, other: types.CategoryProfile) -> None:
    for one, more in zip(mine.categories, other.categories, strict=True):
        if one.value != more.value:
            raise ValueError(f"{name}: counted by different categories")
        one.count += more.count
    mine.other += other.other
    mine.unseen += other.unseen


def encode(profiles: types.ProfileSet) -> bytes:
    """The bytes that the digest is of. The messages hold no maps, so protobuf writes them in one way only."""
    return profiles.SerializeToString(deterministic=True)


def digest_of(encoded: bytes) -> str:
    """SHA-256 of encoded profiles, 64 hexadecimal digits."""
    return hashlib.sha256(encoded).hexdigest()
