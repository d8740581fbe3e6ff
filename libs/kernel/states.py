"""Resources as folded so far: a bounded cache in this process before the views in Postgres.

The cache can never lead a decision astray: what it decides on its own resource is guarded by the append, and before a
refusal the newest facts are read from the log itself.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from kernel import tables
from kernel.batching import Batcher
from kernel.fold import Kind, apply
from kernel.log import Entry, Log, tail
from kernel.postgres import Pool
from modelog.log.v1.fact_pb2 import Fact

_CACHED = 20_000


class States:
    """Loads folded messages. Callers must not change what they get; `advance` makes the changed copies."""

    def __init__(self, log: Log, pool: Pool) -> None:
        self._log = log
        self._pool = pool
        self._maintained = False
        self._cache: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._batchers: dict[str, Batcher[str, bytes]] = {}
        self._loading: dict[tuple[str, str], _Loading] = {}

    async def load(self, kind: Kind, name: str, *, own: bool = False) -> Any:
        """The newest folded state known here; an empty message when there is none. `own`: the append will guard it."""
        key = (kind.table, name)
        cached = self._cache.get(key)
        if cached is not None and (own or self._maintained):
            self._cache.move_to_end(key)
            return cached
        while True:
            with _Loading.of(self._loading, key) as loading:
                before = loading.folds
                body = await self._row(kind, name)
                overtaken = loading.folds != before
            if overtaken:  # Folded between the row's being read and now: what was read may be older than the row.
                continue
            if body is not None:
                return self.keep(kind, name, kind.message.FromString(body))
            if cached is not None:
                return cached
            # That there is none is worth remembering as well, as long as the projector here would say otherwise.
            return self.keep(kind, name, kind.message()) if self._maintained else kind.message()

    def peek(self, kind: Kind, name: str) -> Any | None:
        """What `load` would answer without asking Postgres; None when it would have to ask."""
        return self._cache.get((kind.table, name)) if self._maintained else None

    async def refresh(self, kind: Kind, name: str, state: Any) -> tuple[Any, list[Entry]]:
        """The state with everything the log holds behind it, read from the leader, and those entries."""
        entries = await tail(self._log, kind.subject(name), state.revision)
        if entries:
            after = type(state)()
            after.CopyFrom(state)
            for entry in entries:
                apply(kind, after, Fact.FromString(entry.payload), entry.revision)
            state = self.keep(kind, name, after)
        return state, entries

    def advance(self, kind: Kind, state: Any, fact: Fact, revision: int, event: Message) -> Any:
        """A copy of the state with one more fact folded, kept for the next decision."""
        after = type(state)()
        after.CopyFrom(state)
        apply(kind, after, fact, revision, event)
        return self.keep(kind, after.name, after)

    def keep(self, kind: Kind, name: str, state: Any) -> Any:
        """Remembers the state unless a newer one is known; returns the newer of both."""
        key = (kind.table, name)
        known = self._cache.get(key)
        if known is not None and known.revision > state.revision:
            return known
        self._cache[key] = state
        self._cache.move_to_end(key)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return state

    def folded(self, kind: Kind, name: str, body: bytes, revision: int, *, quarantined: bool = False) -> None:
        """The projector has folded this; keeps cached states as new as the rows are."""
        key = (kind.table, name)
        known = self._cache.get(key)
        if known is not None and (quarantined or known.revision < revision):
            self._cache[key] = kind.message.FromString(body)
        if key in self._loading:
            self._loading[key].folds += 1

    def maintained(self) -> None:
        """From now on the projector in this process reports each fold, so a cached state is as new as its row."""
        self._cache.clear()
        self._maintained = True

    def unmaintained(self) -> None:
        """Another process may fold now; what is cached may be older than its row."""
        self._maintained = False

    async def highest(self, kind: Kind, parent: str) -> int:
        """The highest number among the children of `parent` in the view; 0 when there is none."""
        prefix = f"{parent}/{kind.pattern.collection}/"
        name = await self._pool.fetchval(tables.select_highest(kind), prefix, prefix[:-1] + "0")
        return int(name.rpartition("/")[2]) if name else 0

    async def _row(self, kind: Kind, name: str) -> bytes | None:
        batcher = self._batchers.get(kind.table)
        if batcher is None:
            batcher = self._batchers[kind.table] = Batcher(lambda names: self._rows(kind, names))
        return await batcher.get(name)

    async def _rows(self, kind: Kind, names: Sequence[str]) -> Mapping[str, bytes]:
        return {row[0]: row[1] for row in await self._pool.fetch(tables.select_many(kind), names)}


class _Loading:
    """Loads of one resource that are under way, and how often it was folded meanwhile."""

    __slots__ = ("_all", "_key", "_users", "folds")

    def __init__(self, all_: "dict[tuple[str, str], _Loading]", key: tuple[str, str]) -> None:
        self._all, self._key = all_, key
        self._users = self.folds = 0

    @classmethod
    def of(cls, all_: "dict[tuple[str, str], _Loading]", key: tuple[str, str]) -> "_Loading":
        if key not in all_:
            all_[key] = cls(all_, key)
        return all_[key]

    def __enter__(self) -> "_Loading":
        self._users += 1
        return self

    def __exit__(self, *_error: object) -> None:
        self._users -= 1
        if not self._users:
            del self._all[self._key]
