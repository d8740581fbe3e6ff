"""Rows of one batch by the values of a column. Pure.

Memory stays bounded: the first values that come have a segment of their own, and all others share one. Which come first
is decided by their order in the stream, so that counting the stream again gives the same segments.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Integers
from services.monitoring.performance import text_of
from services.monitoring.profile import Column

MOST_SEGMENTS = 50
OTHER = "(other)"
_MOST_CHARACTERS = 64


class Segments:
    """Which segments there are of each column of a monitor."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known: dict[str, set[str]] = {}
        for one in known:
            name, _, value = one.partition("=")
            self._known.setdefault(name, set()).add(value)

    def split(self, name: str, values: Sequence[str]) -> Iterator[tuple[str, Integers]]:
        """(segment, places of its rows) of a column's values, by the order in which they come; rows without a value
        have none."""
        rows: dict[str, list[int]] = {}
        for at, value in enumerate(values):
            if value:
                rows.setdefault(self._place(name, value), []).append(at)
        for value, places in rows.items():
            yield f"{name}={value}", np.array(places, dtype=np.int64)

    def _place(self, name: str, value: str) -> str:
        known = self._known.setdefault(name, set())
        if value in known:
            return value
        if len(known - {OTHER}) >= MOST_SEGMENTS:
            return OTHER
        known.add(value)
        return value


def values_of(name: str, columns: Sequence[Column]) -> list[str]:
    """What tells the segment of each row, empty where nothing does; none at all without that column."""
    column = next((one for one in columns if one.name == name), None)
    if column is None:
        return []
    finite = np.where(np.isfinite(column.numbers), column.numbers, np.nan)
    told: Sequence[float | str] = column.strings or finite.tolist()
    return [text_of(one)[:_MOST_CHARACTERS] for one in told]


def rows_at(column: Column, places: Integers) -> Column:
    strings = None if column.strings is None else [column.strings[at] for at in places.tolist()]
    numbers = column.numbers[places] if column.strings is None else column.numbers
    return Column(column.name, column.role, numbers, strings)


def running_version(endpoint: types.KnownEndpoint) -> str:
    """The version with the greatest share of traffic; empty when none answers."""
    return endpoint.versions[0] if endpoint.versions else ""
