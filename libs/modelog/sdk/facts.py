"""What the log holds, read: the envelope of an entry and the event inside it."""

import importlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import DecodeError, Message

from modelog.log.v1.fact_pb2 import Fact

_EVENT = re.compile(r"modelog\.([a-z]+)\.v1\.[A-Za-z]+")

# Where else a service keeps its kinds of facts.
_FURTHER = {"registry": ("modelog.registry.v1.collaboration_events_pb2",)}


@dataclass(frozen=True)
class Entry:
    """One message of the log. payload: exactly the stored bytes, which are the leaf of the log's Merkle tree."""

    revision: int
    subject: str
    payload: bytes

    @cached_property
    def fact(self) -> Fact | None:
        """The envelope; None when somebody put something unreadable into the log."""
        try:
            return Fact.FromString(self.payload)
        except DecodeError:
            return None

    @cached_property
    def event(self) -> Message | None:
        """What happened, for example a registry StageChanged; None when this build does not know its kind."""
        return None if self.fact is None else event_of(self.fact)


def event_of(fact: Fact) -> Message | None:
    """The event inside a fact; None when this build does not know its kind or cannot read it."""
    cls = known(fact.event.type_url)
    if cls is None:
        return None
    try:
        event: Message = cls.FromString(fact.event.value)
    except DecodeError:
        return None
    return event


def known(type_url: str) -> type[Any] | None:
    """The message class of an event, its service's code loaded on the way; None when there is none."""
    name = type_url.rpartition("/")[2]
    service = _EVENT.fullmatch(name)
    if service is None:
        return None
    for module in (f"modelog.{service[1]}.v1.events_pb2", *_FURTHER.get(service[1], ())):
        try:
            events = importlib.import_module(module)
        except ImportError:
            return None
        descriptor = events.DESCRIPTOR.message_types_by_name.get(name.rpartition(".")[2])
        if descriptor is not None:
            return message_factory.GetMessageClass(descriptor)
    return None
