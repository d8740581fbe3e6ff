"""Lists with filters and orders, and full text: pages of `searchable`, found by what makes few rows to look at.

A list looks at the next few thousand rows in its order first: where many match, the page is full by then. Where it is
not, few match, and marks find them. Former states are judged by the very same conditions: a row of now stands for
every moment since its newest fact, and what has changed since is made into rows of that moment, from the history, for
this one question.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from kernel import marks
from kernel.errors import Exhausted, Invalid
from kernel.fields import Field, Schema, Searchable, Type
from kernel.filter_sql import Needed, Parameters, condition, indexed, needed, rank, tsquery
from kernel.filters import And, Expression, Words, parse
from kernel.fold import Kind
from kernel.folding import History
from kernel.index import VECTOR, columns, row_of
from kernel.ordering import Key, after, expression, parse_order, reaching
from kernel.page_tokens import opened, sealed, unusable
from kernel.postgres import Pool, quoted
from modelog.type.v1.read_pb2 import ReadOptions

PAGE_SIZE = 50
_MOST_ROWS = 500
_LOOKED_AT = 2000
_MOST_RANKED = 2000
# Resources that have changed since a moment and are made into rows of it for one question.
_MOST_FORMER = 10_000
_AT_ONCE = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANK = Key(Field("rank", Type.NUMBER, lambda _: None, column="rank"), (), True)
_NEWEST = Key(Field("revision", Type.NUMBER, lambda _: None, column="revision"), (), True)
_SNIPPET = 'MaxFragments=2, MaxWords=18, MinWords=6, FragmentDelimiter=" ... ", StartSel=\x02, StopSel=\x03'
_ROW = "kind, sort, name, revision, created, updated, doc, tsv, heads, body"


class Found(NamedTuple):
    """One resource of a page. rank: of full text, 0 without. snippet: pieces of its text, those that matched marked."""

    kind: Kind
    name: str
    body: bytes
    rank: float
    snippet: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Scope:
    """Kinds below a place: sort keys between low and high."""

    kinds: tuple[Kind, ...]
    low: str

    @property
    def high(self) -> str:
        return self.low[:-1] + chr(ord(self.low[-1]) + 1)

    @property
    def needed(self) -> Needed:
        """Marks of whatever lies in this scope."""
        found = [frozenset(marks.of_kind(one.table) for one in self.kinds)]
        place = self.low.rstrip("/")
        if place.count("/") % 2 == 0 and place.count("/"):
            place = place.rpartition("/")[0]  # `projects/risk/models`: what lies in it lies in projects/risk.
        return [*found, frozenset([marks.of_place(place)])] if "/" in place else found


@dataclass(frozen=True)
class _Question:
    scope: Scope
    expression: Expression
    words: tuple[Words, ...]  # Those that every answer holds.
    keys: tuple[Key, ...]
    read: ReadOptions
    size: int
    last: list[Any] | None
    snippets: bool = False


class Searches:
    """Pages of the kinds that a service lets search."""

    def __init__(self, pool: Pool, searchables: Sequence[Searchable]) -> None:
        self._pool = pool
        self._of = {one.kind: one for one in searchables}
        self._schemas: dict[tuple[Kind, ...], Schema] = {}

    async def page(self, kind: Kind, low: str, request: Any) -> tuple[list[bytes], str]:
        """A page of a list with page_size, page_token, read, filter and order_by, and the token of the next."""
        schema = self._schema((kind,))
        scope = Scope((kind,), low)
        filter_ = parse(request.filter, schema)
        keys = parse_order(request.order_by, schema)
        found, token = await self._answer(scope, filter_, keys, request, f"{request.filter}\0{request.order_by}")
        return [one.body for one in found], token

    async def search(self, kinds: Sequence[Kind], low: str, request: Any) -> tuple[list[Found], str]:
        """The same over several kinds, by how well they match the words of `query`, then the newest first."""
        schema = self._schema(tuple(kinds))
        asked = parse(request.query, schema, "query")
        filter_ = parse(request.filter, schema)
        both = And((asked, filter_))
        keys = (_RANK, _NEWEST) if _words(both) else (_NEWEST,)
        return await self._answer(
            Scope(tuple(kinds), low), both, keys, request, f"{request.query}\0{request.filter}", snippets=True
        )

    def _schema(self, kinds: tuple[Kind, ...]) -> Schema:
        if kinds not in self._schemas:
            if missing := [one.table for one in kinds if one not in self._of]:
                raise Invalid("NOT_SEARCHABLE", f"{', '.join(missing)} takes no filter and no order; leave them out")
            self._schemas[kinds] = Schema(self._of[one] for one in kinds)
        return self._schemas[kinds]

    async def _answer(
        self, scope: Scope, filter_: Expression, keys: tuple[Key, ...], request: Any, asked: str, snippets: bool = False
    ) -> tuple[list[Found], str]:
        read: ReadOptions = request.read
        kinds = " ".join(one.table for one in scope.kinds)
        query = f"{kinds} {scope.low} {read.as_of_revision} {read.as_of_time.ToMicroseconds()} {asked}"
        last = _last(opened(request.page_token, query), keys) if request.page_token else None
        size = min(request.page_size or PAGE_SIZE, _MOST_ROWS)
        question = _Question(scope, filter_, _words(filter_), keys, read, size, last, snippets)
        try:
            if read.WhichOneof("as_of") is None:
                rows, bodies = await self._now(question), dict[str, bytes]()
            else:
                rows, bodies = await self._then(question)
        except (asyncpg.DataError, ValueError, TypeError) as error:
            if last is None:
                raise
            raise unusable(error) from error  # Whoever sent it made it.
        shown = [self._found(row, bodies) for row in rows[:size]]
        token = sealed(_place_of(rows[size - 1], keys), query) if len(rows) > size else ""
        return shown, token

    def _found(self, row: Any, bodies: dict[str, bytes]) -> Found:
        kind = next(one for one in self._of if one.table == row["kind"])
        body = bodies.get(row["name"]) or row["message"]
        return Found(kind, row["name"], body, float(row["rank"] or 0.0), _pieces(row["snippet"] or ""))

    async def _now(self, question: _Question) -> Sequence[Any]:
        if _native(question.keys):
            rows = await self._fetch(*_looking(question))
            found = _there(rows)
            if len(found) > question.size or rows[0]["looked"] < _LOOKED_AT:
                return found
        rows = await self._fetch(*_marked(question))
        found = _there(rows)
        if question.keys[0] is _RANK and rows[0]["looked"] > _MOST_RANKED:
            rows = await self._fetch(*_newest_ranked(question))
            found = _there(rows)
        return found

    async def _then(self, question: _Question) -> tuple[Sequence[Any], dict[str, bytes]]:
        """As of a moment. One snapshot, so that nothing changes between what is now and what was."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows: list[tuple[Any, ...]] = []
            bodies: dict[str, bytes] = {}
            for kind in question.scope.kinds:
                changed = [one["sort"] for one in await connection.fetch(*_changed(question, kind))]
                if len(changed) > _MOST_FORMER:
                    raise Exhausted(
                        "TOO_MUCH_CHANGED",
                        f"over {_MOST_FORMER} resources have changed since; ask about one model, or a later moment",
                    )
                for begin in range(0, len(changed), _AT_ONCE):
                    stored = await connection.fetch(*_former(question.read, kind, changed[begin : begin + _AT_ONCE]))
                    for one in stored:
                        history = History(one["name"], one["sort"], one["revision"], one["recorded_at"], one["body"])
                        rows.append(row_of(self._of[kind], history))
                        bodies[one["name"]] = one["body"]
                    await asyncio.sleep(0)  # Others are served while many are made.
            return _there(await connection.fetch(*_past(question, rows))), bodies

    async def _fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        return await self._pool.fetch(sql, *arguments)


