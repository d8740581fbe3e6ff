"""From the message of a resource to what searches read: a document of values, texts and marks. Pure.

Part of what a projector runs, so a change of it, or of a list of fields, folds the views again.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from kernel import marks
from kernel.fields import Field, Searchable, Type
from kernel.filters import words_of

# Characters found by words: a tsvector holds a megabyte, in which each word may stand twice, beside the marks.
_MOST_HEADS, _MOST_BODY = 8_000, 40_000
_NO_CHARACTERS = {number: None for number in range(32) if chr(number) not in "\t\n\r"}
_NANOSECONDS = 1000
_EXACT = 1 << 53


class Document(NamedTuple):
    """values: nested dicts of str, bool, numbers and lists of str; times are microseconds, where any type may stand in
    {"t": ...}. heads, body: text as it is shown. marks: see kernel.marks."""

    created: datetime
    values: dict[str, Any]
    heads: str
    body: str
    marks: list[str]


def document(searchable: Searchable, state: Any) -> Document:
    """The document of a resource; never an error, whatever a fact has put into it."""
    values: dict[str, Any] = {}
    heads: list[str] = []
    body: list[str] = []
    found = [marks.of_kind(searchable.kind.table), *marks.places(state.name)]
    for field in fields_of(searchable):
        value = _plain(field, field.read(state))
        if value is None:
            continue
        if field.heads or field.body:
            (heads if field.heads else body).extend(_texts(value, keys=bool(field.depth)))
        if field.type is not Type.WORDS:
            values[field.path] = value
            found.extend(_marks((field.path,), value))
    created = state.create_time.ToDatetime(tzinfo=UTC)
    return Document(created, values, _joined(heads, _MOST_HEADS), _joined(body, _MOST_BODY), list(dict.fromkeys(found)))


@lru_cache
def fields_of(searchable: Searchable) -> tuple[Field, ...]:
    return tuple(searchable.fields())


def indexed_text(text: str) -> str:
    """The words of a text with blanks between them, so that no address or path is taken for one word."""
    return " ".join(words_of(text))


def _plain(field: Field, value: Any) -> Any:
    """A value as JSON has it; None for what is empty, and for numbers that are none."""
    kind = type(value)
    if kind is str:
        return _clean(value) or None
    if kind is bool or value is None:
        return value
    if kind is float or kind is int:
        return _number(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        # In the order of the keys: that of a message's map depends on how it came to be.
        made = {_clean(str(key)): _plain(field, one) for key, one in sorted(value.items())}
        return {key: one for key, one in made.items() if one is not None} or None
    if isinstance(value, Timestamp):
        moment = value.seconds * 1_000_000 + value.nanos // _NANOSECONDS
        return {"t": moment} if field.type is Type.ANY else moment
    return [one for one in map(_clean, value) if one] or None


def _number(value: float) -> float | int:
    """Whole numbers as such, so that their text is `300` and not `300.0`."""
    return int(value) if abs(value) < _EXACT and value == int(value) else value


def _clean(text: str) -> str:
    return text if text.isascii() and text.isprintable() else text.translate(_NO_CHARACTERS)


def _texts(value: Any, *, keys: bool) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            yield from value
        case dict():
            for key, one in value.items():
                if keys:
                    inner = " ".join(_texts(one, keys=keys))
                    yield f"{key}: {inner}" if inner else str(key)


def _joined(texts: list[str], most: int) -> str:
    return "\n".join(texts)[:most]


def _marks(path: tuple[str, ...], value: Any) -> Iterator[str]:
    """Marks of a value. That there is one at all is marked within maps only, where it tells something."""
    if len(path) > 1:
        yield marks.of_presence(path)
    kind = type(value)
    if kind is dict:
        for key, one in value.items():
            yield from _marks((*path, key), one)
    elif kind is str:
        yield marks.of_text(path, value)
    elif kind is bool:
        yield marks.of_text(path, "true" if value else "false")
    elif kind is list:
        for one in value:
            yield marks.of_text(path, one)
    else:
        yield from marks.of_number(path, float(value))
