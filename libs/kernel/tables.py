"""The tables every kind of resource has, and the SQL over them: newest state, former states, and their bookkeeping.

<kind>           one row a resource: the newest folded message, byte for byte what Get answers
<kind>_history   one row a fact: the message as it was after that fact
request          what each request of this service came to, for ever
quarantine       resources that hold a fact which could not be read
position         the revision up to which all of these are folded; moved in the transaction of each batch
"""

from functools import lru_cache
from typing import Any

from kernel.fold import Kind
from kernel.postgres import quoted

_KIND = """
create table if not exists {table} (
  name text primary key, sort text collate "C" not null, revision bigint not null, body bytea not null);
create unique index if not exists {table}_sort on {table} (sort);
create table if not exists {history} (
  name text not null, sort text collate "C" not null, revision bigint not null,
  recorded_at timestamptz not null, body bytea not null, primary key (name, revision));
create index if not exists {table}_history_sort on {history} (sort, revision);
"""

_COMMON = """
create table if not exists request (
  id bytea primary key, digest bytea not null, name text not null, revision bigint not null,
  generation bigint not null);
create table if not exists quarantine (
  name text primary key, kind text not null, subject text not null, revision bigint not null, reason text not null);
create table if not exists position (single boolean primary key default true check (single), revision bigint not null);
insert into position (revision) values (0) on conflict do nothing;
"""


async def create(connection: Any, kinds: tuple[Kind, ...]) -> None:
    await connection.execute(_COMMON)
    for kind in kinds:
        quoted(kind.table)
        await connection.execute(_KIND.format(table=kind.table, history=kind.table + "_history"))


@lru_cache
def select_many(kind: Kind) -> str:
    return f"select name, body from {quoted(kind.table)} where name = any($1::text[])"


@lru_cache
def select_former(kind: Kind, column: str, type_: str) -> str:
    """What was at these names ($1) by these revisions or times ($2), each where there was something."""
    return (
        f"select asked.name, asked.until, former.body from unnest($1::text[], $2::{type_}[]) as asked (name, until)"
        f" cross join lateral (select body from {quoted(kind.table + '_history')} where name = asked.name"
        f" and {quoted(column)} <= asked.until order by revision desc limit 1) as former"
    )


@lru_cache
def select_page(kind: Kind) -> str:
    return f"select sort, body from {quoted(kind.table)} where sort > $1 and sort < $2 order by sort limit $3"


@lru_cache
def select_page_as_of(kind: Kind, column: str) -> str:
    """Every resource has a row of now, so each is looked up once, however many former states it has."""
    table, history = quoted(kind.table), quoted(kind.table + "_history")
    return (
        f"select present.sort, former.body from {table} as present cross join lateral ("
        f"select body from {history} where name = present.name and {quoted(column)} <= $4"
        " order by revision desc limit 1) as former"
        " where present.sort > $1 and present.sort < $2 order by present.sort limit $3"
    )


# Of what bears a name or lies below it: $1 is the sort key of the last one seen, $2 that of the name.
_BELOW = (
    "present.sort > $1 and present.sort >= $2::text and present.sort < $2::text || '0'"
    " and (present.sort = $2::text or present.sort > $2::text || '/')"
)


def _at(kind: Kind, condition: str, word: str) -> str:
    history = quoted(kind.table + "_history")
    return (
        f"lateral (select revision, body from {history} where name = present.name and {condition}"
        f" order by revision desc limit 1) as {word}"
    )


@lru_cache
def select_states(kind: Kind, column: str) -> str:
    """$1, $2: see _BELOW; $3: how many; $4: until which revision or time, by the column."""
    return (
        f"select present.name, present.sort, latter.revision, latter.body from {quoted(kind.table)} as present"
        f" cross join {_at(kind, f'{quoted(column)} <= $4', 'latter')} where {_BELOW} order by present.sort limit $3"
    )