def _there(rows: Sequence[Any]) -> list[Any]:
    """Without the row of nulls that stands for none."""
    return [row for row in rows if row["name"] is not None]


def _words(expression: Expression) -> tuple[Words, ...]:
    match expression:
        case Words():
            return (expression,)
        case And(parts):
            return tuple(one for part in parts for one in _words(part))
    return ()


def _native(keys: tuple[Key, ...]) -> bool:
    """Whether an index gives this order."""
    columns_ = [one.column for one in keys]
    one_way = len({one.descending for one in keys}) == 1
    return columns_ in (["sort"], ["revision"]) or (columns_ in (["created", "sort"], ["updated", "sort"]) and one_way)


def _looking(question: _Question) -> tuple[Any, ...]:
    """The next rows in the order of the list, and those among them that meet the filter."""
    parameters = Parameters()
    names = [one.column for one in question.keys]
    within = _within(question.scope, parameters)
    behind = "true"
    if question.last is not None:
        behind = after(question.keys, names, question.last, parameters)
        if len(names) == 2:  # So that the index is entered there, and not at its end.
            behind += " and " + reaching(question.keys[0], names[0], question.last[0], parameters)
    inside = f"{within} and {behind}" if names == ["sort"] else behind
    order = _order(question.keys, names)
    looked = f"select {_ROW} from searchable where {inside} order by {order} limit {_LOOKED_AT}"
    chosen = (
        f"select {_ROW}, null::float4 as rank from looked"
        f" where {within} and {condition(question.expression, parameters)} order by {order} limit {question.size + 1}"
    )
    return (_shown(question, f"looked as materialized ({looked})", "looked", chosen, parameters), *parameters.values)


