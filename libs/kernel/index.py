"""The table `searchable`: one row a resource that can be searched, as it is now, written with the resource itself.

kind, sort       which resource: the table of its kind, and its sort key
doc              its values, by the paths of its fields
tsv              its words, plain and as English stems, those of heads weighing more; and its marks, see kernel.marks
heads, body      its words as they are shown

Former states are not here: see kernel.searching for how they are searched.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from kernel.documents import Document, document, indexed_text
from kernel.fields import Searchable
from kernel.fold import Kind
from kernel.folding import History

# Filters read doc again and again, so it is neither compressed nor moved away while there is room for it. New entries
# of the index wait in a list that every search reads through, so that is kept short (kB).
_TABLE = """
create table if not exists searchable (
  kind text not null, sort text collate "C" not null, name text not null, revision bigint not null,
  created timestamptz not null, updated timestamptz not null, doc jsonb storage main not null,
  heads text not null,
  body text not null, tsv tsvector not null, primary key (kind, sort));
create index if not exists searchable_created on searchable (created, sort);
create index if not exists searchable_updated on searchable (updated, sort);
create index if not exists searchable_revision on searchable (revision);
create index if not exists searchable_tsv on searchable using gin (tsv) with (gin_pending_list_limit = 1024);
"""
VECTOR = (
    "setweight(to_tsvector('simple', {heads}) || to_tsvector('english', {heads}), 'A')"
    " || to_tsvector('simple', {body}) || to_tsvector('english', {body})"
)
_TYPES = "text text text bigint timestamptz timestamptz text text text text text text".split()


def _upsert(first: int, where: str = "") -> str:
    """Writes rows whose columns are the parameters from `first` on."""
    places = ", ".join(f"${first + number}::{type_}[]" for number, type_ in enumerate(_TYPES))
    return (
        "insert into searchable (kind, sort, name, revision, created, updated, doc, heads, body, tsv)"
        " select kind, sort, name, revision, created, updated, doc::jsonb, heads, body,"
        f" {VECTOR.format(heads='head_words', body='body_words')} || array_to_tsvector(marks::text[])"
        f" from unnest({places}) as"
        f" given(kind, sort, name, revision, created, updated, doc, heads, body, head_words, body_words, marks){where}"
        " on conflict (kind, sort) do update set revision = excluded.revision, updated = excluded.updated,"
        " doc = excluded.doc, heads = excluded.heads, body = excluded.body, tsv = excluded.tsv"
    )


_UPSERT = _upsert(1)
_CHUNK = 500


def known_as(fold: str) -> str:
    """The digest of a fold that writes this table too: its statements are no functions, and count as well."""
    return hashlib.sha256(f"{fold}{_TABLE}{_UPSERT}".encode()).hexdigest()


async def create(connection: Any) -> None:
    await connection.execute(_TABLE)


class Index:
    """Writes the rows of the resources that a batch touched, each once, as the batch leaves it."""

    def __init__(self, searchables: Sequence[Searchable]) -> None:
        self._of = {one.kind: one for one in searchables}

    def touched_by(self, kinds: Mapping[Kind, Any]) -> bool:
        return any(kind in self._of for kind in kinds)

    async def write(self, connection: Any, newest: Mapping[Kind, Mapping[str, History]]) -> None:
        """Takes part in the transaction of each batch."""
        rows = self._rows(newest)
        for begin in range(0, len(rows), _CHUNK):
            await connection.execute(_UPSERT, *columns(rows[begin : begin + _CHUNK]))

    def at_once(
        self, statement: str, arguments: Sequence[Any], newest: Mapping[Kind, Mapping[str, History]]
    ) -> tuple[Any, ...]:
        """The statement of `tables.write_at_once` and its arguments, so that it writes these rows as well."""
        with_, select, moved = statement.rpartition(" select pg_notify")
        rows = _upsert(len(arguments) + 1, " where exists (select 1 from moved)")
        return f"{with_}, indexed as ({rows}){select}{moved}", *arguments, *columns(self._rows(newest))

    def _rows(self, newest: Mapping[Kind, Mapping[str, History]]) -> list[tuple[Any, ...]]:
        return [
            row_of(self._of[kind], history)
            for kind, histories in newest.items()
            if kind in self._of
            for history in histories.values()
        ]


def row_of(searchable: Searchable, history: History) -> tuple[Any, ...]:
    """A state of a resource as a row, with the words of heads and body in place of their vector."""
    state = searchable.kind.message.FromString(history.body)
    made = document(searchable, state)
    return (searchable.kind.table, history.sort, history.name, history.revision, *_parts(made, history.recorded_at))


def _parts(made: Document, updated: datetime) -> tuple[Any, ...]:
    return (
        made.created,
        updated,
        orjson.dumps(made.values).decode(),
        made.heads,
        made.body,
        indexed_text(made.heads),
        indexed_text(made.body),
        "{" + ",".join(made.marks) + "}",
    )


def columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
