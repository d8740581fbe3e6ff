"""A message in the JSON form of its proto, as google.protobuf.json_format makes it and several times as fast.

Whoever writes out the whole log converts a message for each fact. What to do with a field is looked up in its
descriptor once. Fields of 32-bit floats, of which there are none, would need json_format's rounding.
"""

import base64
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

_Convert = Callable[[Any], Any]
_LARGE = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


def message_json(message: Any) -> Any:
    """What json_format.MessageToDict answers for it."""
    kind: Any = type(message)
    fields = _fields(kind)
    if fields is None:
        return json_format.MessageToDict(message)
    made = {}
    for field, value in message.ListFields():
        name, convert = fields[field.number]
        made[name] = value if convert is None else convert(value)
    return made


@lru_cache(maxsize=4096)
def _fields(kind: Any) -> dict[int, tuple[str, _Convert | None]] | None:
    """Of each field by its number: its name in JSON, and how its value is converted, None where it is not; None for
    messages with forms of their own."""
    if kind.DESCRIPTOR.full_name.startswith("google.protobuf."):
        return None
    return {one.number: (one.json_name, _whole(one)) for one in kind.DESCRIPTOR.fields}


def _whole(field: FieldDescriptor) -> _Convert | None:
    """How the value of a field is converted, with all its elements."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = _single(field.message_type.fields_by_name["value"])
        key = _key if field.message_type.fields_by_name["key"].cpp_type == FieldDescriptor.CPPTYPE_BOOL else str
        return lambda value: {key(one): _converted(inner, value[one]) for one in value}
    inner = _single(field)
    if field.is_repeated:
        return list if inner is None else lambda value: [inner(one) for one in value]
    return inner


def _key(value: bool) -> str:
    return "true" if value else "false"


def _converted(convert: _Convert | None, value: Any) -> Any:
    return value if convert is None else convert(value)


def _single(field: FieldDescriptor) -> _Convert | None:
    """How one value of a field is converted."""
    if field.message_type is not None:
        return message_json
    if field.enum_type is not None:
        names = {one.number: one.name for one in field.enum_type.values}
        return lambda value: names.get(value, value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    if field.cpp_type in _LARGE:
        return str
    return _number if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else None


def _number(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
