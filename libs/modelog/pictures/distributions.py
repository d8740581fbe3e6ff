"""Columns of a window beside what it was compared with, as charts, and their numbers as tables."""

from collections.abc import Iterator, Sequence

from modelog.monitoring.v1 import types_pb2 as types
from modelog.monitoring.v1.pictures_pb2 import (
    PART_KIND_CATEGORY,
    PART_KIND_NUMBER,
    PART_KIND_OTHER_CATEGORIES,
    PART_KIND_RANGE,
    ColumnDistribution,
    GetDistributionsResponse,
    PartShares,
)
from modelog.pages.parts import Bars, Block, Group, Pair, Section, Table, Text, Value
from modelog.pages.words import count, percent

_DIGITS = range(3, 18)
_BESIDE = {types.COMPARISON_RUNNING_VERSION: "running version", types.COMPARISON_EARLIER_WINDOWS: "windows before"}


def distributions(reply: GetDistributionsResponse) -> Section:
    """Which columns changed, by chart and table; or why that cannot be told."""
    window, before = reply.window, before_name(reply)
    title = f"Distributions: window {window.number} beside the {before}"
    blocks: list[Block] = []
    if reply.expired_profiles:
        kept = "The profiles of this window are no longer kept, so its distributions cannot be drawn: "
        return Section(title, [Text(kept + ", ".join(one[:12] for one in reply.expired_profiles))])
    if reply.without_baseline:
        blocks.append(Text("The window was compared with nothing: only missing values are known. Capture a baseline."))
    names = (f"{before} ({count(reply.rows_before)} rows)", f"window {window.number} ({count(window.rows)} rows)")
    shown = [one for one in reply.columns if one.parts]
    if shown:
        blocks.append(Group([_bars(one, names) for one in shown]))
    blocks += [_numbers(one) for one in shown]
    blocks += list(_missing(reply.columns))
    if reply.more_columns:
        blocks.append(Text(f"{count(reply.more_columns)} columns that changed less are left out."))
    if reply.unknown_columns:
        blocks.append(Text(f"The window knows no {', '.join(reply.unknown_columns)}."))
    return Section(title, blocks)


def before_name(reply: GetDistributionsResponse) -> str:
    return _BESIDE.get(reply.window.compared_with, "baseline")


def _bars(one: ColumnDistribution, names: tuple[str, str]) -> Bars:
    pairs = [Pair(label, part.before, part.after) for label, part in zip(labels(one.parts), one.parts, strict=True)]
    missing = ""
    if one.missing_before or one.missing_after:
        missing = f", missing {percent(one.missing_before)} to {percent(one.missing_after)}"
    return Bars(f"{one.column}: {percent(one.distance)} moved{missing}", pairs, names, _edges(one.parts))


def labels(parts: Sequence[PartShares]) -> list[str]:
    """What each part is, in words."""
    words = dict(zip(_bounds(parts), _written(_bounds(parts)), strict=True))
    return [_label(one, words) for one in parts]


def _bounds(parts: Sequence[PartShares]) -> list[float]:
    lower = {one.lower for one in parts if one.HasField("lower")}
    return sorted(lower | {one.upper for one in parts if one.HasField("upper")})


def _written(numbers: Sequence[float]) -> list[str]:
    """With as few digits as tell them apart."""
    for digits in _DIGITS:
        told = [_plain(one, digits) for one in numbers]
        if len(set(told)) == len(told):
            return told
    return told


def _plain(value: float, digits: int) -> str:
    """Without a power of ten where people read it without."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.15g}" if 1e-4 <= abs(rounded) < 1e7 or not rounded else f"{value:.{digits}g}"


def _label(one: PartShares, words: dict[float, str]) -> str:
    if one.kind == PART_KIND_NUMBER:
        return _plain(one.lower, 6)
    if one.kind == PART_KIND_CATEGORY:
        return one.category
    if one.kind == PART_KIND_OTHER_CATEGORIES:
        return f"{one.categories} others" if one.categories else "others"
    if one.kind != PART_KIND_RANGE:
        return "not in the baseline"
    if not one.HasField("lower"):
        return f"below {words[one.upper]}"
    return f"{words[one.lower]} to {words[one.upper]}" if one.HasField("upper") else f"above {words[one.lower]}"


def _edges(parts: Sequence[PartShares]) -> list[str]:
    """See Bars."""
    if any(one.kind not in (PART_KIND_RANGE, PART_KIND_NUMBER) for one in parts):
        return []
    if any(one.kind == PART_KIND_NUMBER for one in parts):
        return labels(parts)
    words = dict(zip(_bounds(parts), _written(_bounds(parts)), strict=True))
    lowest = words[parts[0].lower] if parts[0].HasField("lower") else ""
    return [lowest, *(words[one.upper] if one.HasField("upper") else "" for one in parts)]


def _numbers(one: ColumnDistribution) -> Table:
    rows: list[list[Value]] = [
        [label, percent(part.before), percent(part.after), f"{100 * (part.after - part.before):+.1f}"]
        for label, part in zip(labels(one.parts), one.parts, strict=True)
    ]
    return Table(["part", "before", "after", "change (points)"], rows, f"Numbers of {one.column}", folded=True)


def _missing(columns: Sequence[ColumnDistribution]) -> Iterator[Block]:
    rows: list[list[Value]] = [
        [
            one.column,
            count(one.rows_before),
            count(one.rows_after),
            f"{percent(one.missing_before)} to {percent(one.missing_after)}",
            f"{percent(one.invalid_before)} to {percent(one.invalid_after)}",
        ]
        for one in columns
    ]
    if rows:
        yield Table(["column", "rows before", "rows after", "missing", "invalid"], rows, "Rows and missing values")
