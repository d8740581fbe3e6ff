"""What a filter and an order mean, written down a second time and as plainly as possible: the oracle of search."""

import functools
import operator
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernel.documents import document
from kernel.fields import Searchable, Type
from kernel.filters import And, Comparison, Expression, Not, Or, Present, Words
from kernel.ordering import Key
from kernel.values import Moment, Text

_COMPARE = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    ":": operator.eq,
}
_LONGEST_KEY = 100


@dataclass(frozen=True)
class Row:
    """One state of a resource."""

    name: str
    sort: str
    revision: int
    updated: int
    state: Any
    body: bytes

    def value(self, searchable: Searchable, path: tuple[str, ...], column: str = "") -> Any:
        made = document(searchable, self.state)
        if column:
            return {
                "name": self.name,
                "revision": self.revision,
                "updated": self.updated,
                "created": micros(made.created),
            }[column]
        value: Any = made.values
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value


def micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def holds(expression: Expression, row: Row, searchable: Searchable) -> bool:
    match expression:
        case And(parts):
            return all(holds(one, row, searchable) for one in parts)
        case Or(parts):
            return any(holds(one, row, searchable) for one in parts)
        case Not(part):
            return not holds(part, row, searchable)
        case Words():
            return _said(expression, row, searchable)
        case Present(field, rest):
            return bool(field.column) or row.value(searchable, (field.path, *rest)) is not None
        case Comparison(operator="!=", field=field, rest=rest, value=value):
            return not holds(Comparison(field, rest, "=", value), row, searchable)
    return _compared(
        expression,
        row.value(searchable, (expression.field.path, *expression.rest), expression.field.column),
        expression,
    )


def _compared(test: Comparison, value: Any, _: Any = None) -> bool:
    wanted = test.value
    compare = _COMPARE[test.operator]
    if isinstance(wanted, Moment):
        if test.field.type is Type.ANY:
            value = value.get("t") if isinstance(value, dict) else None
        return _is_number(value) and bool(compare(value, wanted.microseconds))
    if isinstance(wanted, bool):
        return bool(_shown(value) == ("true" if wanted else "false"))
    if isinstance(wanted, float):
        return _is_number(value) and bool(compare(value, wanted))
    if isinstance(value, list):
        return any(_like(one, wanted) for one in value)
    if test.operator == ":":
        lowered = Text(tuple(_ascii_lower(one) for one in ("", *wanted.segments, "")))
        return value is not None and _matches(_ascii_lower(_shown(value)), lowered.segments)
    if test.operator == "=":
        return value is not None and _like(_shown(value), wanted)
    return value is not None and bool(compare(_shown(value).encode(), wanted.plain.encode()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """As Postgres writes a value of jsonb."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}": {_shown(one)}' for key, one in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _ascii_lower(text: str) -> str:
    return "".join(chr(ord(one) + 32) if "A" <= one <= "Z" else one for one in text)


def _like(value: str, wanted: Text) -> bool:
    return _matches(value, wanted.segments)


def _matches(value: str, segments: tuple[str, ...]) -> bool:
    return re.fullmatch(".*".join(re.escape(one) for one in segments), value, re.DOTALL) is not None


def _said(words: Words, row: Row, searchable: Searchable) -> bool:
    """Words of tests end in digits, so they have no stem but themselves."""
    made = document(searchable, row.state)
    for text in (made.heads, made.body):
        there = re.findall(r"[^\W_]+", text.lower())
        if words.phrase and any(
            tuple(there[begin : begin + len(words.words)]) == tuple(one.lower() for one in words.words)
            for begin in range(len(there))
        ):
            return True
    there = re.findall(r"[^\W_]+", f"{made.heads} {made.body}".lower())
    return not words.phrase and all(any(one.startswith(word.lower()) for one in there) for word in words.words)


def ordered(rows: list[Row], keys: tuple[Key, ...], searchable: Searchable) -> list[Row]:
    def compared(one: Row, other: Row) -> int:
        for key in keys:
            left, right = (_key(row, key, searchable) for row in (one, other))
            if left == right:
                continue
            if left is None or right is None:
                return 1 if left is None else -1
            return (1 if left > right else -1) * (-1 if key.descending else 1)
        return 0

    return sorted(rows, key=functools.cmp_to_key(compared))


def _key(row: Row, key: Key, searchable: Searchable) -> Any:
    """Values of several types order as in jsonb: texts, numbers, true and false, times."""
    if key.column == "sort":
        return 0, row.sort.encode()
    value = row.value(searchable, (key.field.path, *key.rest), key.column)
    match value:
        case None:
            return None
        case bool():
            return 2, value
        case str():
            return 0, value[:_LONGEST_KEY].encode()
        case dict():
            return 3, value.get("t", 0)
    return 1, value
