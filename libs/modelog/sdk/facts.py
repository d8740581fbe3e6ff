"""What the log holds, read: the envelope of an entry and the event inside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import DecodeError, Message

from modelog.known_events import descriptor_of
from modelog.log.v1.fact_pb2 import Fact


@dataclass(frozen=True)
class Entry:
    """One message of the log. payload: exactly the stored bytes, which are the leaf of the log's Merkle tree.

    texts: what markers in it stand for, where that was asked for; `fact` and `event` have them in place.
    """

    revision: int
    subject: str
    payload: bytes
    texts: Mapping[str, str] = field(default_factory=dict, compare=False)

    @cached_property
    def fact(self) -> Fact | None:
        """The envelope; None when somebody put something unreadable into the log."""
        try:
            fact = Fact.FromString(self.payload)
        except DecodeError:
            return None
        if self.texts:
            from modelog.rewriting import rewrite
            from modelog.texts import MARKER

            rewrite(fact, lambda text: MARKER.sub(lambda one: self.texts.get(one[0], one[0]), text))
        return fact

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
    descriptor = descriptor_of(type_url.rpartition("/")[2])
    return None if descriptor is None else message_factory.GetMessageClass(descriptor)
