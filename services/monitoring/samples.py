"""What becomes of samples once they are taken: see `sampling`. Pure."""

import struct
from collections.abc import Sequence

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types


def merge_samples(mine: types.RowSample, other: types.RowSample) -> types.RowSample:
    """The sample of the rows of both. ValueError when they hold different columns."""
    if not mine.columns:
        return other
    if [(one.role, one.name, one.categorical) for one in mine.columns] != [
        (one.role, one.name, one.categorical) for one in other.columns
    ]:
        raise ValueError("samples of different columns")
    if len(mine.hashes) == mine.most_rows and other.hashes and other.hashes[0] > mine.hashes[-1]:
        return mine
    return bottom_of([mine, other])


def bottom_of(parts: Sequence[types.RowSample]) -> types.RowSample:
    """The rows with the smallest hashes of samples of the same columns, each hash once, ascending."""
    all_hashes = [one for part in parts for one in part.hashes]
    hashes = np.array(all_hashes, dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    columns = list(zip(*(part.columns for part in parts), strict=True))
    values = [[one for part in several for one in (part.strings or part.numbers)] for several in columns]
    if len(order) > 1 and (np.diff(hashes[order]) == 0).any():
        # A row that came twice is one. Two rows under one id: the lesser of their values, whichever came first.
        ranked = sorted(order.tolist(), key=lambda at: (all_hashes[at], _row_bytes(values, at)))
        order = np.array(ranked, dtype=np.int64)
        order = order[np.append(True, np.diff(hashes[order]) != 0)]
    most = min(part.most_rows for part in parts)
    kept = order[:most].tolist()
    bottom = types.RowSample(most_rows=most, hashes=[all_hashes[at] for at in kept])
    for (first, *_), of in zip(columns, values, strict=True):
        column = bottom.columns.add(role=first.role, name=first.name, categorical=first.categorical)
        (column.strings if first.categorical else column.numbers).extend([of[at] for at in kept])
    return bottom


def _row_bytes(values: Sequence[Sequence[float | str]], at: int) -> bytes:
    row = (column[at] for column in values)
    return b"\0".join(
        one.encode("utf-8", "surrogatepass") if isinstance(one, str) else struct.pack(">d", one) for one in row
    )


def without_sample(profiles: types.ProfileSet) -> tuple[types.ProfileSet, types.RowSample | None]:
    """Profiles as their digest is made of, and the sample that was with them."""
    if not profiles.HasField("sample"):
        return profiles, None
    bare = types.ProfileSet()
    bare.CopyFrom(profiles)
    bare.ClearField("sample")
    return bare, profiles.sample


def is_sound_sample(sample: types.RowSample) -> bool:
    """Whether a sample that came from elsewhere is one: ascending hashes, and a value of each column for each."""
    rows, keys = len(sample.hashes), [(one.role, one.name) for one in sample.columns]
    return (
        rows <= sample.most_rows
        and list(sample.hashes) == sorted(set(sample.hashes))
        and keys == sorted(set(keys))
        and bool(keys) == bool(rows)
        and all(
            (len(one.numbers), len(one.strings)) == ((0, rows) if one.categorical else (rows, 0))
            for one in sample.columns
        )
    )
