"""The one path of every write: resource as folded, decide, guarded append; the tail and again on a lost race."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message

from kernel.cause import Cause, fact_of
from kernel.errors import Conflict, NotAllowedNow, Refusal
from kernel.fold import UNREADABLE, Kind, etag_of, event_type
from kernel.log import Entry, Log, SameId, WrongRevision
from kernel.names import child
from kernel.requests import Outcome, Requests, same
from kernel.states import States
from modelog.log.v1.fact_pb2 import Fact, Read

_ATTEMPTS = 12
_NUMBER_ATTEMPTS = 256  # A lost race for a number means that somebody else won it, so waiting writers get through.

Decide = Callable[..., Message | None]
Reads = Sequence[tuple[Kind, str]]
# What a decision reads, where that depends on the resource it decides on.
ReadsOf = Callable[[Any], Reads]
# Keeps the free text of an event and of its cause elsewhere: the event and the reason as they stand in the fact.
Hidden = Callable[[Message, Cause], Awaitable[tuple[Message, str]]]


@dataclass(frozen=True, slots=True)
class Decided:
    """What a write came to. revision: of its fact, or of the resource where nothing new was recorded; 0 for a dry run.

    state is the resource after the fact; None when an earlier answer was found instead of deciding.
    """

    name: str
    revision: int
    generation: int = 0
    state: Any = None
    recorded: bool = False


class Transact:
    """Callable for writes on one resource; `create_numbered` for children numbered by the server."""

    def __init__(self, log: Log, states: States, requests: Requests, hidden: Hidden | None = None) -> None:
        """hidden: puts free text beside the log; None leaves it in the facts."""
        self._log = log
        self._hidden = hidden
        self._states = states
        self._requests = requests
        self._heads: dict[tuple[str, str], int] = {}
        self._locks: dict[tuple[str, str], _Lock] = {}

    async def __call__(
        self, kind: Kind, name: str, cause: Cause, decide: Decide, *, reads: Reads | ReadsOf = ()
    ) -> Decided:
        """Decides on the resource `name` and records the event, if any. `decide(state, *states of reads)`.

        reads: names of other resources, or what tells them from the state: asked again with each newer one.
        """
        kind.pattern.ids(name)
        async with self._turn(kind, name):
            state = await self._states.load(kind, name, own=True)
            # Only now: whatever the state holds, a look at the requests finds as well.
            if outcome := await self._requests.find(cause):
                return _answer(outcome)
            return await self._decide_on(kind, name, state, cause, decide, reads)

    async def _decide_on(
        self, kind: Kind, name: str, state: Any, cause: Cause, decide: Decide, wanted: Reads | ReadsOf
    ) -> Decided:
        reads = _reads_of(wanted, state)
        others = [await self._states.load(one, other) for one, other in reads]
        fresh = False
        for attempt in range(_ATTEMPTS):
            event, refusal = _judge(kind, name, state, others, cause, decide)
            if event is None and not fresh:
                # Only an append is guarded, so before saying no, or "already so", look at the log itself.
                state, done = await self._newest(kind, name, state, cause)
                reads, others = await self._reads_now(wanted, state, reads, others)
                others = await self._reread(reads, others, cause)
                fresh = True
                if done:
                    return done
                continue
            if refusal:
                raise refusal
            if event is None or cause.validate_only:
                return Decided(name, 0 if cause.validate_only else state.revision, state.generation, state)
            decided = await self._append(kind, name, state, event, cause, _reads(reads, others, cause))
            if decided:
                return decided
            await asyncio.sleep(random.uniform(0, 0.002 * attempt))
            state, done = await self._newest(kind, name, state, cause)
            if done:
                return done
            reads, others = await self._reads_now(wanted, state, reads, others)
        raise Conflict("RESOURCE_CONTENDED", f"{name} changes too fast to decide on; read it and try again")

    async def _reads_now(
        self, wanted: Reads | ReadsOf, state: Any, reads: Reads, others: list[Any]
    ) -> tuple[Reads, list[Any]]:
        """What is to be read by the newest state, with states: as before, unless that tells other names now."""
        now = _reads_of(wanted, state)
        if now == reads:
            return reads, others
        return now, [await self._states.load(one, other) for one, other in now]

    async def create_numbered(
        self, kind: Kind, parent: str, cause: Cause, decide: Decide, *, reads: Reads = ()
    ) -> Decided:
        """Records the first fact of the next numbered child of `parent`: numbers have no gap and no duplicate."""
        key = (kind.table, parent)
        async with self._turn(kind, parent):
            if key not in self._heads:
                self._heads[key] = await self._states.highest(kind, parent)
            # Only now: whatever number is taken as far as is known here, a look at the requests finds its taker.
            if outcome := await self._requests.find(cause):
                return _answer(outcome)
            return await self._create(kind, parent, cause, decide, reads)

    async def _create(self, kind: Kind, parent: str, cause: Cause, decide: Decide, reads: Reads) -> Decided:
        key = (kind.table, parent)
        others = [await self._states.load(one, other) for one, other in reads]
        fresh, attempts = False, 0
        while attempts < _NUMBER_ATTEMPTS:
            name = child(parent, kind.pattern.collection, self._heads[key] + 1)
            kind.pattern.ids(name)
            state = kind.message()
            event, refusal = _judge(kind, name, state, others, cause, decide)
            if refusal and not fresh:
                others = await self._reread(reads, others, cause)
                fresh = True
                continue
            if refusal:
                raise refusal
            if event is None or cause.validate_only:
                return Decided(name, 0, 0, state)
            decided = await self._append(kind, name, state, event, cause, _reads(reads, others, cause))
            if decided and decided.name != name:
                return decided
            self._heads[key] += 1
            if decided:
                return decided
            taken = await self._log.next(kind.subject(name), 0)
            if taken and (done := self._mine([taken], cause)):
                return done
            attempts += 1
        raise Conflict("RESOURCE_CONTENDED", f"new children of {parent} come too fast; try again")

    async def _append(
        self, kind: Kind, name: str, state: Any, event: Message, cause: Cause, reads: Sequence[Read]
    ) -> Decided | None:
        """Publishes under the guard; None when the race was lost."""
        event, reason = (event, cause.reason) if self._hidden is None else await self._hidden(event, cause)
        fact = fact_of(kind, name, state, event, cause, reads, reason)
        payload = fact.SerializeToString(deterministic=True)
        try:
            revision = await self._log.append(
                kind.subject(name), payload, expected=state.revision, fact_id=fact.id, event=event_type(fact)
            )
        except WrongRevision:
            return None
        except SameId as stored:
            return self._mine([stored.entry], cause)
        self._requests.remember(fact, revision)
        after = self._states.advance(kind, state, fact, revision, event)
        return Decided(name, revision, after.generation, after, recorded=True)

    async def _newest(self, kind: Kind, name: str, state: Any, cause: Cause) -> tuple[Any, Decided | None]:
        """The state with the log's newest facts, and the answer if one of them is this very request's."""
        try:
            state, entries = await self._states.refresh(kind, name, state)
        except UNREADABLE as error:
            raise _quarantined(name, str(error)) from error
        return state, self._mine(entries, cause)

    async def _reread(self, reads: Reads, others: Sequence[Any], cause: Cause) -> list[Any]:
        pairs = zip(reads, others, strict=True)
        return [(await self._newest(kind, name, state, cause))[0] for (kind, name), state in pairs]

    def _mine(self, entries: Sequence[Entry], cause: Cause) -> Decided | None:
        """The answer of an earlier attempt at this request that turns out to be in the log.

        The others' answers are remembered too: the states that these entries lead to are kept, the views may be far
        behind, and a repetition of one of those requests must not be decided anew on a state that holds it already.
        """
        mine = None
        for entry in entries:
            fact = Fact()
            try:
                fact.ParseFromString(entry.payload)
            except DecodeError:  # A poison entry is nobody's answer.
                continue
            outcome = self._requests.remember(fact, entry.revision)
            if fact.request_id == cause.request_id and fact.actor.id == cause.actor.id:
                mine = outcome
        return None if mine is None else _answer(same(mine, cause))

    def _turn(self, kind: Kind, name: str) -> "_Turn":
        """Writers of this process take turns on one resource, so they do not lose races against each other."""
        return _Turn(self._locks, (kind.table, name))


class _Turn:
    """Holds the lock of one key, which lives as long as somebody holds it or waits for it."""

    __slots__ = ("_key", "_lock", "_locks")

    def __init__(self, locks: dict[tuple[str, str], "_Lock"], key: tuple[str, str]) -> None:
        self._locks = locks
        self._key = key
        lock = locks.get(key)
        if lock is None:
            lock = locks[key] = _Lock()
        self._lock = lock

    async def __aenter__(self) -> None:
        self._lock.users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_error: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self._lock.users -= 1
        if not self._lock.users:
            self._locks.pop(self._key, None)


class _Lock(asyncio.Lock):
    users = 0


def _reads_of(wanted: Reads | ReadsOf, state: Any) -> Reads:
    return wanted(state) if callable(wanted) else wanted


def _judge(
    kind: Kind, name: str, state: Any, others: Sequence[Any], cause: Cause, decide: Decide
) -> tuple[Message | None, Refusal | None]:
    """What the verb says: an event, None for "already so", or a refusal."""
    if state.HasField("quarantine"):
        return None, _quarantined(name, state.quarantine.reason)
    if cause.etag and cause.etag != etag_of(state):
        return None, Conflict("ETAG_MISMATCH", f"{name} has changed; read it again", metadata={"etag": etag_of(state)})
    try:
        if cause.check is not None:
            cause.check(state, others)
        return decide(state, *others), None
    except Refusal as refusal:
        return None, refusal


def _quarantined(name: str, reason: str) -> NotAllowedNow:
    return NotAllowedNow(
        "RESOURCE_QUARANTINED",
        f"{name} holds a fact this service cannot read ({reason}); upgrade the service, which folds it again",
    )


def _reads(reads: Reads, others: Sequence[Any], cause: Cause) -> list[Read]:
    """What was decided on: what the verb read, and the states of access that it did not read itself."""
    own = [Read(resource=name, revision=state.revision) for (_, name), state in zip(reads, others, strict=True)]
    known = {name for _, name in reads}
    return [*own, *(Read(resource=name, revision=at) for name, at in cause.reads if name not in known)]


def _answer(outcome: Outcome) -> Decided:
    return Decided(outcome.name, outcome.revision, outcome.generation)
