"""Columns out of files: CSV by the standard library, npz by numpy, Parquet where pyarrow is installed."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Columns = dict[str, npt.NDArray[np.generic]]
_LONGEST_CELL = 1 << 20


def read_columns(path: str | Path, wanted: Sequence[str]) -> Columns:
    """The wanted columns by name, and no others. ValueError when one is missing, or a line has another length."""
    file, names = Path(path), list(dict.fromkeys(wanted))
    readers = {".csv": _csv, ".tsv": _csv, ".npz": _npz, ".parquet": _parquet, ".pq": _parquet}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"{file.name}: what format is {file.suffix or 'it'}? Give .csv, .tsv, .npz or .parquet")
    return reader(file, names)


def _csv(file: Path, names: Sequence[str]) -> Columns:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        csv.field_size_limit(_LONGEST_CELL)
        reader = csv.reader(lines, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
        head = next(reader, [])
        _check(file, names, head)
        places = [head.index(name) for name in names]
        found: list[list[str]] = [[] for _ in names]
        for cells in reader:
            if len(cells) != len(head):
                if not cells:
                    continue
                raise ValueError(f"{file.name}: line {reader.line_num} has {len(cells)} cells, the head {len(head)}")
            for column, place in zip(found, places, strict=True):
                column.append(cells[place])
    return {name: np.array(column, dtype=str) for name, column in zip(names, found, strict=True)}


def _npz(file: Path, names: Sequence[str]) -> Columns:
    with np.load(file, allow_pickle=False) as arrays:
        _check(file, names, list(arrays))
        found = {name: np.asarray(arrays[name]) for name in names}
    for name, array in found.items():
        if array.ndim != 1:
            raise ValueError(f"{file.name}: {name} has {array.ndim} dimensions; a column has one")
    return found


def _parquet(file: Path, names: Sequence[str]) -> Columns:
    try:
        from pyarrow import parquet  # Large, and only some have such files.
    except ImportError:
        raise ValueError(f"{file.name}: Parquet needs pyarrow; install it, or save the file as CSV") from None
    _check(file, names, parquet.read_schema(file).names)
    table = parquet.read_table(file, columns=list(names))
    return {name: table[name].to_numpy(zero_copy_only=False) for name in names}


def _check(file: Path, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if known.count(name) != 1:
            how = "is there twice" if name in known else f"is not there; there are {', '.join(known) or 'none'}"
            raise ValueError(f"{file.name}: column {name!r} {how}")