@lru_cache
def select_changes(kind: Kind, column: str) -> str:
    """The same of what has changed since revision $5, with what was there then."""
    return (
        "select present.name, present.sort, latter.revision, latter.body,"
        " former.revision as former_revision, former.body as former_body"
        f" from {quoted(kind.table)} as present cross join {_at(kind, f'{quoted(column)} <= $4', 'latter')}"
        f" left join {_at(kind, 'revision <= $5', 'former')} on true"
        f" where {_BELOW} and present.revision > $5 and latter.revision > $5 order by present.sort limit $3"
    )


@lru_cache
def select_highest(kind: Kind) -> str:
    return f"select name from {quoted(kind.table)} where sort > $1 and sort < $2 order by sort desc limit 1"


# A request id of one actor makes one fact id, so a second row could only say the same again.
# $1..$5: ids, digests, names, revisions, generations.
INSERT_REQUESTS = (
    "insert into request (id, digest, name, revision, generation)"
    " select * from unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[])"
    " on conflict (id) do nothing"
)
SELECT_REQUESTS = "select id, digest, name, revision, generation from request where id = any($1::bytea[])"
COUNT_REQUESTS = "select count(*) from request"
SELECT_REQUEST_IDS = "select id from request"
INSERT_QUARANTINE = (
    "insert into quarantine (name, kind, subject, revision, reason) values ($1, $2, $3, $4, $5)"
    " on conflict (name) do nothing"
)
_MOVE = "update position set revision = $7 where revision = $6 returning revision"
# Writes the requests ($1..$5), moves the position from $6 to $7 only for the projector that moved it last, and tells
# whoever waits ($8: channel, $9: words).
MOVE_POSITION = f"with requests as ({INSERT_REQUESTS}), moved as ({_MOVE}) select pg_notify($8, $9) from moved"
HISTORY_COLUMNS = ("name", "sort", "revision", "recorded_at", "body")
_NEWEST = "(name, sort, revision, body) select * from unnest(${}::text[], ${}::text[], ${}::bigint[], ${}::bytea[])"
_FORMER = (
    "(name, sort, revision, recorded_at, body)"
    " select * from unnest(${}::text[], ${}::text[], ${}::bigint[], ${}::timestamptz[], ${}::bytea[])"
)
# ${}: names taken to be new. One that is not makes its revision null, which the table refuses with the whole batch.
_REPLACE = (
    "on conflict (name) do update set body = excluded.body,"
    " revision = case when stored.name = any(${}::text[]) then null else excluded.revision end"
)


@lru_cache
def upsert(kind: Kind) -> str:
    """Newest states: names, sort keys, revisions, bodies, and which of the names are taken to be new."""
    return f"insert into {quoted(kind.table)} as stored {_NEWEST.format(1, 2, 3, 4)} {_REPLACE.format(5)}"


@lru_cache
def write_few(kind: Kind) -> str:
    """`upsert` and the history ($6..$10: names, sort keys, revisions, times, bodies) in one round trip."""
    history = f"insert into {quoted(kind.table + '_history')} {_FORMER.format(6, 7, 8, 9, 10)}"
    return f"with newest as ({upsert(kind)}) {history}"


@lru_cache
def write_at_once(kind: Kind) -> str:
    """A whole batch of one kind in one statement: MOVE_POSITION ($1..$9), newest ($10..$14) and history ($15..$19).

    Rows are written only where the position moved.
    """
    moved = "where exists (select 1 from moved)"
    return (
        f"with requests as ({INSERT_REQUESTS}), moved as ({_MOVE}),"
        f" newest as (insert into {quoted(kind.table)} as stored"
        f" {_NEWEST.format(10, 11, 12, 13)} {moved} {_REPLACE.format(14)}),"
        f" history as (insert into {quoted(kind.table + '_history')} {_FORMER.format(15, 16, 17, 18, 19)} {moved})"
        " select pg_notify($8, $9) from moved"
    )


@lru_cache
def delete_history(kind: Kind) -> str:
    return f"delete from {quoted(kind.table + '_history')} where name = $1"
