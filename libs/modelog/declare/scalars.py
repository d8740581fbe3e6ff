"""Single values between the text of a file and a field of a message."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.declare.problems import suggestion

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_TRUTH = {"true": True, "false": False}
# Messages that stand as one text in a file.
TEXTUAL = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})


def value_of(field: FieldDescriptor, text: str) -> Any:
    """The text as a value of this field; ValueError with what to write instead. Text fields take it as it is."""
    if field.enum_type is not None:
        return _enum(field.enum_type, text)
    return _READERS[field.cpp_type](text) if field.message_type is None else _textual(field, text)


def text_of(field: FieldDescriptor, value: Any) -> Any:
    """What to write into a file for a value: read again it is the same."""
    if field.enum_type is not None:
        return enum_word(field.enum_type, value)
    return value.ToJsonString() if field.message_type is not None else value


def enum_word(enum: EnumDescriptor, number: int) -> str:
    """`production` of PHASE_PRODUCTION; numbers of the future stay numbers."""
    known = enum.values_by_number.get(number)
    return str(number) if known is None else _word(enum, known.name)


def _word(enum: EnumDescriptor, name: str) -> str:
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    return name.removeprefix(prefix).lower().replace("_", "-")


def _enum(enum: EnumDescriptor, text: str) -> int:
    """By its word, or by its name in the proto."""
    words = {_word(enum, one.name): one.number for one in enum.values if one.number}
    wanted = text.lower().replace("_", "-")
    if wanted in words:
        return words[wanted]
    if text in enum.values_by_name:
        return int(enum.values_by_name[text].number)
    raise ValueError(f"{text!r} is no {enum.name}{suggestion(wanted, words)}")


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no finite number")
    return value


def _flag(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError(f"{text!r} is neither true nor false")
    return _TRUTH[text.lower()]


_READERS: dict[int, Callable[[str], Any]] = {
    FieldDescriptor.CPPTYPE_INT32: _whole,
    FieldDescriptor.CPPTYPE_INT64: _whole,
    FieldDescriptor.CPPTYPE_UINT32: _whole,
    FieldDescriptor.CPPTYPE_UINT64: _whole,
    FieldDescriptor.CPPTYPE_DOUBLE: _number,
    FieldDescriptor.CPPTYPE_FLOAT: _number,
    FieldDescriptor.CPPTYPE_BOOL: _flag,
    FieldDescriptor.CPPTYPE_STRING: str,
}


def _textual(field: FieldDescriptor, text: str) -> Any:
    if field.message_type is not None and field.message_type.name == "Duration":
        return _duration(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time like 2026-05-01T12:00:00Z") from None
    time = Timestamp()
    time.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return time


def _duration(text: str) -> Duration:
    if not re.fullmatch(f"({_PART})+", text, re.ASCII):
        raise ValueError(f"{text!r} is no length of time like 90s, 5m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text, re.ASCII))
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1_000_000_000))
    return duration
