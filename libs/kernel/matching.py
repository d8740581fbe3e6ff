"""Whether one resource meets a filter, decided without a database: what kernel.filter_sql asks of a row, asked of a
message. For decisions, which must come out the same whenever they are made again. Pure."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from kernel.documents import document
from kernel.fields import Field, Schema, Searchable, Type, wrong
from kernel.filters import And, Comparison, Expression, Not, Or, Present, Words, parse
from kernel.values import Moment, Text

_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ":": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def condition(text: str, schema: Schema, request_field: str) -> Expression:
    """The expression of a filter that decides something. Invalid also for words without a field: what full text finds
    depends on a dictionary, and nothing may be decided by that."""
    found = parse(text, schema, request_field)
    if (words := _words_in(found)) is not None:
        raise wrong(request_field, max(text.find(words.words[0]), 0), "a field is missing; write for example model = x")
    return found


def _words_in(expression: Expression) -> Words | None:
    match expression:
        case And(parts) | Or(parts):
            return next((found for one in parts if (found := _words_in(one)) is not None), None)
        case Not(part):
            return _words_in(part)
        case Words():
            return expression
    return None


class Asked:
    """A resource that is asked about filters: its header, and its values by path."""

    def __init__(self, searchable: Searchable, state: Any) -> None:
        """state: the message of a resource of that kind."""
        self._state = state
        self._values = document(searchable, state).values

    def meets(self, expression: Expression) -> bool:
        """ValueError where the expression asks for words."""
        match expression:
            case And(parts):
                return all(self.meets(one) for one in parts)
            case Or(parts):
                return any(self.meets(one) for one in parts)
            case Not(part):
                return not self.meets(part)
            case Present(field, rest):
                return self._value(field, rest) is not None
            case Comparison(operator="!=", field=field, rest=rest, value=value):
                return not self.meets(Comparison(field, rest, "=", value))
            case Comparison(field=field, rest=rest):
                return _compares(expression, self._value(field, rest))
        raise ValueError("full text decides nothing; use condition() to read filters that do")

    def _value(self, field: Field, rest: tuple[str, ...]) -> Any:
        if field.column:
            value = getattr(self._state, field.path)
            return _microseconds(value) if isinstance(value, Timestamp) else value
        value = self._values.get(field.path)
        for one in rest:
            value = value.get(one) if isinstance(value, Mapping) else None
        return value


def _compares(test: Comparison, value: Any) -> bool:
    """As the columns and documents of Postgres compare: what is absent meets nothing, text is ordered by its bytes."""
    wanted = test.value
    if value is None:
        return False
    match wanted:
        case Moment(microseconds):
            if test.field.type is Type.ANY:
                value = value.get("t") if isinstance(value, Mapping) else None
            return _is_number(value) and _TESTS[test.operator](value, microseconds)
        case bool():
            return _shown(value) == ("true" if wanted else "false")
        case float():
            return _is_number(value) and _TESTS[test.operator](value, wanted)
    if isinstance(value, list):
        return any(_is_like(one, wanted) for one in value)
    shown = _shown(value)
    if test.operator == ":":
        anywhere = tuple(one.translate(_LOWER) for one in ("", *wanted.segments, ""))
        return _is_like(shown.translate(_LOWER), Text(anywhere))
    if test.operator == "=":
        return _is_like(shown, wanted)
    return _TESTS[test.operator](shown.encode(), wanted.plain.encode())


def _is_like(text: str, wanted: Text) -> bool:
    """In one pass, each segment where it comes first: a pattern full of * must not take for ever."""
    first, *others = wanted.segments
    if not others:
        return text == first
    *middle, last = others
    if not text.startswith(first):
        return False
    at = len(first)
    for one in middle:
        found = text.find(one, at)
        if found < 0:
            return False
        at = found + len(one)
    return text.endswith(last) and len(text) - len(last) >= at


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """As Postgres writes a value of a document."""
    match value:
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "{" + ", ".join(f'"{key}": {_shown(one)}' for key, one in value.items()) + "}"
    return str(value)


def _microseconds(moment: Timestamp) -> int:
    return moment.seconds * 1_000_000 + moment.nanos // 1000
