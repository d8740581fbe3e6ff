"""Which resources a request names: its targets, and what it refers to besides. Pure; compiled once a request type.

A target is what the method's permission is needed on: fields `name`, `names` and `parent` of the request itself (AIP),
and fields marked NAMES_TARGET. What is marked NAMES_REFERENCE has to be readable for the caller.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from modelog.type.v1.options_pb2 import NAMES_REFERENCE, NAMES_TARGET, NAMES_UNSPECIFIED
from modelog.type.v1.options_pb2 import names as names_option

_BY_CONVENTION = frozenset({"name", "names", "parent"})
_DEEPEST = 4


class Path(NamedTuple):
    """Where names stand in a request: fields from the outermost inwards. plain: one text of the request itself."""

    fields: tuple[str, ...]
    reference: bool
    plain: bool


class Named(NamedTuple):
    """The names in one request, empty ones left out."""

    targets: tuple[str, ...]
    references: tuple[str, ...]


def named(request: Message) -> Named:
    targets: list[str] = []
    references: list[str] = []
    for path in paths(request.DESCRIPTOR):
        among = references if path.reference else targets
        if not path.plain:
            among.extend(filter(None, _values(request, path.fields)))
        elif name := getattr(request, path.fields[0]):
            among.append(name)
    return Named(tuple(targets), tuple(references))


@lru_cache(maxsize=1024)
def paths(descriptor: Descriptor) -> tuple[Path, ...]:
    """All places of a request type that hold names of resources."""
    return tuple(_paths(descriptor, (), _DEEPEST))


def _paths(descriptor: Descriptor, above: tuple[str, ...], deepest: int) -> Iterator[Path]:
    for field in descriptor.fields:
        where = (*above, field.name)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            inner: Any = field.message_type
            if deepest and not inner.GetOptions().map_entry:
                yield from _paths(inner, where, deepest - 1)
        elif field.type == FieldDescriptor.TYPE_STRING:
            options: Any = field.GetOptions()
            marked = options.Extensions[names_option]
            if marked == NAMES_UNSPECIFIED and not above and field.name in _BY_CONVENTION:
                marked = NAMES_TARGET
            if marked != NAMES_UNSPECIFIED:
                yield Path(where, marked == NAMES_REFERENCE, plain=not above and not field.is_repeated)


def _values(message: Any, fields: tuple[str, ...]) -> Iterator[str]:
    value = getattr(message, fields[0])
    if len(fields) == 1:
        if isinstance(value, str):
            yield value
        else:
            yield from value
    elif message.DESCRIPTOR.fields_by_name[fields[0]].is_repeated:
        for one in value:
            yield from _values(one, fields[1:])
    else:
        yield from _values(value, fields[1:])
