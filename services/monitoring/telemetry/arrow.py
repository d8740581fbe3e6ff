"""Columns out of an Arrow IPC stream, for what telemetry holds: numbers, booleans, times, text. Pure.

Written for bytes that anybody may send: every place is checked before it is read, what a message claims to hold is
bounded by what it holds, and nothing native looks at it. Numbers are views of the message where they need no change.
The format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.monitoring.telemetry.flat import Malformed, Table

_CONTINUATION = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3
_MOST_FIELDS = 520
_INT, _FLOAT, _UTF8, _BOOL, _DATE, _TIMESTAMP, _LARGE_UTF8 = 2, 3, 5, 6, 8, 10, 20
_TYPES = (
    "none null integers floats binary text booleans decimals dates times timestamps intervals lists structs unions"
    " fixed-size-binary fixed-size-lists maps durations large-binary large-text large-lists run-end-encoded"
    " binary-views text-views"
).split()
_FLOATS = {0: "<f2", 1: "<f4", 2: "<f8"}
_PER_SECOND = (1.0, 1e3, 1e6, 1e9)
_DAY_SECONDS = 86400.0
_BITS_A_BYTE = 8


class Unsupported(Exception):
    """Columns of types that telemetry does not hold: pairs of name and type."""

    def __init__(self, columns: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {kind}" for name, kind in columns))
        self.columns = columns


class Values(NamedTuple):
    """One column: numbers (NaN is missing), or strings ("" is missing)."""

    numbers: NDArray[np.float64]
    strings: list[str] | None = None

    def __len__(self) -> int:
        return len(self.numbers) if self.strings is None else len(self.strings)


class _Field(NamedTuple):
    """How one column lies in the buffers. per_second: units of a time in a second; 0 where it is none."""

    name: str
    kind: int
    dtype: str
    per_second: float
    dictionary: int | None
    codes: str


class _Budget:
    """What decoded columns may come to: no more values than the message has bits, no more text than it has bytes."""

    def __init__(self, message_bytes: int) -> None:
        self._values = message_bytes * _BITS_A_BYTE
        self._text_bytes = message_bytes

    def take(self, values: int, text_bytes: int = 0) -> None:
        self._values -= values
        self._text_bytes -= text_bytes
        if self._values < 0 or self._text_bytes < 0:
            raise Malformed("it claims to hold more than it does")


def read_stream(stream: bytes) -> dict[str, Values]:
    """The columns by name, all record batches one behind the other. Malformed; Unsupported."""
    fields: Sequence[_Field] | None = None
    dictionaries: dict[int, Values] = {}
    parts: list[list[Values]] = []
    budget, place = _Budget(len(stream)), 0
    while (message := _message(stream, place)) is not None:
        header_kind, metadata, body, place = message
        if header_kind == _SCHEMA:
            if fields is not None:
                raise Malformed("two schemas")
            fields = _fields(metadata)
        elif fields is None:
            raise Malformed("no schema before the first batch")
        elif header_kind == _DICTIONARY:
            _take_dictionary(Table.root(metadata).table(2), body, fields, dictionaries, budget)
        elif header_kind == _RECORDS:
            parts.append(_records(Table.root(metadata).table(2), body, fields, dictionaries, budget))
        else:
            raise Malformed(f"a message of kind {header_kind}")
    if fields is None:
        raise Malformed("no schema")
    return {field.name: _joined([part[at] for part in parts]) for at, field in enumerate(fields)}


def count_rows(stream: bytes) -> int:
    """How many rows its record batches claim to have; Malformed."""
    rows, place = 0, 0
    while (message := _message(stream, place)) is not None:
        header_kind, metadata, _, place = message
        if header_kind == _RECORDS:
            rows += max(0, Table.root(metadata).table(2).scalar(0, "<q"))
    return rows


def _message(stream: bytes, place: int) -> tuple[int, bytes, memoryview, int] | None:
    """Kind, metadata and body of the message at a place, and the place of the next one; None at the end."""
    if place == len(stream):
        return None
    if place + 8 > len(stream):
        raise Malformed("cut off")
    mark, size = struct.unpack_from("<II", stream, place)
    if mark != _CONTINUATION:
        raise Malformed("not an Arrow IPC stream of format 1.0")
    if size == 0:
        return None
    start = place + 8
    if start + size > len(stream):
        raise Malformed("cut off")
    metadata = stream[start : start + size]
    root = Table.root(metadata)
    length = root.scalar(3, "<q")
    end = start + size + length
    if length < 0 or end > len(stream):
        raise Malformed("cut off")
    return root.scalar(1, "<B"), metadata, memoryview(stream)[start + size : end], end


@lru_cache(maxsize=64)
def _fields(metadata: bytes) -> Sequence[_Field]:
    """The columns of a schema; producers send the same one again and again."""
    schema = Table.root(metadata).table(2)
    if schema.scalar(0, "<h"):
        raise Malformed("big-endian")
    tables = schema.tables(1, _MOST_FIELDS)
    found = [_field(one) for one in tables]
    unfit = [(name, kind) for name, kind in found if isinstance(kind, str)]
    if unfit:
        raise Unsupported(unfit)
    fields = [kind for _, kind in found if isinstance(kind, _Field)]
    if len({one.name for one in fields}) != len(fields):
        raise Malformed("two columns of one name")
    return fields


def _field(table: Table) -> tuple[str, "_Field | str"]:
    """Name, and the layout or what type it is that telemetry does not hold."""
    name, kind = table.text(0), table.scalar(2, "<B")
    dictionary, index = None, ""
    encoding = table.table_or_none(4)
    if encoding is not None:
        dictionary, integers = encoding.scalar(0, "<q"), encoding.table_or_none(1)
        index = "<i4" if integers is None else _integer(integers)
    details = table.table_or_none(3)
    dtype, per_second = "", 0.0
    if kind == _INT and details is not None:
        dtype = _integer(details)
    elif kind == _FLOAT and details is not None:
        dtype = _FLOATS.get(details.scalar(0, "<h"), "")
    elif kind == _DATE and details is not None:
        days = details.scalar(0, "<h", default=1) == 0
        dtype, per_second = ("<i4", 1 / _DAY_SECONDS) if days else ("<i8", 1e3)
    elif kind == _TIMESTAMP and details is not None:
        unit = details.scalar(0, "<h")
        dtype, per_second = ("<i8", _PER_SECOND[unit]) if 0 <= unit < len(_PER_SECOND) else ("", 0.0)
    elif kind == _UTF8:
        dtype = "<i4"
    elif kind == _LARGE_UTF8:
        dtype = "<i8"
    elif kind == _BOOL:
        dtype = "bits"
    if not dtype or (dictionary is not None and not index):
        return name, _TYPES[kind] if kind < len(_TYPES) else f"type {kind}"
    return name, _Field(name, kind, dtype, per_second, dictionary, index)


def _integer(table: Table) -> str:
    bits, signed = table.scalar(0, "<i"), table.scalar(1, "<B")
    return f"<{'i' if signed else 'u'}{bits // 8}" if bits in (8, 16, 32, 64) else ""


class _Buffers:
    """The nodes and buffers of a batch, taken one after the other."""

    def __init__(self, batch: Table, body: memoryview) -> None:
        if batch.table_or_none(3) is not None:
            raise Malformed("it is compressed; write it without compression")
        self._body = body
        self._nodes = iter(batch.structs(1, "<qq", _MOST_FIELDS))
        self._buffers = iter(batch.structs(2, "<qq", 3 * _MOST_FIELDS))

    def node(self) -> tuple[int, int]:
        """Number of values and how many of them are null."""
        rows, nulls = next(self._nodes, (-1, -1))
        if rows < 0 or not 0 <= nulls <= rows:
            raise Malformed("a column is missing")
        return rows, nulls

    def buffer(self) -> memoryview:
        start, size = next(self._buffers, (-1, -1))
        if start < 0 or size < 0 or start + size > len(self._body):
            raise Malformed("a buffer lies outside of its message")
        return self._body[start : start + size]

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        buffer = self.buffer()
        if np.dtype(dtype).itemsize * count > len(buffer):
            raise Malformed("a buffer is too short")
        return np.frombuffer(buffer, dtype, count)


def _records(
    batch: Table, body: memoryview, fields: Sequence[_Field], dictionaries: dict[int, Values], budget: _Budget
) -> list[Values]:
    rows, buffers = batch.scalar(0, "<q"), _Buffers(batch, body)
    found = []
    for field in fields:
        if field.dictionary is None:
            values = _column(field, buffers, budget)
        else:
            values = _looked_up(field, buffers, dictionaries.get(field.dictionary), budget)
        if len(values) != rows:
            raise Malformed(f"{field.name}: {len(values)} values for {rows} rows")
        found.append(values)
    return found


def _take_dictionary(
    batch: Table, body: memoryview, fields: Sequence[_Field], dictionaries: dict[int, Values], budget: _Budget
) -> None:
    number = batch.scalar(0, "<q")
    field = next((one for one in fields if one.dictionary == number), None)
    if field is None:
        raise Malformed(f"a dictionary {number} that no column uses")
    values = _column(field, _Buffers(batch.table(1), body), budget)
    before = dictionaries.get(number)
    more = batch.scalar(2, "<B") and before is not None
    dictionaries[number] = _joined([before, values]) if more and before is not None else values


def _column(field: _Field, buffers: _Buffers, budget: _Budget) -> Values:
    """The values as they lie there, those that are null taken out."""
    rows, nulls = buffers.node()
    budget.take(rows)
    null = _null(buffers, rows, nulls)
    if field.kind in (_UTF8, _LARGE_UTF8):
        strings = _texts(buffers, field.dtype, rows, budget)
        for at in np.flatnonzero(null).tolist() if null is not None else ():
            strings[at] = ""
        return Values(np.empty(0), strings)
    if field.kind == _BOOL:
        raw: NDArray[Any] = np.unpackbits(buffers.array("u1", -(-rows // 8)), count=rows, bitorder="little")
    else:
        raw = buffers.array(field.dtype, rows)
    numbers = raw.astype(np.float64, copy=null is not None)
    if field.per_second:
        numbers = numbers / field.per_second
    if null is not None:
        numbers[null] = np.nan
    return Values(numbers)


def _null(buffers: _Buffers, rows: int, nulls: int) -> NDArray[np.bool_] | None:
    validity = buffers.buffer()
    if not nulls:
        return None
    if len(validity) * _BITS_A_BYTE < rows:
        raise Malformed("a validity bitmap is too short")
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), count=rows, bitorder="little")
    null: NDArray[np.bool_] = bits == 0
    return null


def _texts(buffers: _Buffers, dtype: str, rows: int, budget: _Budget) -> list[str]:
    if not rows:  # The one offset that would still be there may be left out.
        buffers.buffer()
        buffers.buffer()
        return []
    offsets, data = buffers.array(dtype, rows + 1), bytes(buffers.buffer())
    if offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
        raise Malformed("text lies outside of its buffer")
    budget.take(0, int(offsets[-1]) - int(offsets[0]))
    places = offsets.tolist()
    try:
        if data.isascii():
            whole = data.decode("ascii")
            return [whole[start:stop] for start, stop in pairwise(places)]
        return [data[start:stop].decode() for start, stop in pairwise(places)]
    except UnicodeDecodeError as error:
        raise Malformed("text is not UTF-8") from error


def _looked_up(field: _Field, buffers: _Buffers, dictionary: Values | None, budget: _Budget) -> Values:
    rows, nulls = buffers.node()
    budget.take(rows)
    null = _null(buffers, rows, nulls)
    codes = buffers.array(field.codes, rows).astype(np.int64)
    if null is not None:
        codes[null] = -1
    if dictionary is None or codes.max(initial=-1) >= len(dictionary) or codes.min(initial=0) < -1:
        raise Malformed(f"{field.name}: a value is not in its dictionary")
    # A null has the place behind the last value.
    if dictionary.strings is None:
        return Values(np.append(dictionary.numbers, np.nan)[codes])
    known = [*dictionary.strings, ""]
    return Values(np.empty(0), [known[code] for code in codes.tolist()])


def _joined(parts: Sequence[Values]) -> Values:
    if len(parts) == 1:
        return parts[0]
    if any(one.strings is not None for one in parts):
        return Values(np.empty(0), [text for one in parts for text in one.strings or ()])
    return Values(np.concatenate([one.numbers for one in parts]) if parts else np.empty(0))
