"""Rows that wait to be counted together. Pure.

Making a profile costs about as much for ten rows as for a thousand, and profiles of any split of the rows come to the
same bytes, so batches that are counted in one go are counted as one.
"""

from collections.abc import Sequence
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.forest import Outliers
from services.monitoring.groups import Row, count_groups
from services.monitoring.losses import Losses
from services.monitoring.profile import Column, Layout, count, merge
from services.monitoring.sampling import Sampling
from services.monitoring.sketches import Hashes


class Piece(NamedTuple):
    """Some rows of one batch, and how they are to be counted. groups: by sensitive column its rows. hashes: of the
    rows, where some are sampled, without the columns in hidden."""

    columns: Sequence[Column]
    rows: int
    layout: Layout
    losses: Losses | None = None
    groups: Sequence[tuple[str, Sequence[Row]]] = ()
    outliers: Outliers | None = None
    sampling: Sampling | None = None
    hashes: Hashes | None = None
    hidden: frozenset[str] = frozenset()

    @property
    def shape(self) -> tuple[object, ...]:
        """What pieces have in common that may be counted as one."""
        columns = tuple((*one.key, one.strings is not None) for one in self.columns)
        counts = id(self.layout), id(self.losses), id(self.outliers), self.sampling, self.hidden
        return *counts, columns, tuple(name for name, _ in self.groups)


def counted(pieces: Sequence[Piece]) -> types.ProfileSet:
    """Profiles of all rows; at least one piece."""
    profiles: types.ProfileSet | None = None
    for _, alike in groupby(pieces, key=lambda one: one.shape):
        some = list(alike)
        columns = [_joined([one.columns[at] for one in some]) for at in range(len(some[0].columns))]
        more = _counted(some, columns)
        profiles = more if profiles is None else merge(profiles, more)
    assert profiles is not None
    return profiles


def _counted(alike: Sequence[Piece], columns: Sequence[Column]) -> types.ProfileSet:
    first, rows = alike[0], sum(one.rows for one in alike)
    profiles = count(columns, first.layout, rows)
    if first.losses is not None:
        profiles.expected_errors.CopyFrom(first.losses.expected(columns, rows))
    if first.outliers is not None:
        profiles.outliers.CopyFrom(first.outliers.counted(columns, rows))
    if first.sampling is not None:
        hashes = np.concatenate([one.hashes for one in alike if one.hashes is not None])
        shown = [one for one in columns if one.name not in first.hidden]
        profiles.sample.CopyFrom(first.sampling.of(shown, hashes))
    for at, (name, _) in enumerate(first.groups):
        profiles.sensitive.append(count_groups(name, chain.from_iterable(one.groups[at][1] for one in alike)))
    return profiles


def _joined(parts: Sequence[Column]) -> Column:
    first = parts[0]
    if len(parts) == 1:
        return first
    if first.strings is None:
        return first._replace(numbers=np.concatenate([one.numbers for one in parts]))
    return first._replace(strings=[text for one in parts for text in one.strings or ()])
