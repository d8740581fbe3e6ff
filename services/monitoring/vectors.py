"""Rows of samples as vectors of numbers. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats

_MOST = 1e70  # Squares of what is beyond would add up to no doubles; it counts as missing.
DIGITS = 9  # That results are rounded to: the last bits of sums of products depend on the processor.


class Pair(NamedTuple):
    """Columns that both samples have and that a check means: of the baseline, and of the window."""

    baseline: Sequence[types.SampledColumn]
    window: Sequence[types.SampledColumn]


def pair_of(check: types.Check, window: types.RowSample, baseline: types.RowSample) -> Pair:
    """`embedding_*` means all columns that begin so; without names every input is meant."""
    known = {(one.role, one.name): one for one in window.columns}
    both = [
        (one, known[one.role, one.name])
        for one in baseline.columns
        if _is_meant(check.columns, one)
        and (one.role, one.name) in known
        and known[one.role, one.name].categorical is one.categorical
    ]
    return Pair([one for one, _ in both], [one for _, one in both])


def _is_meant(names: Sequence[str], column: types.SampledColumn) -> bool:
    if not names:
        return column.role == types.COLUMN_ROLE_INPUT
    return any(column.name.startswith(one[:-1]) if one.endswith("*") else column.name == one for one in names)


def absent_in(check: types.Check, pair: Pair) -> list[str]:
    """What a check names and neither sample has, or only one."""
    return [one for one in check.columns if not any(_is_meant([one], column) for column in pair.baseline)]


def vectors_of(pair: Pair, known: Sequence[int] | None = None) -> tuple[Floats, Floats]:
    """Baseline and window, rows by columns: numbers, and categories by share; a missing number is the mean. known:
    the rows of the baseline that shares and means are of; without it they are those of all rows of both."""
    both = [
        (_by_share if one.categorical else _by_number)(one, other, known)
        for one, other in zip(pair.baseline, pair.window, strict=True)
    ]
    return np.column_stack([one for one, _ in both]), np.column_stack([other for _, other in both])


def _by_number(
    one: types.SampledColumn, other: types.SampledColumn, known: Sequence[int] | None
) -> tuple[Floats, Floats]:
    before, after = np.array(one.numbers, dtype=np.float64), np.array(other.numbers, dtype=np.float64)
    values = np.concatenate((before, after)) if known is None else before[known]
    values = values[np.abs(values) <= _MOST]
    mean = float(np.mean(values)) if len(values) else 0.0
    return np.where(np.abs(before) <= _MOST, before, mean), np.where(np.abs(after) <= _MOST, after, mean)


def _by_share(
    one: types.SampledColumn, other: types.SampledColumn, known: Sequence[int] | None
) -> tuple[Floats, Floats]:
    values = [*one.strings, *other.strings] if known is None else [one.strings[at] for at in known]
    counts, rows = Counter(values), max(1, len(values))
    before, after = (np.array([counts[text] / rows for text in of.strings]) for of in (one, other))
    return before, after


def scale_of(rows: Floats) -> Floats:
    """The deviation of each column, which is its unit; 1 where there is none."""
    deviations: Floats = np.std(rows, axis=0)
    return np.where(deviations > 0, deviations, 1.0)


def codes_of(pair: Pair, most: int) -> NDArray[np.uint8]:
    """Columns by rows, the baseline's first, as codes below `most` that keep the order of numbers; missing is 0, and so
    are categories beyond the most frequent."""
    return np.stack([_codes(one, other, most) for one, other in zip(pair.baseline, pair.window, strict=True)])


def _codes(one: types.SampledColumn, other: types.SampledColumn, most: int) -> NDArray[np.uint8]:
    if one.categorical:
        strings = [*one.strings, *other.strings]
        ranked = sorted(Counter(strings).items(), key=lambda item: (-item[1], item[0]))
        places = {text: at for at, (text, _) in enumerate(ranked[: most - 1], start=1) if text}
        return np.array([places.get(text, 0) for text in strings], dtype=np.uint8)
    numbers = np.array([*one.numbers, *other.numbers], dtype=np.float64)
    there = ~np.isnan(numbers)
    codes = np.zeros(len(numbers), dtype=np.uint8)
    values = np.sort(numbers[there])
    if len(values):
        edges = np.unique(values[np.arange(1, most - 1) * len(values) // (most - 1)])
        codes[there] = 1 + np.searchsorted(edges, numbers[there], side="right")
    return codes


def rounded(value: float) -> float:
    """To nine digits, so that processors agree on a result."""
    return float(f"{value:.{DIGITS}g}")
