"""Messages with anything in them, from their descriptors alone."""

from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_WORD = st.text("abcdefghij-", min_size=1, max_size=6)
_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    # A zero below zero is written as zero, which no setting of ours tells apart.
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(allow_nan=False, allow_infinity=False).map(lambda one: one + 0.0),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(allow_nan=False, allow_infinity=False, width=32).map(
        lambda one: one + 0.0
    ),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_STRING: _TEXT,
}


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor | None, fields: tuple[str, ...] = (), depth: int = 4) -> Any:
    """A message with some of its fields, or of these, set to anything that protobuf takes."""
    assert descriptor is not None
    message = message_factory.GetMessageClass(descriptor)()
    known = [one for one in descriptor.fields if not fields or one.name in fields]
    for field in known:
        if depth and draw(st.booleans()):
            _fill(draw, message, field, depth - 1)
    return message


def _fill(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        for key in draw(st.lists(_WORD, max_size=3, unique=True)):
            if inner.message_type is None:
                target[key] = draw(_scalar(inner))
            else:
                target[key].CopyFrom(draw(messages(inner.message_type, depth=depth)))
    elif field.is_repeated and field.message_type is None:
        target.extend(draw(st.lists(_scalar(field), max_size=3)))
    elif field.is_repeated:
        target.extend(draw(st.lists(messages(field.message_type, depth=depth), max_size=3)))
    elif field.message_type is None:
        setattr(message, field.name, draw(_scalar(field)))
    elif field.message_type.full_name == "google.protobuf.Timestamp":
        target.FromMicroseconds(draw(st.integers(0, 4_000_000_000_000_000)))
    elif field.message_type.full_name == "google.protobuf.Duration":
        target.FromMilliseconds(draw(st.integers(0, 10**12)))
    else:
        target.CopyFrom(draw(messages(field.message_type, depth=depth)))
        target.SetInParent()


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([one.number for one in field.enum_type.values if one.number])
    return _NUMBERS[field.cpp_type]
