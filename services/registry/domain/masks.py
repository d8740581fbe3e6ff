"""Field masks over flat messages: which fields an update writes, and writing them."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from kernel.errors import invalid_field


def paths(mask: FieldMask, message: type[Message], field: str = "update_mask") -> list[str]:
    """The masked fields in the order of the message, `*` for all; Invalid for a path that is no field of it."""
    return masked(mask, [one.name for one in message.DESCRIPTOR.fields], field)


def masked(mask: FieldMask, known: Sequence[str], field: str = "update_mask") -> list[str]:
    """`paths` of fields that are no whole message."""
    if not mask.paths:
        raise invalid_field(field, "name at least one field to write", "EMPTY_MASK")
    for path in mask.paths:
        if path != "*" and path not in known:
            raise invalid_field(field, f"{path!r} is none of {', '.join(known)}", "UNKNOWN_PATH")
    return list(known) if "*" in mask.paths else [name for name in known if name in set(mask.paths)]


def write(target: Any, source: Any, fields: Sequence[str]) -> None:
    """Makes these fields of `target` what they are in `source`; a field absent there is cleared."""
    for name in fields:
        target.ClearField(name)
        field = target.DESCRIPTOR.fields_by_name[name]
        if field.is_repeated:
            getattr(target, name).MergeFrom(getattr(source, name))
        elif field.message_type is not None:
            if source.HasField(name):
                getattr(target, name).CopyFrom(getattr(source, name))
        else:
            setattr(target, name, getattr(source, name))
