"""Values in filters: what is written, and what it is once the field that it is compared with is known. Pure."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kernel.fields import Field, Type

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ESCAPED = re.compile(r"\\(.)|(\*)", re.DOTALL)
ORDERED = ("<", "<=", ">", ">=")


@dataclass(frozen=True)
class Text:
    """Text as segments between its wildcards: one segment is the text itself, `fraud*` is ("fraud", "")."""

    segments: tuple[str, ...]
    quoted: bool = False

    @property
    def plain(self) -> str:
        return "*".join(self.segments)


@dataclass(frozen=True)
class Moment:
    """A time, in microseconds since 1970 in UTC."""

    microseconds: int


Value = Text | float | bool | Moment


def quoted(literal: str) -> Text:
    """Text in quotation marks; a backslash takes the meaning off whatever follows it."""
    segments, last = [""], 0
    inner = literal[1:-1]
    for found in _ESCAPED.finditer(inner):
        segments[-1] += inner[last : found.start()]
        last = found.end()
        if found.group(2):
            segments.append("")
        else:
            segments[-1] += found.group(1)
    segments[-1] += inner[last:]
    return Text(tuple(segments), quoted=True)


def bare(literal: str) -> Value:
    """What a value without quotation marks looks like by itself."""
    if literal in ("true", "false"):
        return literal == "true"
    if (number := number_of(literal)) is not None:
        return number
    if (moment := moment_of(literal)) is not None and not _DAY.fullmatch(literal):
        return moment
    return Text(tuple(literal.split("*")))


def number_of(literal: str) -> float | None:
    """A finite number; None for what is none."""
    if not _NUMBER.fullmatch(literal) or not literal.isascii():
        return None
    number = float(literal)
    return number + 0.0 if math.isfinite(number) else None


def moment_of(literal: str) -> Moment | None:
    """A time as RFC 3339 has it, or a day, which begins at midnight in UTC."""
    try:
        if not literal.isascii() or not re.match(r"\d{4}-\d\d-\d\d([Tt]|$)", literal):
            return None
        found = datetime.fromisoformat(literal.upper())
        if found.tzinfo is None and not _DAY.fullmatch(literal):
            return None
        since = (found.replace(tzinfo=UTC) if found.tzinfo is None else found) - _EPOCH
    except (ValueError, OverflowError):
        return None
    return Moment(since // timedelta(microseconds=1))


def typed(field: Field, rest: tuple[str, ...], operator: str, value: Value, literal: str) -> Value | str:
    """The value as the field's type has it; a sentence saying what to write where it cannot be."""
    name = ".".join((field.path, *rest))
    if field.depth and not rest:
        return f"{name} is a map; write {name}.key {operator} value, or {name}:key for whether it is there"
    plain = value.plain if isinstance(value, Text) else literal
    match field.type:
        case Type.TEXTS if operator != ":":
            return f"{name} holds several texts; write {name}:{literal}"
        case Type.TEXT | Type.TEXTS:
            found = value if isinstance(value, Text) else Text((literal,))
            return _ordered(found, operator)
        case Type.NUMBER if operator != ":":
            number = number_of(plain)
            return f"{name} is a number; write {name} {operator} 0.9" if number is None else number
        case Type.FLAG if operator in ("=", "!=", ":"):
            return plain == "true" if plain in ("true", "false") else f"{name} is true or false; write {name} = true"
        case Type.TIME if operator != ":":
            return moment_of(plain) or f'{name} is a time; write {name} {operator} "2026-03-01T12:00:00Z"'
        case Type.ANY:
            return _any(value, operator)
    return f"{name} is {field.type.value}; compare it with = or !=" + ("" if field.type is Type.FLAG else ", < or >")


def _any(value: Value, operator: str) -> Value | str:
    if isinstance(value, Text):
        return _ordered(value, operator)
    if operator in (":", *ORDERED) and isinstance(value, bool):
        return value if operator == ":" else "true and false have no order; write = or !="
    return value


def _ordered(value: Text, operator: str) -> Value | str:
    if operator in ORDERED and len(value.segments) > 1:
        return "texts with * have no order; write = for those that match"
    return value
