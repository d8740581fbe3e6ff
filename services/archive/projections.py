"""Keeps every payload of the log, poison included, and the Merkle tree over them."""

from collections.abc import Sequence
from typing import Any

from kernel.log import Entry
from services.archive.merkle import leaf_hash
from services.archive.reading import Row, row_of
from services.archive.tiles import edge, extend

RAW_TABLES = ("entry", "tile")
_MANY = 300  # From here on COPY beats arrays.

_INSERT_ENTRIES = (
    "insert into entry (revision, subject, payload, resource, event_type, actor, correlation_id, recorded_at,"
    " happened_at)"
    " select * from unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[],"
    " $8::timestamptz[], $9::timestamptz[])"
)
_RESOURCE_OF = (
    "select distinct on (subject) subject, resource from entry where subject = any($1::text[]) and resource <> ''"
    " order by subject, revision"
)
_EDGE = (
    "select level, number, hashes from tile"
    " where (level, number) in (select * from unnest($1::smallint[], $2::bigint[]))"
)
_WRITE_TILES = (
    "insert into tile (level, number, hashes) select * from unnest($1::smallint[], $2::bigint[], $3::bytea[])"
    " on conflict (level, number) do update set hashes = excluded.hashes"
)


async def raw(connection: Any, entries: Sequence[Entry]) -> None:
    """Takes part in the transaction of each batch, with every message of it as it is stored in the log."""
    rows = await _with_resources(connection, [row_of(entry) for entry in entries])
    if len(rows) < _MANY:
        await connection.execute(_INSERT_ENTRIES, *_columns(rows))
    else:
        await connection.copy_records_to_table("entry", records=rows, columns=list(Row._fields))
    size = entries[0].revision - 1
    wanted = edge(size)
    found = await connection.fetch(_EDGE, *_columns(wanted)) if wanted else []
    begun = {(row["level"], row["number"]): row["hashes"] for row in found}
    try:
        changed = extend(begun, size, [leaf_hash(entry.payload) for entry in entries])
    except (KeyError, ValueError) as error:
        # Nothing of this is in a fact, so no fact may be blamed: the batch must not be written at all.
        raise RuntimeError(f"the stored tree does not end at {size}: rebuild this schema ({error})") from error
    await connection.execute(_WRITE_TILES, *_columns([(*tile, hashes) for tile, hashes in changed.items()]))


async def _with_resources(connection: Any, rows: list[Row]) -> list[Row]:
    """An unreadable payload belongs to the resource whose facts live on the same subject, if there are any."""
    subjects = {row.subject for row in rows if not row.resource}
    if not subjects:
        return rows
    found = await connection.fetch(_RESOURCE_OF, list(subjects))
    known = {row["subject"]: row["resource"] for row in found}
    result = []
    for row in rows:
        if row.resource:
            known.setdefault(row.subject, row.resource)
            result.append(row)
        else:
            result.append(row._replace(resource=known.get(row.subject, "")))
    return result


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
