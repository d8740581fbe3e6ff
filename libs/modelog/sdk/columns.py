"""Columns as people have them (data frames, Arrow tables, arrays, lists), as telemetry sends them. Loads no library.

A column of numbers lies in a message as eight bytes a value, little-endian, which is how arrays lie in memory, so a
message is made of them as a whole instead of value by value.
"""

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelog.monitoring.v1.telemetry_pb2 import TelemetryColumn

_NUMBERS_TAG = b"\x12"  # Field 2, of a known length.
_VALUE_BYTES = 8
_NUMERIC, _TIME = "fiub", "M"
_NAN = float("nan")


class Column:
    """One column: packed numbers (NaN is missing), or texts ("" is missing)."""

    __slots__ = ("name", "packed", "texts")

    def __init__(self, name: str, packed: bytes | None, texts: Sequence[str] = ()) -> None:
        self.name = name
        self.packed = packed
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts) if self.packed is None else len(self.packed) // _VALUE_BYTES

    @property
    def size(self) -> int:
        """Bytes that it takes up in messages, nearly."""
        return sum(map(len, self.texts)) + 3 * len(self.texts) if self.packed is None else len(self.packed)

    def rows(self, start: int, stop: int) -> "TelemetryColumn":
        """These rows, as a message."""
        from modelog.monitoring.v1.telemetry_pb2 import TelemetryColumn

        if self.packed is None:
            return TelemetryColumn(name=self.name, strings=self.texts[start:stop])
        numbers = self.packed[start * _VALUE_BYTES : stop * _VALUE_BYTES]
        head = TelemetryColumn(name=self.name).SerializeToString()
        return TelemetryColumn.FromString(b"".join((head, _NUMBERS_TAG, _varint(len(numbers)), numbers)))

    def values(self) -> Sequence[float] | Sequence[str]:
        if self.packed is None:
            return self.texts
        found = array("d", self.packed)
        if sys.byteorder == "big":
            found.byteswap()
        return found

    def ids(self) -> list[str]:
        """As ids of predictions: whole numbers without a fraction."""
        if self.packed is None:
            return list(self.texts)
        return [str(int(one)) if one == one and float(one).is_integer() else str(one) for one in self.values()]


def columns_of(data: Any) -> list[Column]:
    """The columns of a mapping of names to values, a data frame or an Arrow table; all of one length.

    TypeError for what is none of these; ValueError for columns of several lengths, or of values that are no rows.
    """
    if isinstance(data, Mapping):
        named: Iterable[tuple[Any, Any]] = data.items()
    elif hasattr(data, "column_names") and hasattr(data, "column"):
        named = [(name, data.column(at)) for at, name in enumerate(data.column_names)]
    elif hasattr(data, "columns") and hasattr(data, "__getitem__"):
        named = [(name, data[name]) for name in data.columns]
    else:
        raise TypeError(f"{type(data).__name__} has no columns: give a data frame, an Arrow table or a dict of arrays")
    found = [column_of(str(name), values) for name, values in named]
    if len({len(one) for one in found}) > 1:
        raise ValueError(f"columns of several lengths: {', '.join(f'{one.name} {len(one)}' for one in found)}")
    return found


def column_of(name: str, values: Any) -> Column:
    """A column of anything that holds one value a row."""
    if hasattr(values, "to_numpy"):
        values = _array_of(values)
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if len(getattr(values, "shape", (0,))) != 1:
        raise ValueError(f"{name}: {len(values.shape)} dimensions; a column has one")
    if kind and kind in _NUMERIC:
        return Column(name, values.astype("<f8").tobytes())
    if kind == _TIME:
        return Column(name, _seconds(values).tobytes())
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return _listed(name, listed)


def _array_of(values: Any) -> Any:
    """The numpy array of a column of pandas, polars or Arrow; text and what is missing stay objects."""
    try:
        return values.to_numpy(zero_copy_only=False)
    except TypeError:
        return values.to_numpy()


def _seconds(times: Any) -> Any:
    """datetime64 in seconds since 1970, NaN for none."""
    seconds = times.astype("datetime64[us]").astype("<i8") / 1e6
    seconds[times != times] = _NAN
    return seconds.astype("<f8")


def _listed(name: str, values: Sequence[Any]) -> Column:
    """Numbers where all that is there is a number, text otherwise."""
    if all(one is None or isinstance(one, int | float) or _is_scalar(one) for one in values):
        numbers = array("d", [_NAN if one is None else float(one) for one in values])
        if sys.byteorder == "big":
            numbers.byteswap()
        return Column(name, numbers.tobytes())
    return Column(name, None, ["" if one is None or one != one else str(one) for one in values])


def _is_scalar(value: Any) -> bool:
    """A number of numpy's."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and getattr(value, "shape", None) == () and dtype.kind in _NUMERIC


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
