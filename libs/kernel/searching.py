"""Lists with filters and orders, and full text: pages of `searchable`, found by what makes few rows to look at.

A list looks at the next few thousand rows in its order first: where many match, the page is full by then. Where it is
not, few match, and the index of marks finds them. Words that the newest rows are full of are looked for in the newest
rows alone, others by the index of words.

Former states are judged by the very same conditions: a row of now stands for every moment since its newest fact, and
what has changed since is made into rows of that moment, from the history, for this one question.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from kernel import search_sql as sql
from kernel.errors import Exhausted, Invalid
from kernel.fields import Schema, Searchable, Type
from kernel.filters import And, Comparison, Expression, Words, parse
from kernel.fold import Kind
from kernel.folding import History
from kernel.index import row_of
from kernel.ordering import Key, parse_order
from kernel.page_tokens import opened, sealed, unusable
from kernel.postgres import Pool
from modelog.type.v1.read_pb2 import ReadOptions

PAGE_SIZE = 50
_MOST_ROWS = 500
_AT_ONCE = 200
_COMMON = sql.PROBED // 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Found(NamedTuple):
    """One resource of a page. rank: of full text, 0 without. snippet: pieces of its text, those that matched marked."""

    kind: Kind
    name: str
    body: bytes
    rank: float
    snippet: tuple[tuple[str, bool], ...]


class Searches:
    """Pages of the kinds that a service lets search."""

    def __init__(self, pool: Pool, searchables: Sequence[Searchable]) -> None:
        self._pool = pool
        self._of = {one.kind: one for one in searchables}
        self._schemas: dict[tuple[Kind, ...], Schema] = {}

    async def page(self, kind: Kind, low: str, request: Any) -> tuple[list[bytes], str]:
        """A page of a list with page_size, page_token, read, filter and order_by, and the token of the next."""
        schema = self._schema((kind,))
        scope = sql.Scope((kind,), low)
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
        keys = (sql.RANK, sql.NEWEST) if _words(both) else (sql.NEWEST,)
        return await self._answer(
            sql.Scope(tuple(kinds), low), both, keys, request, f"{request.query}\0{request.filter}", snippets=True
        )

    def _schema(self, kinds: tuple[Kind, ...]) -> Schema:
        if kinds not in self._schemas:
            if missing := [one.table for one in kinds if one not in self._of]:
                raise Invalid("NOT_SEARCHABLE", f"{', '.join(missing)} takes no filter and no order; leave them out")
            self._schemas[kinds] = Schema(self._of[one] for one in kinds)
        return self._schemas[kinds]

    async def _answer(
        self,
        scope: sql.Scope,
        filter_: Expression,
        keys: tuple[Key, ...],
        request: Any,
        asked: str,
        snippets: bool = False,
    ) -> tuple[list[Found], str]:
        read: ReadOptions = request.read
        kinds = " ".join(one.table for one in scope.kinds)
        query = f"{kinds} {scope.low} {read.as_of_revision} {read.as_of_time.ToMicroseconds()} {asked}"
        last = _last(opened(request.page_token, query), keys) if request.page_token else None
        size = min(request.page_size or PAGE_SIZE, _MOST_ROWS)
        question = sql.Question(scope, filter_, _words(filter_), keys, read, size, last, snippets)
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

    async def _now(self, question: sql.Question) -> Sequence[Any]:
        if question.keys[0] is sql.RANK:
            return _there(await self._ranked(question))
        if sql.native(question.keys):
            rows = await self._fetch(*sql.looking(question))
            if len(_there(rows)) > question.size or rows[0]["looked"] < sql.LOOKED_AT:
                return _there(rows)
        elif _is_number(question.keys[0]):
            rows = await self._best(question)
            if len(rows) > question.size:
                return rows
        return _there(await self._fetch(*sql.marked(question)))

    async def _best(self, question: sql.Question) -> list[Any]:
        """Rows of a list by a number that are no worse than what is tenth among some of them: where they fill a page,
        it is the right one, and the marks of the number have found it without ordering all."""
        found = await self._fetch(*sql.sampled(question))
        if not found:
            return []
        key = question.keys[0]
        bound = Comparison(key.field, key.rest, ">=" if key.descending else "<=", found[0][0])
        bounded = [bound]
        if question.last is not None and question.last[0] is not None:
            bounded.append(replace(bound, operator="<=" if key.descending else ">=", value=float(question.last[0])))
        near = replace(question, expression=And((question.expression, *bounded)))
        return _there(await self._fetch(*sql.marked(near)))

    async def _ranked(self, question: sql.Question) -> Sequence[Any]:
        """The newest matches, by rank. How they are found depends on how many there are, what is found does not."""
        if (await self._fetch(*sql.common(question)))[0][0] < _COMMON:
            return await self._fetch(*sql.marked(question))
        return await self._fetch(*sql.newest_ranked(question))

    async def _then(self, question: sql.Question) -> tuple[Sequence[Any], dict[str, bytes]]:
        """As of a moment. One snapshot, so that nothing changes between what is now and what was."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows: list[tuple[Any, ...]] = []
            bodies: dict[str, bytes] = {}
            for kind in question.scope.kinds:
                changed = [one["sort"] for one in await connection.fetch(*sql.changed(question, kind))]
                if len(changed) > sql.MOST_FORMER:
                    raise Exhausted(
                        "TOO_MUCH_CHANGED",
                        f"over {sql.MOST_FORMER} resources have changed since; ask about one model, or a later moment",
                    )
                for begin in range(0, len(changed), _AT_ONCE):
                    stored = await connection.fetch(*sql.former(question.read, kind, changed[begin : begin + _AT_ONCE]))
                    for one in stored:
                        history = History(one["name"], one["sort"], one["revision"], one["recorded_at"], one["body"])
                        rows.append(row_of(self._of[kind], history))
                        bodies[one["name"]] = one["body"]
                    await asyncio.sleep(0)  # Others are served while many are made.
            return _there(await connection.fetch(*sql.past(question, rows))), bodies

    async def _fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        return await self._pool.fetch(sql, *arguments)


def _there(rows: Sequence[Any]) -> list[Any]:
    """Without the row of nulls that stands for none."""
    return [row for row in rows if row["name"] is not None]


def _is_number(key: Key) -> bool:
    """Whether it orders by a number of the document, and not by a map that holds some."""
    return key.field.type is Type.NUMBER and not key.column and len(key.rest) == key.field.depth


def _words(expression: Expression) -> tuple[Words, ...]:
    match expression:
        case Words():
            return (expression,)
        case And(parts):
            return tuple(one for part in parts for one in _words(part))
    return ()


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
