"""What a document asks for, and how that differs from what is there, value by value. Pure."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor

from modelog.declare.defaults import complete
from modelog.declare.documents import Document
from modelog.declare.reading import Place
from modelog.declare.scalars import TEXTUAL, text_of

# What members of a list are called by, so that one put in between is not told as a change of all that follow.
_CALLED = ("id", "name", "alias")
_PLAIN = re.compile(r"[^\d'\"].*", re.DOTALL)  # What is no place in a list, and not written like one.


class Change(NamedTuple):
    """One value that differs: where, what it is and what it shall be, as JSON; None where there is nothing."""

    place: Place
    before: str | None
    after: str | None

    @property
    def path(self) -> str:
        """`policy.rules[0].gates[auc].expression`; a part of a list is called by its id or its place."""
        first, *rest = self.place
        return str(first) + "".join(f".{one}" if _is_word(one) else f"[{_inside(one)}]" for one in rest)


def _is_word(part: str | int) -> bool:
    return isinstance(part, str) and part.replace("_", "").isalnum()


def _inside(part: str | int) -> str:
    """A place as a number, an id as it is, unless it could be taken for a place."""
    if isinstance(part, int):
        return str(part)
    called = part.removeprefix("[").removesuffix("]")
    return called if _PLAIN.fullmatch(called) else repr(called)


def wanted(document: Document, present: Any) -> Any:
    """The resource as the document wants it: what it says, and what is there where it says nothing.

    present: the resource now; an empty message where there is none.
    """
    kind, said = document.kind, document.said
    target = type(said)()
    target.CopyFrom(present)
    for name in document.fields():
        if name not in kind.partly:
            _replace(target, said, name)
            continue
        field = said.DESCRIPTOR.fields_by_name[name]
        inside = dict.fromkeys(str(place[1]) for place in document.lines if len(place) > 1 and place[0] == name)
        for part in inside:
            if field.is_repeated:
                _put(getattr(target, name), part, getattr(said, name)[part])
            else:
                _replace(getattr(target, name), getattr(said, name), part)
    return complete(kind.word, target, present)


def _replace(target: Any, source: Any, name: str) -> None:
    field = source.DESCRIPTOR.fields_by_name[name]
    target.ClearField(name)
    if field.is_repeated:
        getattr(target, name).MergeFrom(getattr(source, name))
    elif field.message_type is None:
        setattr(target, name, getattr(source, name))
    elif source.HasField(name):
        getattr(target, name).CopyFrom(getattr(source, name))


def _put(target: Any, key: str, value: Any) -> None:
    if hasattr(value, "CopyFrom"):
        target[key].CopyFrom(value)
    else:
        target[key] = value


def differences(present: Any, other: Any, fields: Iterable[str]) -> list[Change]:
    """Every value of these fields that differs, in the order of the fields. Empty just when they are equal."""
    known = present.DESCRIPTOR.fields_by_name
    return [change for name in fields for change in _field((name,), known[name], present, other)]


def _field(place: Place, field: FieldDescriptor, before: Any, after: Any) -> Iterator[Change]:
    """One field of two messages; either may be None."""
    if field.is_repeated:
        yield from _many(place, field, _value(before, field), _value(after, field))
        return
    left = _value(before, field) if _is_set(before, field) else None
    right = _value(after, field) if _is_set(after, field) else None
    yield from _one(place, field, left, right)


def _value(message: Any, field: FieldDescriptor) -> Any:
    return () if message is None else getattr(message, field.name)


def _is_set(message: Any, field: FieldDescriptor) -> bool:
    if message is None:
        return False
    if field.has_presence:
        present: bool = message.HasField(field.name)
        return present
    return bool(getattr(message, field.name) != field.default_value)


def _one(place: Place, field: FieldDescriptor, before: Any, after: Any) -> Iterator[Change]:
    if field.message_type is None or field.message_type.full_name in TEXTUAL:
        if before != after:
            yield Change(place, _text(field, before), _text(field, after))
        return
    inner = [change for one in field.message_type.fields for change in _field((*place, one.name), one, before, after)]
    if not inner and (before is None) != (after is None):
        inner = [Change(place, None if before is None else "{}", None if after is None else "{}")]
    yield from inner


def _many(place: Place, field: FieldDescriptor, before: Any, after: Any) -> Iterator[Change]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        left, right = dict(before), dict(after)
        for key in sorted({*left, *right}):
            yield from _one((*place, key), inner, left.get(key), right.get(key))
    elif field.message_type is None:
        left_text, right_text = _text(field, list(before)), _text(field, list(after))
        if left_text != right_text:
            yield Change(place, left_text if before else None, right_text if after else None)
    else:
        yield from _members(place, field, before, after)


def _members(place: Place, field: FieldDescriptor, before: Any, after: Any) -> Iterator[Change]:
    left, right = _called(before), _called(after)
    for key in dict.fromkeys([*left, *right]):
        yield from _one((*place, key), field, left.get(key), right.get(key))
    both = [[key for key in side if key in other] for side, other in ((left, right), (right, left))]
    if both[0] != both[1]:
        yield Change(place, *(f"the order {', '.join(str(key).strip('[]') for key in side)}" for side in both))


def _called(members: Any) -> dict[str | int, Any]:
    """Members by what they are called, or by their place where that does not tell them apart."""
    name = next((one for one in _CALLED if members and one in members[0].DESCRIPTOR.fields_by_name), None)
    keys = [f"[{getattr(one, name)}]" for one in members] if name else []
    return dict(zip(keys if len(set(keys)) == len(members) and keys else range(len(members)), members, strict=True))


def _text(field: FieldDescriptor, value: Any) -> str | None:
    if value is None:
        return None
    plain = [text_of(field, one) for one in value] if isinstance(value, list) else text_of(field, value)
    return json.dumps(plain, ensure_ascii=False)
