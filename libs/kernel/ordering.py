"""The order of a list, AIP-132: `metrics.auc desc, create_time`. The name is always the last key. Pure."""

import re
from dataclasses import dataclass
from typing import Any

from kernel.fields import HEADER, Field, Schema, Type, wrong
from kernel.filter_sql import Parameters, moment
from kernel.filters import path_at

_MOST_CHARACTERS = 512
_MOST_KEYS = 5
_SPACE = re.compile(r"\s*")
_DIRECTION = re.compile(r"\s+(asc|desc)(?=\s|,|$)")
_NAME = HEADER[0]


@dataclass(frozen=True)
class Key:
    """One field to order by; what lacks it comes last, either way."""

    field: Field
    rest: tuple[str, ...] = ()
    descending: bool = False

    @property
    def column(self) -> str:
        """The column that holds it; empty for what stands in the document."""
        return "sort" if self.field is _NAME else self.field.column

    @property
    def direction(self) -> str:
        return "desc" if self.descending else "asc"


def parse_order(text: str, schema: Schema, request_field: str = "order_by") -> tuple[Key, ...]:
    """The keys, the last of which is the name, in the direction of the one before it."""
    if len(text) > _MOST_CHARACTERS:
        raise wrong(request_field, _MOST_CHARACTERS, f"an order has at most {_MOST_CHARACTERS} characters")
    keys: list[Key] = []
    position = _SPACE.match(text, 0).end()  # type: ignore[union-attr]
    while position < len(text):
        key, position = _key(text, position, schema, request_field)
        if any((one.field, one.rest) == (key.field, key.rest) for one in keys):
            raise wrong(request_field, position, f"{key.field.path} is there twice")
        keys.append(key)
        if len(keys) > _MOST_KEYS:
            raise wrong(request_field, position, f"an order has at most {_MOST_KEYS} fields")
        if position < len(text):
            if text[position] != ",":
                raise wrong(
                    request_field, position, "a field, then nothing or desc, then a comma: metrics.auc desc, name"
                )
            position = _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]
            if position >= len(text):
                raise wrong(request_field, position, "a field is missing behind the comma")
    if keys and keys[-1].field is _NAME:
        return tuple(keys)
    names = [number for number, one in enumerate(keys) if one.field is _NAME]
    if names:  # No two resources have one name, so nothing behind it matters.
        return tuple(keys[: names[0] + 1])
    return (*keys, Key(_NAME, (), bool(keys) and keys[-1].descending))


def _key(text: str, position: int, schema: Schema, request_field: str) -> tuple[Key, int]:
    began = position
    path, position = path_at(text, position, request_field)
    field, rest = schema.find(path, request_field, began)
    if field.type is Type.TEXTS or (field.depth and not rest):
        raise wrong(request_field, began, f"{field.path} holds several values; order by one of them")
    descending = False
    if found := _DIRECTION.match(text, position):
        descending, position = found.group(1) == "desc", found.end()
    return Key(field, rest, descending), _SPACE.match(text, position).end()  # type: ignore[union-attr]


def expression(key: Key, parameters: Parameters) -> str:
    """What to order by: a column, or a value of the document as jsonb; long texts by their beginning."""
    if key.column:
        return key.column
    place = parameters.add([key.field.path, *key.rest], "text[]")
    value = f"doc #> {place}"
    if key.field.type in (Type.NUMBER, Type.FLAG, Type.TIME):
        return f"({value})"
    return f"(case when jsonb_typeof({value}) = 'string' then to_jsonb(left(doc #>> {place}, 100)) else {value} end)"


def after(keys: tuple[Key, ...], shown: list[str], last: list[Any], parameters: Parameters) -> str:
    """The condition that a row comes behind the last one of a page. shown: names of the keys' columns there."""
    alternatives: list[str] = []
    same: list[str] = []
    for key, column, value in zip(keys, shown, last, strict=True):
        sign = "<" if key.descending else ">"
        if value is None:  # Nothing but other nulls comes behind it.
            same.append(f"{column} is null")
            continue
        place = _place(key, value, parameters)
        nulls = "" if key.column else f" or {column} is null"
        alternatives.append("(" + " and ".join([*same, f"({column} {sign} {place}{nulls})"]) + ")")
        same.append(f"{column} = {place}")
    return f"({' or '.join(alternatives) or 'false'})"


def reaching(key: Key, column: str, last: Any, parameters: Parameters) -> str:
    """The condition that a row is not before the last one of a page in its first key."""
    return f"{column} {'<=' if key.descending else '>='} {_place(key, last, parameters)}"


def _place(key: Key, value: Any, parameters: Parameters) -> str:
    match key.column:
        case "sort":
            return f'{parameters.add(str(value), "text")} collate "C"'
        case "created" | "updated":
            return parameters.add(moment(int(value)), "timestamptz")
        case "revision":
            return parameters.add(int(value), "bigint")
        case "rank":
            return parameters.add(float(value), "float4")
    return parameters.add(str(value), "jsonb")
