"""Every string of a message, those of the event inside a fact and of a listed state too: gone through, or replaced."""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from modelog.known_states import state_in
from modelog.log.v1.fact_pb2 import Fact
from modelog.sdk.facts import event_of
from modelog.state.v1.state_service_pb2 import ResourceState

Rewrite = Callable[[str], str]


def strings(message: Message) -> Iterator[str]:
    """Every string of a message, however deep, those of an event inside a fact and of a listed state too."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    rewrite(message, note)
    yield from found


def rewrite(message: Any, change: Rewrite) -> None:
    """Puts `change(text)` in place of every string, however deep, of a message that is changed in place."""
    if isinstance(message, Fact) and message.HasField("event"):
        _rewrite_inner(message.event, event_of(message), change)
    elif isinstance(message, ResourceState) and message.HasField("state"):
        _rewrite_inner(message.state, state_in(message.state), change)
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            _rewrite_strings(message, field, value, change)
        elif field.type != field.TYPE_MESSAGE or field.message_type.full_name == AnyMessage.DESCRIPTOR.full_name:
            continue
        elif field.message_type.GetOptions().map_entry:
            _rewrite_map(field.message_type.fields_by_name["value"], value, change)
        else:
            for one in value if field.is_repeated else (value,):
                rewrite(one, change)


def _rewrite_strings(message: Any, field: FieldDescriptor, value: Any, change: Rewrite) -> None:
    if not field.is_repeated:
        if (after := change(value)) != value:
            setattr(message, field.name, after)
        return
    for number, before in enumerate(value):
        if (after := change(before)) != before:
            value[number] = after


def _rewrite_map(values: FieldDescriptor, mapping: Any, change: Rewrite) -> None:
    for key in list(mapping):
        if values.type == values.TYPE_STRING:
            mapping[key] = change(mapping[key])
        elif values.type == values.TYPE_MESSAGE:
            rewrite(mapping[key], change)


def _rewrite_inner(packed: AnyMessage, inner: Any | None, change: Rewrite) -> None:
    if inner is None:  # Of a kind that this build does not know: left as it is.
        return
    before = inner.SerializeToString(deterministic=True)
    rewrite(inner, change)
    if (after := inner.SerializeToString(deterministic=True)) != before:
        packed.value = after
