"""What no request holds: far too many entries, signs that deceive readers, moments that are none, and NaN. Pure.

Strings end in terminals, logs, JSON and SQL. A NUL ends them too early there, an escape sequence writes elsewhere on a
terminal, an override of direction shows other letters than there are (CVE-2021-42574), and two spellings of one
letter make two names that look the same (UAX #15).
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from kernel.errors import FieldViolation
from modelog.buf.validate import validate_pb2

_DECEIVING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z.
_MOST_DURATION_SECONDS = 315_576_000_000  # As google/protobuf/duration.proto says.
_TIMESTAMP, _DURATION = "google.protobuf.Timestamp", "google.protobuf.Duration"
_FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
_LOOKED_AT = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE, *_FLOATS)


def unclean(message: Message, path: str = "") -> Iterator[FieldViolation]:
    """Everything in the message that has no place in any."""
    kind = message.DESCRIPTOR.full_name
    if kind in (_TIMESTAMP, _DURATION):
        yield from _moment(message, kind, path.rstrip("."))
        return
    for field, value in message.ListFields():
        shape = _shape(field)
        if shape.plain:
            continue
        where = path + field.name
        if shape.most and len(value) > shape.most:
            yield FieldViolation(where, f"must contain no more than {shape.most} item(s)", "TOO_MANY_ITEMS")
        elif shape.entry is not None:
            for key, one in value.items():
                yield from _value(shape.entry["key"].type, key, f"{where}.key")
                yield from _value(shape.entry["value"].type, one, f'{where}["{key}"]')
        elif field.is_repeated:
            for index, one in enumerate(value):
                if field.type not in _FLOATS:  # A column of data says itself what its NaN stand for.
                    yield from _value(field.type, one, f"{where}[{index}]")
        else:
            yield from _value(field.type, value, where)


class _Shape(NamedTuple):
    """What there is to look at in a field. plain: nothing. most: entries its proto allows. entry: fields of a map's."""

    plain: bool
    most: int
    entry: Mapping[str, FieldDescriptor] | None


@lru_cache(maxsize=8192)
def _shape(field: FieldDescriptor) -> _Shape:
    """Entries are counted here, because a validator looks at each of far too many before it says so."""
    options: Any = field.GetOptions()
    rules = options.Extensions[validate_pb2.field]
    inner: Any = field.message_type
    entry = inner.fields_by_name if inner is not None and inner.GetOptions().map_entry else None
    plain = not field.is_repeated and field.type not in _LOOKED_AT
    return _Shape(plain, int(rules.repeated.max_items or rules.map.max_pairs), entry)


def _value(type_: int, value: Any, where: str) -> Iterator[FieldViolation]:
    if type_ == FieldDescriptor.TYPE_STRING:
        if not (value.isascii() and value.isprintable()):
            yield from _text(value, where)
    elif type_ == FieldDescriptor.TYPE_MESSAGE:
        yield from unclean(value, f"{where}.")
    elif type_ in _FLOATS and not math.isfinite(value):
        yield FieldViolation(where, "must be a finite number", "NOT_FINITE")


def _text(value: str, where: str) -> Iterator[FieldViolation]:
    if found := _DECEIVING.search(value):
        yield FieldViolation(where, f"must not contain {_name(found.group())}", "CONTROL_CHARACTER")
    elif not unicodedata.is_normalized("NFC", value):
        yield FieldViolation(where, "must be in Unicode's normal form C; normalize it (NFC) and send again", "NOT_NFC")


def _name(sign: str) -> str:
    return f"U+{ord(sign):04X} {unicodedata.name(sign, 'control character')}"


def _moment(message: Any, kind: str, where: str) -> Iterator[FieldViolation]:
    seconds, nanos = message.seconds, message.nanos
    if kind == _TIMESTAMP:
        if not (0 <= seconds <= _LAST_SECOND and 0 <= nanos < 1_000_000_000):
            yield FieldViolation(where, "must be a time of the years 1970 to 9999, with nanos below 10^9", "TIME_RANGE")
    elif abs(seconds) > _MOST_DURATION_SECONDS or abs(nanos) >= 1_000_000_000 or seconds * nanos < 0:
        yield FieldViolation(where, "must be within 10,000 years, seconds and nanos of one sign", "DURATION_RANGE")
