"""Values as people type them, and the fields of a request that they fill."""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # Generic only in newer releases of click.

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_INTEGERS = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
_NUMBERS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


class Time(ParamType):
    """A moment; without zone it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time like 2026-05-01 or 2026-05-01T12:00:00Z", param, ctx)
        return time if time.tzinfo else time.replace(tzinfo=UTC)


class Span(ParamType):
    """A length of time: `90s`, `1h30m`, `250ms`; a plain number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        text = f"{value}s" if re.fullmatch(r"[\d.]+", value) else value
        if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d))+", text):
            self.fail(f"{value!r} is no length of time like 90s, 5m or 1h30m", param, ctx)
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


class Pair(ParamType):
    """`KEY=VALUE`."""

    name = "key=value"

    def __init__(self, kind: ParamType = click.STRING) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, self._kind.convert(text, param, ctx)


class Enum(click.Choice[str]):
    """An enum's names in lower case and without their prefix."""

    def __init__(self, field: FieldDescriptor) -> None:
        values = _enum(field).values
        prefix = values[0].name.removesuffix("UNSPECIFIED")
        self._numbers = {
            value.name.removeprefix(prefix).lower().replace("_", "-"): value.number for value in values[1:]
        }
        super().__init__(list(self._numbers), case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, int) else self._numbers[super().convert(value, param, ctx)]


class Json(ParamType):
    """A message as JSON with the fields of its proto: `@FILE`, `-` for standard input, or the text itself."""

    name = "json"

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        message = message_factory.GetMessageClass(self._descriptor)()
        try:
            return json_format.Parse(text_of(value), message)
        except (json_format.ParseError, ValueError) as error:
            self.fail(f"not a {self._descriptor.name} as JSON: {error}", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "@FILE|JSON"


def text_of(value: str) -> str:
    """The text itself, that of `@FILE`, or standard input for `-`."""
    if value == "-":
        return sys.stdin.read()
    return Path(value[1:]).read_text(encoding="utf-8") if value.startswith("@") else value


def find(descriptor: Any, path: str) -> FieldDescriptor:
    """The field at a dotted path."""
    *outer, last = path.split(".")
    for name in outer:
        descriptor = descriptor.fields_by_name[name].message_type
    field: FieldDescriptor = descriptor.fields_by_name[last]
    return field


def _enum(field: FieldDescriptor) -> EnumDescriptor:
    assert field.enum_type is not None
    return field.enum_type


def type_of(field: FieldDescriptor) -> ParamType:
    """How the value, or one value, of a field is typed."""
    if field.enum_type is not None:
        return Enum(field)
    if field.message_type is None:
        if field.cpp_type in _INTEGERS:
            return click.INT
        return click.FLOAT if field.cpp_type in _NUMBERS else click.STRING
    if field.message_type.GetOptions().map_entry:
        return Pair(type_of(field.message_type.fields_by_name["value"]))
    by_name: dict[str, ParamType] = {
        "google.protobuf.Timestamp": Time(),
        "google.protobuf.Duration": Span(),
    }
    return by_name.get(field.message_type.full_name) or Json(field.message_type)


def assign(message: Any, path: str, value: Any) -> None:
    """Fills the field at a dotted path."""
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
    field = message.DESCRIPTOR.fields_by_name[last]
    target = getattr(message, last)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for key, one in value:
            if field.message_type.fields_by_name["value"].message_type is None:
                target[key] = one
            else:
                target[key].CopyFrom(one)
    elif field.is_repeated:
        target.extend(value)
    elif isinstance(value, datetime):
        target.FromDatetime(value)
    elif isinstance(value, timedelta):
        target.FromTimedelta(value)
    elif field.message_type is not None:
        target.CopyFrom(value)
    else:
        setattr(message, last, value)
