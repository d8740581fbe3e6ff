"""The statements of searches over `searchable`: constants and places for parameters, see kernel.filter_sql.

Each answers the rows of a page, with their messages and snippets, and in every row how many rows it has looked at; when
there are none, a single row that says nothing but that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from kernel import marks
from kernel.fields import Field, Type
from kernel.filter_sql import Needed, Parameters, condition, indexed, needed, rank, tsquery
from kernel.filters import Expression, Words
from kernel.fold import Kind
from kernel.index import VECTOR, columns
from kernel.ordering import Key, after, expression, reaching
from kernel.postgres import quoted
from modelog.type.v1.read_pb2 import ReadOptions

LOOKED_AT = 4000
PROBED = 1000
SAMPLED_AT = 9
MOST_RANKED = 1000
# Resources that have changed since a moment and are made into rows of it for one question.
MOST_FORMER = 10_000
RANK = Key(Field("rank", Type.NUMBER, lambda _: None, column="rank"), (), True)
NEWEST = Key(Field("revision", Type.NUMBER, lambda _: None, column="revision"), (), True)
_SNIPPET = 'MaxFragments=2, MaxWords=18, MinWords=6, FragmentDelimiter=" ... ", StartSel=\x02, StopSel=\x03'
_ROW = "kind, sort, name, revision, created, updated, doc, tsv, heads, body"


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
class Question:
    scope: Scope
    expression: Expression
    words: tuple[Words, ...]  # Those that every answer holds.
    keys: tuple[Key, ...]
    read: ReadOptions
    size: int
    last: list[Any] | None
    snippets: bool = False


def native(keys: tuple[Key, ...]) -> bool:
    """Whether an index gives this order."""
    columns_ = [one.column for one in keys]
    one_way = len({one.descending for one in keys}) == 1
    return columns_ in (["sort"], ["revision"]) or (columns_ in (["created", "sort"], ["updated", "sort"]) and one_way)


def looking(question: Question) -> tuple[Any, ...]:
    """The next rows in the order of the list, and those among them that meet the filter."""
    parameters = Parameters()
    names = [one.column for one in question.keys]
    below = within(question.scope, parameters)
    behind = "true"
    if question.last is not None:
        behind = after(question.keys, names, question.last, parameters)
        if len(names) == 2:  # So that the index is entered there, and not at its end.
            behind += " and " + reaching(question.keys[0], names[0], question.last[0], parameters)
    inside = f"{below} and {behind}" if names == ["sort"] else behind
    order = _order(question.keys, names)
    looked = f"select {_ROW} from searchable where {inside} order by {order} limit {LOOKED_AT}"
    chosen = (
        f"select {_ROW}, null::float4 as rank from looked"
        f" where {below} and {condition(question.expression, parameters)} order by {order} limit {question.size + 1}"
    )
    return (_shown(question, f"looked as materialized ({looked})", "looked", chosen, parameters), *parameters.values)


def sampled(question: Question) -> tuple[Any, ...]:
    """The first key of the row that is tenth in order among some rows of the list."""
    parameters = Parameters()
    below = within(question.scope, parameters)
    key = f"{expression(question.keys[0], parameters)}"
    some = f"select {_ROW} from searchable where {below} order by sort limit {LOOKED_AT}"
    behind = "true"
    if question.last is not None and question.last[0] is not None:
        behind = reaching(question.keys[0], key, question.last[0], parameters)
    matching = f"{condition(question.expression, parameters)} and {behind} and {key} is not null"
    order = f"order by {key} {question.keys[0].direction} limit 1 offset {SAMPLED_AT}"
    return f"select ({key})::float8 from ({some}) as sample where {matching} {order}", *parameters.values


def marked(question: Question) -> tuple[Any, ...]:
    """Whatever carries the marks and meets the filter, then put in order; of words, the newest of it."""
    parameters = Parameters()
    marks_ = [*question.scope.needed, *needed(question.expression)]
    having = [indexed(question.words, marks_, parameters), condition(question.expression, parameters)]
    having.append(f"({within(question.scope, parameters)}) is true")
    source = f"searchable where {' and '.join(having)}"
    if question.keys[0] is RANK:  # `+ 0` keeps the index of revisions out of it.
        source = f"(select {_ROW} from {source} order by revision + 0 desc limit {MOST_RANKED}) as newest"
    return _chosen(question, f"select {_keyed(question, parameters)} from {source}", parameters)


def common(question: Question) -> tuple[Any, ...]:
    """How many of the newest rows of all match."""
    parameters = Parameters()
    matching = f"({within(question.scope, parameters)}) and {condition(question.expression, parameters)}"
    newest = f"select {_ROW} from searchable order by revision desc limit {PROBED}"
    return f"select count(*) from ({newest}) as newest where {matching}", *parameters.values


def newest_ranked(question: Question) -> tuple[Any, ...]:
    """Where words are in too many resources to rank all, the newest of them are ranked."""
    parameters = Parameters()
    # `is true` keeps other indexes out of it: most rows match, so walking back from the newest is quicker.
    inner = (
        f"select {_ROW} from searchable where ({within(question.scope, parameters)}) is true"
        f" and ({condition(question.expression, parameters)}) is true order by revision desc limit {MOST_RANKED}"
    )
    return _chosen(question, f"select {_keyed(question, parameters)} from ({inner}) as newest", parameters)


def past(question: Question, rows: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Rows of now that were so then already, and rows made of what was."""
    parameters = Parameters()
    types = ("text", "text", "text", "bigint", "timestamptz", "timestamptz", "text", "text", "text", "text", "text")
    given = columns([row[:-1] for row in rows]) if rows else [[] for _ in types]
    places = ", ".join(parameters.add(one, f"{type_}[]") for one, type_ in zip(given, types, strict=True))
    vector = VECTOR.format(heads="head_words", body="body_words")
    carried = indexed(question.words, [*question.scope.needed, *needed(question.expression)], parameters)
    every = (
        f"select {_ROW} from searchable where {within(question.scope, parameters)} and {carried}"
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


def _chosen(question: Question, whole: str, parameters: Parameters, *, stored: bool = True) -> tuple[Any, ...]:
    """One page of `found`, which is the whole, in order."""
    names = _names(question.keys)
    behind = "true" if question.last is None else after(question.keys, names, question.last, parameters)
    order = _order(question.keys, names)
    page = (
        f"select * from found where {within(question.scope, parameters)} and {behind}"
        f" order by {order} limit {question.size + 1}"
    )
    return (
        _shown(question, f"found as materialized ({whole})", "found", page, parameters, stored=stored),
        *parameters.values,
    )


def _shown(
    question: Question, with_: str, source: str, page: str, parameters: Parameters, *, stored: bool = True
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


def _keyed(question: Question, parameters: Parameters) -> str:
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


def within(scope: Scope, parameters: Parameters) -> str:
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


def changed(question: Question, kind: Kind) -> tuple[Any, ...]:
    parameters = Parameters()
    below = within(Scope((kind,), question.scope.low), parameters)
    since = f"not ({_as_of(question.read, parameters)})"
    return f"select sort from searchable where {below} and {since} limit {MOST_FORMER + 1}", *parameters.values


def former(read: ReadOptions, kind: Kind, sorts: Sequence[str]) -> tuple[Any, ...]:
    parameters = Parameters()
    until = _as_of(read, parameters, "recorded_at")
    history = quoted(kind.table + "_history")
    sql = (
        f"select distinct on (sort) sort, name, revision, recorded_at, body from {history}"
        f" where sort = any({parameters.add(list(sorts), 'text[]')}) and {until} order by sort, revision desc"
    )
    return sql, *parameters.values
