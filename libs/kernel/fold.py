"""The one fold: facts into the very message that `Get` answers with.

A `Kind` says how one kind of resource is named and folded. The kernel writes the header every resource shares (name,
generation, revision, create_time, update_time, quarantine); `evolve` writes the rest and nothing else writes anything.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message

from kernel.errors import UnknownFact
from kernel.names import Pattern, subject_of
from modelog.known_events import descriptor_of
from modelog.log.v1.fact_pb2 import Fact

State = TypeVar("State", bound=Message)
# What reading and folding one entry can raise when the entry, not the machine, is at fault.
UNREADABLE = (UnknownFact, DecodeError, ValueError, TypeError, AttributeError, KeyError, IndexError, ArithmeticError)
_TYPE_PREFIX = "type.googleapis.com/"


@dataclass(frozen=True, eq=False)  # A kind is itself and nothing else, so hashing one need not look at its fields.
class Kind:
    """One kind of resource, as one service folds it.

    service: who owns the subjects. pattern: shape of the names, `#` for a numbered last id. message: the folded state.
    evolve: writes one event into the state. listens: for kinds of another service, the event classes that matter here;
    every other event of theirs only advances the header. table: defaults to the singular of the collection.
    """

    service: str
    pattern: Pattern
    message: type[Message]
    evolve: Callable[[Any, Any, Fact], None]
    table: str
    listens: frozenset[str] | None = None

    @cached_property
    def not_found_reason(self) -> str:
        return f"{self.table.upper()}_NOT_FOUND"

    def subject(self, name: str) -> str:
        return subject_of(self.service, name)

    @cached_property
    def prefix(self) -> tuple[str, str]:
        """(service, collection) as they stand in a subject."""
        return self.service, self.pattern.collection


def kind(
    service: str,
    pattern: str,
    message: type[Message],
    evolve: Callable[[Any, Any, Fact], None],
    *,
    table: str = "",
    listens: Iterable[type[Message]] | None = None,
) -> Kind:
    """Declares a kind; see `Kind`."""
    shape = Pattern(pattern)
    heard = None if listens is None else frozenset(one.DESCRIPTOR.full_name for one in listens)
    return Kind(service, shape, message, evolve, table or shape.collection.removesuffix("s"), heard)


@lru_cache(maxsize=1024)
def _class_of(type_url: str) -> type[Message]:
    name = type_url.removeprefix(_TYPE_PREFIX)
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:  # Nobody has loaded it yet: a service that only reads what another records needs no code of it.
        known = descriptor_of(name)
        if known is None:
            raise
        descriptor = known
    return message_factory.GetMessageClass(descriptor)


def pack(event: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(event, deterministic=True)
    return packed


def event_of(fact: Fact) -> Message:
    """The event inside a fact; KeyError when this build does not know its type."""
    event = _class_of(fact.event.type_url)()
    event.ParseFromString(fact.event.value)
    return event


def event_type(fact: Fact) -> str:
    """Full name of the event's message, for example `modelog.registry.v1.StageChanged`."""
    return fact.event.type_url.removeprefix(_TYPE_PREFIX)


def apply(kind: Kind, state: Any, fact: Fact, revision: int, event: Message | None = None) -> None:
    """Folds one fact into `state`, which is changed in place and left undefined when this raises.

    event: the fact's event, when the caller has it unpacked already.
    """
    if fact.generation != state.generation + 1:
        raise ValueError(f"generation {fact.generation} follows {state.generation}")
    if kind.listens is None or event_type(fact) in kind.listens:
        try:
            known = event_of(fact) if event is None else event
        except KeyError:
            raise UnknownFact(fact) from None
        kind.evolve(state, known, fact)
    state.name = fact.resource
    state.generation = fact.generation
    state.revision = revision
    if fact.generation == 1:
        state.create_time.CopyFrom(fact.recorded_at)
    state.update_time.CopyFrom(fact.recorded_at)


def etag_of(state: Any) -> str:
    """What a client sends back to say which state it has seen: the generation."""
    return str(state.generation)
