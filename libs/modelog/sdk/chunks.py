"""Files that are too large to hold: a part of their rows at a time, always cut at the same rows."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

CHUNK_ROWS = 65_536
_NAN = float("nan")


@dataclass
class Chunk:
    """Some rows by column, and how many rows the whole file has."""

    columns: dict[str, Any]
    total: int


def chunks(path: Path) -> Iterator[Chunk]:
    """The rows of a .parquet (where pyarrow is installed), .csv or .tsv file. ValueError for others, and for lines of
    another length than the head. A column of a CSV file is numbers where every cell of the whole file is one, or empty.
    """
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _parquet(path)
    if suffix in (".csv", ".tsv"):
        return _csv(path, "\t" if suffix == ".tsv" else ",")
    raise ValueError(f"what format is {suffix or 'it'}? Give .parquet, .csv or .tsv")


def _parquet(path: Path) -> Iterator[Chunk]:
    try:
        from pyarrow import parquet  # Large, and only some have such files.
    except ImportError:
        raise ValueError("Parquet needs pyarrow: install modelog[parquet], or save the file as CSV") from None
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield Chunk(columns, file.metadata.num_rows)


def _csv(path: Path, delimiter: str) -> Iterator[Chunk]:
    names, numeric, total = _looked_through(path, delimiter)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter)
        next(reader, None)
        rows = (one for one in reader if one)
        while some := list(islice(rows, CHUNK_ROWS)):
            cells = zip(*some, strict=True)
            columns = {name: _values(one, name in numeric) for name, one in zip(names, cells, strict=True)}
            yield Chunk(columns, total)


def _values(cells: Sequence[str], numeric: bool) -> Sequence[Any]:
    return [float(one) if one else _NAN for one in cells] if numeric else cells


def _looked_through(path: Path, delimiter: str) -> tuple[list[str], set[str], int]:
    """Names, which of them are numbers throughout, and how many rows there are."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        names = next(reader, [])
        if len(set(names)) != len(names):
            raise ValueError("two columns have the same name")
        left, total = dict(enumerate(names)), 0
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise ValueError(f"line {reader.line_num} has {len(row)} cells, the head {len(names)}")
            total += 1
            for at in [at for at in left if row[at] and not _is_number(row[at])]:
                del left[at]
    return names, set(left.values()), total


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
