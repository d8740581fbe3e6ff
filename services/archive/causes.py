"""What ties a fact to those before it: the fact it reacts to, what its decision looked at, what it names. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf.message import Message

from kernel.fold import event_of
from modelog.archive.v1 import evidence_requests_pb2 as rpc
from modelog.log.v1.fact_pb2 import Fact
from services.archive.queries import Stored
from services.archive.reading import fact_in

_NAME = re.compile(r"projects/[^/\s]+(/[^/\s]+/[^/\s]+)*")
_DEEPEST = 5


class Link(NamedTuple):
    """From a fact to earlier ones: some of a correlation, or the last one of a resource before revision `before`.

    kind: a CauseKind. fact_id: empty where any fact of the correlation is meant.
    """

    revision: int
    kind: int
    correlation: str = ""
    fact_id: str = ""
    resource: str = ""
    before: int = 0


def links_of(revision: int, fact: Fact | None) -> Iterator[Link]:
    """The strongest ties first, for a fact is shown below whatever names it first."""
    if fact is None:
        return
    if fact.causation_id:
        yield Link(revision, rpc.CAUSE_KIND_CAUSED_BY, fact.correlation_id, fact.causation_id)
    for name in sorted(_named(fact)):
        yield Link(revision, rpc.CAUSE_KIND_REFERS_TO, resource=name, before=revision)
    for read in fact.reads:
        if read.revision and read.resource != fact.resource:
            yield Link(revision, rpc.CAUSE_KIND_DECIDED_ON, resource=read.resource, before=read.revision + 1)
    if fact.generation > 1:
        yield Link(revision, rpc.CAUSE_KIND_FOLLOWS, resource=fact.resource, before=revision)
    if fact.correlation_id and not fact.causation_id:
        yield Link(revision, rpc.CAUSE_KIND_SAME_REQUEST, fact.correlation_id, before=revision)


def _named(fact: Fact) -> set[str]:
    """Names of other resources anywhere in the event."""
    try:
        event = event_of(fact)
    except (KeyError, ValueError, TypeError):
        return set()
    names = {text for text in _texts(event, _DEEPEST) if _NAME.fullmatch(text)}
    return {name for name in names if name != fact.resource and not fact.resource.startswith(f"{name}/")}


def _texts(message: Message, deepest: int) -> Iterator[str]:
    for field, value in message.ListFields():
        values: Any = value if field.is_repeated else [value]
        if field.type == field.TYPE_STRING:
            yield from values
        elif field.type == field.TYPE_MESSAGE and deepest and not _is_map(field):
            for one in values:
                yield from _texts(one, deepest - 1)


def _is_map(field: Any) -> bool:
    return bool(field.message_type.GetOptions().map_entry)


class Known:
    """Facts that links may lead to."""

    def __init__(self, correlated: Sequence[Stored], before: Mapping[tuple[str, int], Stored]) -> None:
        self._by_id: dict[tuple[str, str], Stored] = {}
        self._together: dict[str, list[Stored]] = {}
        self._before = before
        for one in correlated:
            fact = fact_in(one.payload, one.subject)
            if fact is not None:
                self._by_id[fact.correlation_id, fact.id] = one
                self._together.setdefault(fact.correlation_id, []).append(one)

    def of(self, link: Link) -> list[Stored]:
        if link.resource:
            found = self._before.get((link.resource, link.before))
        elif link.fact_id:
            found = self._by_id.get((link.correlation, link.fact_id))
        else:
            return [one for one in self._together.get(link.correlation, ()) if one.revision < link.before]
        return [found] if found else []
