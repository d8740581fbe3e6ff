"""One batch of entries folded in memory: what the projector writes in one transaction."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from google.protobuf.message import Message

from kernel.fold import UNREADABLE, Kind, apply, event_of, event_type
from kernel.log import Entry
from kernel.names import name_in, sort_key
from modelog.log.v1.fact_pb2 import Fact
from modelog.type.v1.quarantine_pb2 import Quarantine

_LIVE = 50_000
_REASON_CHARACTERS = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Folded(NamedTuple):
    """One fact folded into one resource, as `projections.project` gets it. state is the message after the fact."""

    revision: int
    fact: Fact
    event: Message | None
    kind: Kind
    before: bytes
    state: Any


class Item(NamedTuple):
    """One entry to fold: its kind (None where no resource lives), its resource, its fact or why there is none."""

    entry: Entry
    kind: Kind | None
    name: str
    fact: Fact | None
    error: Exception | None


@dataclass(slots=True)
class Live:
    """A resource while facts are folded into it: the message, changed in place, and its bytes after the last fact."""

    state: Any
    body: bytes


class History(NamedTuple):
    name: str
    sort: str
    revision: int
    recorded_at: datetime
    body: bytes


@dataclass(slots=True)
class Batch:
    """Rows to write. newest holds the last state of each resource the batch touched."""

    newest: dict[Kind, dict[str, History]] = field(default_factory=dict)
    history: dict[Kind, list[History]] = field(default_factory=dict)
    requests: list[tuple[bytes, bytes, str, int, int]] = field(default_factory=list)
    quarantined: list[tuple[str, str, str, int, str]] = field(default_factory=list)
    folded: list[Folded] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)  # Names whose first fact is here, taken to have had none before.

    def add(self, kind: Kind, row: History) -> None:
        self.newest.setdefault(kind, {})[row.name] = row
        self.history.setdefault(kind, []).append(row)


class Folding:
    """Folds entries of one service's kinds; keeps recently touched resources so that a batch needs few reads."""

    def __init__(self, service: str, kinds: Sequence[Kind], *, projected: Collection[type[Message]] | None) -> None:
        """projected: events whose facts are also collected as `Folded`, for tables that are no resources; None: all."""
        self._service = service
        self._routes = {kind.prefix: kind for kind in kinds}
        self._projected = None if projected is None else {event.DESCRIPTOR.full_name for event in projected}
        self._live: OrderedDict[tuple[str, str], Live] = OrderedDict()
        self.frozen: set[str] = set()

    def clear(self) -> None:
        self._live.clear()

    def route(self, subject: str) -> tuple[Kind, str] | None:
        """The kind and the name of the resource on a subject; None when this service does not fold it."""
        tokens = subject.split(".")
        kind = self._routes.get((tokens[1], tokens[3])) if len(tokens) > 4 else None
        name = name_in(kind.pattern, subject) if kind else None
        return (kind, name) if kind and name else None

    def read(self, entries: Sequence[Entry]) -> list[Item]:
        """Entries of this service's resources, routed and parsed; and those which are nobody's."""
        items: list[Item] = []
        for entry in entries:
            routed = self.route(entry.subject)
            if routed is None:
                if entry.subject.split(".")[1:2] == [self._service]:
                    items.append(Item(entry, None, entry.subject, None, None))
                continue
            try:
                items.append(Item(entry, *routed, Fact.FromString(entry.payload), None))
            except UNREADABLE as error:
                items.append(Item(entry, *routed, None, error))
        return items

    def missing(self, items: Sequence[Item], *, trust_first: bool) -> dict[Kind, set[str]]:
        """Names whose last state is not in memory. trust_first: a first fact is taken to have nothing before it."""
        wanted: dict[Kind, set[str]] = {}
        for item in items:
            if item.kind is None or (item.kind.table, item.name) in self._live:
                continue
            if trust_first and item.fact is not None and item.fact.generation == 1:
                self.hold(item.kind, {item.name}, {})
            else:
                wanted.setdefault(item.kind, set()).add(item.name)
        return wanted

    def hold(self, kind: Kind, names: set[str], bodies: Mapping[str, bytes]) -> None:
        """Takes the stored states of names that were missing; the others begin empty."""
        for name in names:
            body = bodies.get(name, b"")
            self._live[(kind.table, name)] = Live(kind.message.FromString(body), body)

    def fold(self, items: Sequence[Item]) -> Batch:
        batch = Batch()
        for item in items:
            if item.name in self.frozen:
                continue
            if item.kind is None:
                self._stray(item.entry, batch)
            else:
                self._fold_one(item, item.kind, batch)
        while len(self._live) > _LIVE:
            self._live.popitem(last=False)
        return batch

    def _fold_one(self, item: Item, kind: Kind, batch: Batch) -> None:
        entry, _, name, fact, error = item
        live = self._live[(kind.table, name)]
        before = live.body
        try:
            if fact is None:
                raise error or ValueError("unreadable")
            if fact.resource != name:
                raise ValueError(f"a fact of {fact.resource!r} on the subject of {name}")
            apply(kind, live.state, fact, entry.revision)
            body: bytes = live.state.SerializeToString(deterministic=True)
            row = History(name, sort_key(name), entry.revision, _time(fact), body)
            request = (bytes.fromhex(fact.id), fact.request_digest, name, entry.revision, fact.generation)
        except UNREADABLE as unreadable:
            self.poison(entry, kind, name, unreadable, batch)
            return
        live.body = body
        batch.add(kind, row)
        if fact.generation == 1:
            batch.begun.append(name)
        if kind.service == self._service:
            batch.requests.append(request)
        if self._projected is None or event_type(fact) in self._projected:
            state = kind.message.FromString(body)
            batch.folded.append(Folded(entry.revision, fact, _event(fact), kind, before, state))

    def poison(self, entry: Entry, kind: Kind, name: str, error: Exception, batch: Batch) -> None:
        """Freezes a resource at its last good state, marked with why and since when."""
        live = self._live[(kind.table, name)]
        state: Any = kind.message.FromString(live.body)
        state.name = name
        reason = f"{type(error).__name__}: {error}".replace("\0", "\\0")[:_REASON_CHARACTERS]
        state.quarantine.CopyFrom(Quarantine(revision=entry.revision, reason=reason))
        body = state.SerializeToString(deterministic=True)
        since = state.update_time.ToDatetime(tzinfo=UTC)
        self.frozen.add(name)
        live.state, live.body = state, body
        batch.add(kind, History(name, sort_key(name), entry.revision, since, body))
        batch.quarantined.append((name, kind.table, entry.subject, entry.revision, reason))

    def _stray(self, entry: Entry, batch: Batch) -> None:
        """An entry under this service's own subjects that is no resource of any kind: shown, not skipped in silence."""
        tokens = entry.subject.split(".")
        if len(tokens) > 1 and tokens[1] == self._service and entry.subject not in self.frozen:
            self.frozen.add(entry.subject)
            batch.quarantined.append(
                (entry.subject, "", entry.subject, entry.revision, "no kind of resource lives here")
            )


def _time(fact: Fact) -> datetime:
    """When it was recorded; a third of what the message's own method takes."""
    stamp = fact.recorded_at
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def _event(fact: Fact) -> Message | None:
    """The event; None where a foreign service's event is of no known type, which only advances the header."""
    try:
        return event_of(fact)
    except KeyError:
        return None
