"""Digests of a schema's views: a rebuild is right when every table has the same bytes as before."""

import hashlib

from kernel.postgres import Pool, quoted

_TABLES = (
    "select table_name from information_schema.tables"
    " where table_schema = $1 and table_type = 'BASE TABLE' order by table_name"
)


async def views_digest(pool: Pool, schema: str) -> dict[str, str]:
    """SHA-256 of each table of the schema as text in a fixed order, by table name."""
    digests: dict[str, str] = {}
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        for row in await connection.fetch(_TABLES, schema):
            name = row["table_name"]
            sink = hashlib.sha256()

            async def take(data: bytes, into: "hashlib._Hash" = sink) -> None:
                into.update(data)

            whole = f"{quoted(schema)}.{quoted(name)}"
            await connection.copy_from_query(
                f'select * from {whole} as "row" order by "row"::text collate "C"', output=take
            )
            digests[name] = sink.hexdigest()
    return digests
