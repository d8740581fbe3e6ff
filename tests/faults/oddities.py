"""Requests that nobody in their right mind sends, made from descriptors: each field of each request gets odd values.

Everything comes out of one seeded generator, so that what fails can be made again from its seed and number.
"""

import random
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from modelog.buf.validate import validate_pb2

_F = FieldDescriptor
_NAMES = (
    "projects/risk",
    "projects/risk/models/fraud",
    "projects/risk/models/fraud/versions/1",
    "projects/risk/models/fraud/versions/999999999999",
    "projects/all",
    "projects/-",
    "projects/risk/environments/eu",
    "projects/risk/endpoints/fraud-eu",
    "projects/risk/monitors/m",
    "projects//models/",
    "projects/../../etc/passwd",
)
_TEXTS = (
    "",
    "a",
    "risk",
    "fraud",
    "users/ada",
    "A" * 63,
    "x" * 4097,
    "x" * 100_000,
    "\0",
    "a\0b",
    "\u202eevil\u2066",
    "\x1b[31m",
    "e\u0301\u0300" * 40,
    "\ufeff",
    "\ud7ff\U0010ffff",
    "%s%n{}{0.__class__}",
    "'; drop table version; --",
    "*.>",
    "((((" * 500,
    "true || " * 100 + "true",
    "1.0e309",
    "9" * 400,
    "2026-13-45T99:99:99Z",
)
_TAME_TEXTS = ("a", "risk", "fraud", "users/ada", "onnx", "5e" * 32, "s3://models/fraud.onnx", "1.0", "title", "auc")
_INTS = (0, 1, -1, 2, 7, 63, 500, 2**31 - 1, -(2**31), 2**53, 2**63 - 1, -(2**63))
_FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"))
_TAME = {
    _F.CPPTYPE_ENUM: (1, 2, 3),
    _F.CPPTYPE_DOUBLE: (0.0, 0.5, 1.0, 30.0),
    _F.CPPTYPE_FLOAT: (0.0, 0.5, 1.0),
    **dict.fromkeys((_F.CPPTYPE_INT32, _F.CPPTYPE_INT64, _F.CPPTYPE_UINT32, _F.CPPTYPE_UINT64), (0, 1, 2, 7, 30)),
}
_INT_RANGES = {
    _F.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    _F.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    _F.CPPTYPE_UINT32: (0, 2**32 - 1),
    _F.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_DEEPEST = 5
_MANY = 100_000


class Oddities:
    """Makes encoded requests."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self._wild = 1.0  # Share of values that are odd; a request with one odd value comes further than one of many.

    def request(self, descriptor: Descriptor) -> bytes:
        """A valid-looking message with odd values, or one whose bytes are wrong."""
        dice = self.dice
        if dice.random() < 0.05:
            return dice.randbytes(dice.choice((0, 1, 7, 100, 5000)))
        message = message_factory.GetMessageClass(descriptor)()
        self._wild = dice.choice((0.0, 0.05, 0.2, 1.0))
        self._fill(message, _DEEPEST, share=dice.choice((0.4, 0.8, 1.0)))
        raw = message.SerializePartialToString()
        return self._mutated(raw) if dice.random() < 0.25 else raw

    def huge(self, descriptor: Descriptor) -> Sequence[bytes]:
        """As many entries of each map and list as fit, and nesting deeper than any parser goes."""
        found = []
        for field in descriptor.fields:
            tag = _varint(field.number << 3 | 2)
            if field.is_repeated:
                found.append((tag + b"\x02\x0a\x00") * (_MANY // 2))
                found.append((tag + b"\x00") * _MANY)
            if field.type == _F.TYPE_MESSAGE:
                nested = b""
                for _ in range(2000):
                    nested = tag + _varint(len(nested)) + nested
                found.append(nested)
        return found

    def _fill(self, message: Any, deepest: int, share: float) -> None:
        for field in message.DESCRIPTOR.fields:
            if self.dice.random() > share:
                continue
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                self._fill_map(getattr(message, field.name), field.message_type, deepest)
            elif field.is_repeated:
                self._fill_list(getattr(message, field.name), field, deepest)
            elif field.message_type is not None:
                if deepest:
                    self._fill(getattr(message, field.name), deepest - 1, share)
                    getattr(message, field.name).SetInParent()
            else:
                setattr(message, field.name, self._value(field))

    def _fill_list(self, values: Any, field: FieldDescriptor, deepest: int) -> None:
        for _ in range(self.dice.choice((1, 2, 3, 70) if self._wild else (1, 2))):
            if field.message_type is None:
                values.append(self._value(field))
            elif deepest:
                self._fill(values.add(), deepest - 2 if deepest > 1 else 0, 0.5)

    def _fill_map(self, values: Any, entry: Descriptor, deepest: int) -> None:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        for _ in range(self.dice.choice((1, 2, 130) if self._wild else (1, 2))):
            if value.message_type is None:
                values[self._value(key)] = self._value(value)
            elif deepest:
                self._fill(values[self._value(key)], deepest - 2 if deepest > 1 else 0, 0.5)

    def _value(self, field: FieldDescriptor) -> Any:
        dice, kind, wild = self.dice, field.cpp_type, self.dice.random() < self._wild
        if not wild and kind in _TAME:
            return dice.choice(_TAME[kind])
        if kind == _F.CPPTYPE_STRING:
            text = dice.choice((_TEXTS if dice.random() < 0.5 else _NAMES) if wild else _tame_texts(field))
            return text.encode() if field.type == _F.TYPE_BYTES else text
        if kind == _F.CPPTYPE_BOOL:
            return dice.random() < 0.5
        if kind == _F.CPPTYPE_ENUM:
            return dice.choice((0, 1, 2, 3, 99, -1, 2**31 - 1))
        if kind in (_F.CPPTYPE_DOUBLE, _F.CPPTYPE_FLOAT):
            number = dice.choice(_FLOATS)
            return number if kind == _F.CPPTYPE_DOUBLE or abs(number) < 1e38 or number != number else float("inf")
        low, high = _INT_RANGES[kind]
        return max(low, min(high, dice.choice(_INTS)))

    def _mutated(self, raw: bytes) -> bytes:
        """Flipped, cut, doubled, with invalid UTF-8, unknown fields or wrong wire types."""
        dice, data = self.dice, bytearray(raw)
        for _ in range(dice.choice((1, 1, 3, 20))):
            at = dice.randrange(len(data) + 1)
            match dice.randrange(6):
                case 0 if at < len(data):
                    data[at] ^= 1 << dice.randrange(8)
                case 1:
                    del data[at:]
                case 2:
                    data[at:at] = data[: min(at, 5000)]
                case 3:
                    data[at:at] = b"\xff\xfe\xc0\x80"
                case 4:
                    data += _varint(dice.choice((19, 500, 536_870_911)) << 3) + b"\x01"
                case _:
                    data += _varint(dice.randrange(1, 12) << 3 | dice.randrange(8)) + dice.randbytes(8)
        return bytes(data)


@lru_cache(maxsize=4096)
def _tame_texts(field: FieldDescriptor) -> Sequence[str]:
    """What the field's own rules allow of the names and texts here; anything when they allow none."""
    options: Any = field.GetOptions()
    rules = options.Extensions[validate_pb2.field]
    rules = rules.repeated.items if field.is_repeated else rules
    named = field.name in ("name", "names", "parent", "version", "model", "environment", "endpoint", "resource")
    among = _NAMES if named or "project" in rules.string.pattern else _TAME_TEXTS
    allowed = [one for one in among if not rules.string.pattern or re.search(rules.string.pattern, one)]
    most = rules.string.max_len or 4096
    return [one for one in allowed if rules.string.min_len <= len(one) <= most] or among


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
