"""Marks: what a document can be found by besides its words, in the same inverted index. Pure.

A mark is a checksum of a path and a value, written as a word that no text has. Documents that hold a value carry its
mark, so those that lack a needed mark need not be looked at; those that carry it are compared in full, because
checksums collide and numbers are marked coarsely. A number is marked by its first bits at four widths: a range is then
a few marks of each width, as in the tries of numeric fields in text indexes (Schindler and Diepenbroek, Computers &
Geosciences 34, 2008).
"""

import math
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from zlib import crc32

from kernel.names import project_of

# Bits left out at each width, and how many buckets of a width make one of the next.
_SHIFTS = (47, 52, 56, 60)
_BUCKETS = (32, 16, 16)
_WIDTHS = ("#0", "#1", "#2", "#3")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
_MOST_VALUE = 200  # Characters of a text that its mark is made from.


def _mark(kind: str, path: Sequence[str], value: str) -> str:
    return f"#{crc32(value.encode('utf-8', 'surrogatepass'), _begun(kind, tuple(path))):x}"


@lru_cache(maxsize=8192)
def _begun(kind: str, path: tuple[str, ...]) -> int:
    """The checksum of what stands before a value: a checksum can go on from where another one ended."""
    return crc32("\0".join((kind, *path, "")).encode("utf-8", "surrogatepass"))


def of_text(path: Sequence[str], value: str) -> str:
    return _mark("=", path, value[:_MOST_VALUE])


def of_presence(path: Sequence[str]) -> str:
    return _mark("?", path, "")


def of_place(name: str) -> str:
    """That something stands below `name`, at any depth."""
    return _mark("in", (), name)


def of_kind(table: str) -> str:
    return _mark("kind", (), table)


def places(name: str) -> Iterator[str]:
    """Marks of everything that encloses a resource."""
    project = project_of(name)
    while name not in ("", project):
        name = name.rpartition("/")[0].rpartition("/")[0]
        if name:
            yield of_place(name)


def of_number(path: Sequence[str], value: float) -> list[str]:
    bits = _ordered_bits(value)
    return [_mark(kind, path, str(bits >> shift)) for kind, shift in zip(_WIDTHS, _SHIFTS, strict=True)]


def of_range(path: Sequence[str], lowest: float, highest: float) -> list[str]:
    """Marks of which every number from lowest to highest, both included, carries one: at most 140."""
    first, last = _ordered_bits(lowest) >> _SHIFTS[0], _ordered_bits(highest) >> _SHIFTS[0]
    found: list[str] = []
    for width, buckets in enumerate(_BUCKETS):
        while first <= last and first % buckets:
            found.append(_mark(_WIDTHS[width], path, str(first)))
            first += 1
        while first <= last and (last + 1) % buckets:
            found.append(_mark(_WIDTHS[width], path, str(last)))
            last -= 1
        if first > last:
            return found
        first, last = first // buckets, last // buckets
    return found + [_mark(_WIDTHS[-1], path, str(one)) for one in range(first, last + 1)]


def _ordered_bits(value: float) -> int:
    """The bits of a double, so that they order like the numbers."""
    if math.isinf(value):
        return _ALL if value > 0 else 0
    bits: int = struct.unpack(">Q", struct.pack(">d", value + 0.0))[0]
    return _ALL ^ bits if bits & _SIGN else bits | _SIGN
