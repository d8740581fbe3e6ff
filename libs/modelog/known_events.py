"""The kinds of facts that this build knows, whichever of a service's `*events.proto` they are declared in."""

import importlib
import pkgutil
import re
from functools import lru_cache
from typing import Any

_EVENT = re.compile(r"(modelog\.[a-z]+\.v1)\.[A-Za-z]+")


def descriptor_of(name: str) -> Any | None:
    """The descriptor of an event by its full name, its service's code loaded on the way; None when there is none."""
    package = _EVENT.fullmatch(name)
    if package is None:
        return None
    last = name.rpartition(".")[2]
    found = (module.DESCRIPTOR.message_types_by_name.get(last) for module in _modules(package[1]))
    return next((one for one in found if one is not None), None)


def kinds_of(service: str) -> list[str]:
    """The names of all messages beside a service's events, its code loaded on the way."""
    return [name for module in _modules(f"modelog.{service}.v1") for name in module.DESCRIPTOR.message_types_by_name]


@lru_cache(maxsize=64)
def _modules(package: str) -> tuple[Any, ...]:
    """`events_pb2`, `declare_events_pb2` and the like of a package, which is called as in the protos."""
    try:
        place = importlib.import_module(package)
    except ImportError:
        return ()
    names = [one.name for one in pkgutil.iter_modules(place.__path__) if one.name.endswith("events_pb2")]
    return tuple(importlib.import_module(f"{package}.{name}") for name in sorted(names))
