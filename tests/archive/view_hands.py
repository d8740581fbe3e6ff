"""Hands that tamper with tables of views as somebody with every right to the database would.

Each takes a table and says which finding has to name what it did, or None where the table does not lend itself to it.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from kernel.postgres import quoted

_COLUMNS = (
    "select attname, format_type(atttypid, null) as type, coalesce(attnum = any(indkey::int2[]), false) as key"
    " from pg_attribute left join pg_index on indrelid = attrelid and indisprimary"
    " where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum"
)
# No two resources share it, though it is no key.
_UNIQUE = "sort"
# Another value of a type than the one that is there.
_OTHER = {
    "text": "{} || 'x'",
    "bytea": "{} || '\\x00'::bytea",
    "bigint": "{} + 1000000",
    "integer": "{} + 1000000",
    "smallint": "{} + 1000",
    "boolean": "not {}",
    "timestamp with time zone": "{} + interval '1 microsecond'",
    "jsonb": "'{{\"forged\": 1}}'::jsonb",
}


class Table(NamedTuple):
    """A table with rows: its columns with their types, those of its key, and where its rows stand."""

    name: str
    types: dict[str, str]
    key: list[str]
    places: list[str]


class Done(NamedTuple):
    """The finding that has to come of it: the table, what, and a column or a value of the key in its message."""

    table: str
    reason: str
    word: str


Hand = Callable[[Any, Table, random.Random], Awaitable[Done | None]]


async def tables_of(connection: Any, schema: str) -> list[Table]:
    """Those of the views that have rows."""
    found = []
    names = await connection.fetch(
        "select relname from pg_class where relnamespace = $1::regnamespace and relkind = 'r' order by relname", schema
    )
    for (name,) in names:
        if name in ("migration", "position", "entry", "tile"):
            continue
        columns = await connection.fetch(_COLUMNS, f"{schema}.{name}")
        places = [str(one[0]) for one in await connection.fetch(f"select ctid from {quoted(name)} order by ctid")]
        places = [f"({place})" if not place.startswith("(") else place.replace(" ", "") for place in places]
        if places:
            types, key = (
                {one["attname"]: one["type"] for one in columns},
                [one["attname"] for one in columns if one["key"]],
            )
            found.append(Table(name, types, key, places))
    return found


async def edit(connection: Any, table: Table, chance: random.Random) -> Done | None:
    """Another value in one column."""
    columns = [one for one, type_ in table.types.items() if one not in table.key and type_ in _OTHER]
    if not columns:
        return None
    column, place = chance.choice(columns), chance.choice(table.places)
    if await connection.fetchval(f"select {quoted(column)} is null from {quoted(table.name)} where ctid = '{place}'"):
        return None
    value = _OTHER[table.types[column]].format(quoted(column))
    await connection.execute(f"update {quoted(table.name)} set {quoted(column)} = {value} where ctid = '{place}'")
    return Done(table.name, "CHANGED", column)


async def flip(connection: Any, table: Table, chance: random.Random) -> Done | None:
    """One bit of a stored message."""
    columns = [one for one, type_ in table.types.items() if one not in table.key and type_ == "bytea"]
    if not columns:
        return None
    column, place = quoted(chance.choice(columns)), chance.choice(table.places)
    bits = 8 * await connection.fetchval(f"select length({column}) from {quoted(table.name)} where ctid = '{place}'")
    if not bits:
        return None
    at = chance.randrange(bits)
    await connection.execute(
        f"update {quoted(table.name)} set {column} = set_bit({column}, {at}, 1 - get_bit({column}, {at}))"
        f" where ctid = '{place}'"
    )
    return Done(table.name, "CHANGED", column.strip('"'))


async def drop(connection: Any, table: Table, chance: random.Random) -> Done | None:
    place = chance.choice(table.places)
    word = await _key(connection, table, place)
    await connection.execute(f"delete from {quoted(table.name)} where ctid = '{place}'")
    return Done(table.name, "MISSING", word)


async def insert(connection: Any, table: Table, chance: random.Random) -> Done | None:
    """A row like another one, under a key that no fact made."""
    columns = [one for one in table.key if table.types[one] in _OTHER]
    if not columns:
        return None
    column, place = chance.choice(columns), chance.choice(table.places)
    picked = [
        _OTHER[table.types[one]].format(quoted(one)) if one in (column, _UNIQUE) else quoted(one) for one in table.types
    ]
    word = await connection.fetchval(
        f"select ({_OTHER[table.types[column]].format(quoted(column))})::text"
        f" from {quoted(table.name)} where ctid = '{place}'"
    )
    await connection.execute(
        f"insert into {quoted(table.name)} select {', '.join(picked)} from {quoted(table.name)} where ctid = '{place}'"
    )
    return Done(table.name, "INSERTED", word)


async def swap(connection: Any, table: Table, chance: random.Random) -> Done | None:
    """Two rows with each other's content."""
    columns = [quoted(one) for one in table.types if one not in (*table.key, _UNIQUE)]
    if len(table.places) < 2 or not columns:
        return None
    one, other = chance.sample(table.places, 2)
    rows = [await _values(connection, table, columns, place) for place in (one, other)]
    if rows[0] == rows[1]:
        return None
    word = await _key(connection, table, one)
    given = ", ".join(f"{column} = theirs.{column}" for column in columns)
    await connection.execute(
        f"update {quoted(table.name)} as own set {given} from {quoted(table.name)} as theirs"
        f" where (own.ctid, theirs.ctid) in (('{one}'::tid, '{other}'::tid), ('{other}'::tid, '{one}'::tid))"
    )
    return Done(table.name, "CHANGED", word)


async def cut(connection: Any, table: Table, chance: random.Random) -> Done | None:
    """The rows from one on."""
    at = chance.randrange(len(table.places))
    word = await _key(connection, table, table.places[at])
    gone = ", ".join(f"'{place}'::tid" for place in table.places[at:])
    await connection.execute(f"delete from {quoted(table.name)} where ctid in ({gone})")
    return Done(table.name, "MISSING", word)


HANDS: Sequence[Hand] = (edit, flip, drop, insert, swap, cut)


async def _values(connection: Any, table: Table, columns: Sequence[str], place: str) -> Any:
    return await connection.fetchrow(f"select {', '.join(columns)} from {quoted(table.name)} where ctid = '{place}'")


async def _key(connection: Any, table: Table, place: str) -> str:
    """A value of the row's key as a finding tells it."""
    column = quoted(table.key[0])
    word: str = await connection.fetchval(f"select {column}::text from {quoted(table.name)} where ctid = '{place}'")
    return word
