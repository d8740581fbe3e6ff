"""Where free text stands in a message: fields that are marked as `erasable`. Pure."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from modelog.type.v1 import options_pb2


def erasable(message: Any, path: str = "") -> Iterator[tuple[Any, str, str]]:
    """Each marked field that is set: the message it stands in, its name, and its path from the outside."""
    marked, leading = _fields(message.DESCRIPTOR)
    for field in marked:
        if getattr(message, field.name):
            yield message, field.name, f"{path}{field.name}"
    for field in leading:
        if field.is_repeated:
            for number, one in enumerate(getattr(message, field.name)):
                yield from erasable(one, f"{path}{field.name}[{number}].")
        elif message.HasField(field.name):
            yield from erasable(getattr(message, field.name), f"{path}{field.name}.")


def without_texts(request: Any) -> Any:
    """The request without its reason and other free text; itself when it has none.

    A digest over them would let whoever has the log try what was written until it fits.
    """
    found = list(erasable(request))
    if not found and not getattr(request, "reason", ""):
        return request
    bare = type(request)()
    bare.CopyFrom(request)
    for message, name, _ in list(erasable(bare)):
        message.ClearField(name)
    if hasattr(bare, "reason"):
        bare.ClearField("reason")
    return bare


@lru_cache(maxsize=4096)
def _fields(descriptor: Descriptor) -> tuple[tuple[FieldDescriptor, ...], tuple[FieldDescriptor, ...]]:
    """The marked fields of a message, and the fields that lead to messages with marked ones."""
    marked = tuple(one for one in descriptor.fields if _is_marked(one))
    leading = tuple(
        one for one in descriptor.fields if one.message_type and _leads(one.message_type, (descriptor.full_name,))
    )
    return marked, leading


def _leads(descriptor: Descriptor, above: tuple[str, ...]) -> bool:
    if descriptor.full_name in above or descriptor.GetOptions().map_entry:
        return False
    within = (*above, descriptor.full_name)
    return any(_is_marked(one) or (one.message_type and _leads(one.message_type, within)) for one in descriptor.fields)


def _is_marked(field: FieldDescriptor) -> bool:
    options: Any = field.GetOptions()
    return bool(options.Extensions[options_pb2.erasable])
