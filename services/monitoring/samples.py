"""What becomes of samples once they are taken: see `sampling`. Pure."""

import struct

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
    both = types.RowSample(most_rows=min(mine.most_rows, other.most_rows))
    both.hashes.extend([*mine.hashes, *other.hashes])
    for one, more in zip(mine.columns, other.columns, strict=True):
        joined = both.columns.add(role=one.role, name=one.name, categorical=one.categorical)
        joined.numbers.extend([*one.numbers, *more.numbers])
        joined.strings.extend([*one.strings, *more.strings])
    return bottom_of(both)


def bottom_of(sample: types.RowSample) -> types.RowSample:
    """The rows with the smallest hashes, each hash once, ascending."""
    hashes = np.array(sample.hashes, dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    if len(order) > 1 and (np.diff(hashes[order]) == 0).any():
        # A row that came twice is one. Two rows under one id: the lesser of their values, whichever came first.
        ranked = sorted(order.tolist(), key=lambda at: (sample.hashes[at], _row_bytes(sample, at)))
        order = np.array(ranked, dtype=np.int64)
        order = order[np.append(True, np.diff(hashes[order]) != 0)]
    kept = order[: sample.most_rows].tolist()
    bottom = types.RowSample(most_rows=sample.most_rows, hashes=[sample.hashes[at] for at in kept])
    for one in sample.columns:
        column = bottom.columns.add(role=one.role, name=one.name, categorical=one.categorical)
        numbers, strings = list(one.numbers), list(one.strings)
        column.numbers.extend([numbers[at] for at in kept] if numbers else ())
        column.strings.extend([strings[at] for at in kept] if strings else ())
    return bottom


def _row_bytes(sample: types.RowSample, at: int) -> bytes:
    values = (
        one.strings[at].encode("utf-8", "surrogatepass") if one.categorical else struct.pack(">d", one.numbers[at])
        for one in sample.columns
    )
    return b"\0".join(values)


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
