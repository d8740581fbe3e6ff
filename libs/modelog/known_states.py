"""The resources that this build knows, whichever service keeps them: read out of what StateService answers."""

import importlib
import pkgutil
from functools import lru_cache
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import DecodeError


def state_in(packed: Any) -> Any | None:
    """The resource inside a google.protobuf.Any, its service's code loaded on the way, for example a registry Version;
    None when this build does not know its kind or cannot read it."""
    cls = _class_of(packed.type_url.rpartition("/")[2])
    try:
        return None if cls is None else cls.FromString(packed.value)
    except DecodeError:
        return None


@lru_cache(maxsize=256)
def _class_of(name: str) -> Any | None:
    package, _, last = name.rpartition(".")
    try:
        place = importlib.import_module(package)
    except (ImportError, ValueError):
        return None
    for one in sorted(module.name for module in pkgutil.iter_modules(place.__path__)):
        if one.endswith("_pb2"):
            found = importlib.import_module(f"{package}.{one}").DESCRIPTOR.message_types_by_name.get(last)
            if found is not None:
                return message_factory.GetMessageClass(found)
    return None