def _marked(question: _Question) -> tuple[Any, ...]:
    """Whatever carries the marks and meets the filter, then put in order."""
    parameters = Parameters()
    marked = [*question.scope.needed, *needed(question.expression)]
    having = [indexed(question.words, marked, parameters), condition(question.expression, parameters)]
    having.append(f"({_within(question.scope, parameters)}) is true")
    limit = f" limit {_MOST_RANKED + 1}" if question.words and question.keys[0] is _RANK else ""
    whole = f"select {_keyed(question, parameters)} from searchable where {' and '.join(having)}{limit}"
    return _chosen(question, whole, parameters)


def _newest_ranked(question: _Question) -> tuple[Any, ...]:
    """Where words are in too many resources to rank all, the newest of them are ranked."""
    parameters = Parameters()
    # `is true` keeps other indexes out of it: most rows match, so walking back from the newest is quicker.
    inner = (
        f"select {_ROW} from searchable where ({_within(question.scope, parameters)}) is true"
        f" and ({condition(question.expression, parameters)}) is true order by revision desc limit {_MOST_RANKED}"
    )
    return _chosen(question, f"select {_keyed(question, parameters)} from ({inner}) as newest", parameters)


def _past(question: _Question, rows: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Rows of now that were so then already, and rows made of what was."""
    parameters = Parameters()
    types = ("text", "text", "text", "bigint", "timestamptz", "timestamptz", "text", "text", "text", "text", "text")
    given = columns([row[:-1] for row in rows]) if rows else [[] for _ in types]
    places = ", ".join(parameters.add(one, f"{type_}[]") for one, type_ in zip(given, types, strict=True))
    vector = VECTOR.format(heads="head_words", body="body_words")
    carried = indexed(question.words, [*question.scope.needed, *needed(question.expression)], parameters)
    every = (
        f"select {_ROW} from searchable where {_within(question.scope, parameters)} and {carried}"
        f" and {_as_of(question.read, parameters)}"
        f" union all select kind, sort, name, revision, created, updated, doc::jsonb, {vector}, heads, body"
        f" from unnest({places}) as"
        " given(kind, sort, name, revision, created, updated, doc, heads, body, head_words, body_words)"
    )
    whole = (
        f"select {_keyed(question, parameters)}, heads, body from ({every}) as every"
        f" where {condition(question.expression, parameters)}"
    )
    return _chosen(question, whole, parameters, stored=False)


def _chosen(question: _Question, whole: str, parameters: Parameters, *, stored: bool = True) -> tuple[Any, ...]:
    """One page of `found`, which is the whole, in order."""
    names = _names(question.keys)
    behind = "true" if question.last is None else after(question.keys, names, question.last, parameters)
    order = _order(question.keys, names)
    page = (
        f"select * from found where {_within(question.scope, parameters)} and {behind}"
        f" order by {order} limit {question.size + 1}"
    )
    return (
        _shown(question, f"found as materialized ({whole})", "found", page, parameters, stored=stored),
        *parameters.values,
    )


def _shown(
    question: _Question, with_: str, source: str, page: str, parameters: Parameters, *, stored: bool = True
) -> str:
    """The rows of a page with their messages and snippets; at least a row of nulls, to say how many were there."""
    message = " ".join(
        f"when '{one.table}' then (select body from {quoted(one.table)} as stored where stored.sort = page.sort)"
        for one in question.scope.kinds
    )
    snippet = "null::text"
    if question.snippets and question.words:
        text = "heads || E'\\n' || body"
        headline = (
            f"ts_headline('english', {{}}, {tsquery(question.words, parameters)}, {parameters.add(_SNIPPET, 'text')})"
        )
        snippet = (
            headline.format(text)
            if not stored
            else (
                f"(select {headline.format(text)} from searchable as shown"
                " where shown.kind = page.kind and shown.sort = page.sort)"
            )
        )
    names = _names(question.keys) if source == "found" else [one.column for one in question.keys]
    keys = ", ".join(
        f"page.{name}::text as key{number}" if name.startswith("value") else f"page.{name} as key{number}"
        for number, name in enumerate(names)
    )
    return (
        f"with {with_} select (select count(*) from {source}) as looked, page.kind, page.name, {keys}, page.rank,"
        f" case page.kind {message} end as message, {snippet} as snippet"
        f" from (values (1)) as one(place) left join lateral ({page}) as page on true"
    )


def _keyed(question: _Question, parameters: Parameters) -> str:
    """Columns of a row with what it is ordered by."""
    made = [
        f"{expression(key, parameters)} as value{number}" for number, key in enumerate(question.keys) if not key.column
    ]
    ranked = rank(question.words, parameters) if question.words else "null::float4"
    return ", ".join(["kind, sort, name, revision, created, updated", f"{ranked} as rank", *made])


def _names(keys: Sequence[Key]) -> list[str]:
    return [one.column or f"value{number}" for number, one in enumerate(keys)]


def _order(keys: Sequence[Key], names: Sequence[str]) -> str:
    return ", ".join(
        f"{name} {key.direction} nulls last" if not key.column else f"{name} {key.direction}"
        for key, name in zip(keys, names, strict=True)
    )


def _within(scope: Scope, parameters: Parameters) -> str:
    tables = [one.table for one in scope.kinds]
    kinds = (
        f"kind = {parameters.add(tables[0], 'text')}"
        if len(tables) == 1
        else (f"kind = any({parameters.add(tables, 'text[]')})")
    )
    low, high = parameters.add(scope.low, "text"), parameters.add(scope.high, "text")
    return f"{kinds} and sort > {low} and sort < {high}"


def _as_of(read: ReadOptions, parameters: Parameters, time: str = "updated") -> str:
    if read.WhichOneof("as_of") == "as_of_revision":
        return f"revision <= {parameters.add(read.as_of_revision, 'bigint')}"
    return f"{time} <= {parameters.add(read.as_of_time.ToDatetime(tzinfo=UTC), 'timestamptz')}"


def _changed(question: _Question, kind: Kind) -> tuple[Any, ...]:
    parameters = Parameters()
    within = _within(Scope((kind,), question.scope.low), parameters)
    since = f"not ({_as_of(question.read, parameters)})"
    return f"select sort from searchable where {within} and {since} limit {_MOST_FORMER + 1}", *parameters.values


def _former(read: ReadOptions, kind: Kind, sorts: Sequence[str]) -> tuple[Any, ...]:
    parameters = Parameters()
    until = _as_of(read, parameters, "recorded_at")
    history = quoted(kind.table + "_history")
    sql = (
        f"select distinct on (sort) sort, name, revision, recorded_at, body from {history}"
        f" where sort = any({parameters.add(list(sorts), 'text[]')}) and {until} order by sort, revision desc"
    )
    return sql, *parameters.values


def _place_of(row: Any, keys: Sequence[Key]) -> str:
    """What the last row of a page is ordered by, as JSON."""
    values = [row[f"key{number}"] for number in range(len(keys))]
    plain = [(one - _EPOCH) // timedelta(microseconds=1) if isinstance(one, datetime) else one for one in values]
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _last(text: str, keys: Sequence[Key]) -> list[Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise unusable(error) from error
    if not isinstance(found, list) or len(found) != len(keys):
        raise unusable(ValueError("it is of another query"))
    return found


def _pieces(snippet: str) -> tuple[tuple[str, bool], ...]:
    """The text of a headline in pieces, with whether each matched."""
    pieces = []
    for number, part in enumerate(snippet.split("\x02")):
        matched, ended, plain = part.partition("\x03") if number else ("", "", part)
        pieces += [(matched, True)] if ended else []
        pieces += [(plain, False)] if plain else []
    return tuple(pieces)
