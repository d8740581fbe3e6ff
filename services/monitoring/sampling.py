"""Rows kept as they came: a bounded sample of a window that any split, order or repeat of its rows comes to.

Bottom-k (Cohen and Kaplan, PODC 2007): each row has a hash of its prediction id, or of its batch and its place in it,
and the rows with the smallest hashes are kept. As good as drawn without replacement while ids tell nothing about rows;
nothing is drawn at random, and two samples merge into that of all rows. Sensitive columns are never in one.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Integers
from services.monitoring.profile import Column, Key, Layout
from services.monitoring.samples import bottom_of
from services.monitoring.sketches import Hashes, hashes_of_texts, mixed

MOST_ROWS = 2000
MOST_CHARACTERS = 64
_MOST_BYTES = 4 * 1024 * 1024  # Of the values of one sample, a text taken as full.


class Sampling(NamedTuple):
    """What is kept of rows. columns: (role, name) and whether its values are categories, ascending."""

    columns: tuple[tuple[Key, bool], ...]
    most_rows: int

    def of(self, columns: Sequence[Column], hashes: Hashes) -> types.RowSample:
        """The sample of some rows; what a column lacks, or has in another type, is missing."""
        given = {one.key: one for one in columns}
        lowest, counts = np.unique(hashes, return_counts=True)
        lowest, counts = lowest[: self.most_rows], counts[: self.most_rows]
        order = np.argsort(hashes, kind="stable")[: int(np.sum(counts))]
        sample = types.RowSample(most_rows=self.most_rows, hashes=hashes[order].tolist())
        for key, categorical in self.columns:
            _fill(sample.columns.add(role=key[0], name=key[1], categorical=categorical), given.get(key), order)
        return bottom_of([sample]) if len(order) > len(lowest) else sample


def sampling_of(layout: Layout, most_rows: int, sensitive: Collection[str]) -> Sampling | None:
    """What is kept of windows that are compared with a baseline; None when nothing is."""
    columns = tuple((key, layout[key].edges is None) for key in sorted(layout) if key[1] not in sensitive)
    if not columns or not most_rows:
        return None
    width = sum(MOST_CHARACTERS if categorical else 8 for _, categorical in columns)
    return Sampling(columns, min(most_rows, MOST_ROWS, _MOST_BYTES // width))


def hashes_of_ids(batch_id: str, ids: Sequence[str], rows: int) -> Hashes:
    """One hash for each row of a batch."""
    if ids:
        return hashes_of_texts(ids)
    return mixed(hashes_of_texts([batch_id]) ^ mixed(np.arange(rows, dtype=np.uint64)))


def _fill(into: types.SampledColumn, column: Column | None, places: Integers) -> None:
    if into.categorical:
        strings = column.strings if column is not None else None
        into.strings.extend("" if strings is None else strings[at][:MOST_CHARACTERS] for at in places.tolist())
    elif column is None or column.strings is not None:
        into.numbers.extend([np.nan] * len(places))
    else:
        values = column.numbers[places] + 0.0
        values[np.isnan(values)] = np.nan  # One NaN of the many, so that bytes are the same.
        into.numbers.extend(values.tolist())
