"""Tables of a flatbuffer, read with every place checked: what Arrow's metadata is written in. Pure.

A table begins with the distance back to its vtable, which tells where each field lies, 0 for one that is left out. See
https://flatbuffers.dev/internals/
"""

import struct
from collections.abc import Sequence
from typing import Any


class Malformed(Exception):
    """Bytes that are not what they should be, in words for whoever sent them."""


def _unpack(layout: str, data: bytes, place: int) -> tuple[Any, ...]:
    if place < 0 or place + struct.calcsize(layout) > len(data):
        raise Malformed("a reference leads outside of its message")
    return struct.unpack_from(layout, data, place)


class Table:
    """One table. Fields go by their number in the schema."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place
        (back,) = _unpack("<i", data, place)
        self._vtable = place - back
        (self._vtable_bytes,) = _unpack("<H", data, self._vtable)

    @classmethod
    def root(cls, data: bytes) -> "Table":
        (place,) = _unpack("<I", data, 0)
        return cls(data, place)

    def _field(self, number: int) -> int:
        """Where a field lies; 0 when it is left out."""
        entry = 4 + 2 * number
        if entry + 2 > self._vtable_bytes:
            return 0
        (offset,) = _unpack("<H", self._data, self._vtable + entry)
        return self._place + offset if offset else 0

    def scalar(self, number: int, layout: str, default: int = 0) -> int:
        place = self._field(number)
        return int(_unpack(layout, self._data, place)[0]) if place else default

    def _reference(self, number: int) -> int:
        place = self._field(number)
        return place + int(_unpack("<I", self._data, place)[0]) if place else 0

    def table_or_none(self, number: int) -> "Table | None":
        place = self._reference(number)
        return Table(self._data, place) if place else None

    def table(self, number: int) -> "Table":
        found = self.table_or_none(number)
        if found is None:
            raise Malformed("a part of the metadata is missing")
        return found

    def text(self, number: int) -> str:
        place = self._reference(number)
        if not place:
            return ""
        (size,) = _unpack("<I", self._data, place)
        if place + 4 + size > len(self._data):
            raise Malformed("a name is cut off")
        try:
            return self._data[place + 4 : place + 4 + size].decode()
        except UnicodeDecodeError as error:
            raise Malformed("a name is not UTF-8") from error

    def _count(self, place: int, most: int) -> int:
        count = int(_unpack("<I", self._data, place)[0])
        if count > most:
            raise Malformed(f"{count} entries, more than {most}")
        return count

    def tables(self, number: int, most: int) -> "Sequence[Table]":
        place = self._reference(number)
        if not place:
            return ()
        spots = [place + 4 + 4 * at for at in range(self._count(place, most))]
        return [Table(self._data, one + int(_unpack("<I", self._data, one)[0])) for one in spots]

    def structs(self, number: int, layout: str, most: int) -> Sequence[tuple[Any, ...]]:
        place = self._reference(number)
        if not place:
            return ()
        count, size = self._count(place, most), struct.calcsize(layout)
        end = place + 4 + count * size
        if end > len(self._data):
            raise Malformed("a list is cut off")
        return list(struct.iter_unpack(layout, self._data[place + 4 : end]))
