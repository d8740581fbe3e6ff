"""Pools, schemas and migrations. Views are disposable, so they may lose the last instants before a power cut."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

# What calls raise while Postgres is away, starting or shutting down: the same call may succeed later.
UNREACHABLE = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,  # The password is being changed: the file is read at each try.
)
_MIGRATION_LOCK = 7_306_001


async def create_pool(url: str, *, schema: str, name: str, size: int = 6) -> Pool:
    """A pool whose connections see `schema` only. `size` bounds the connections."""

    async def keep(_connection: Any) -> None:
        """Nothing here changes session state, so the round trip that would reset it is saved."""

    options = {
        "application_name": name,
        "search_path": f'"{schema}"',
        "synchronous_commit": "off",
        "idle_in_transaction_session_timeout": "60000",
        "jit": "off",
        # Look-ups by key have one good plan, so none is made anew for each; and none made on an empty table is a scan.
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
    }
    pool: Pool = await asyncpg.create_pool(
        url, min_size=1, max_size=size, command_timeout=60, server_settings=options, reset=keep
    )
    return pool


@asynccontextmanager
async def owning(url: str, *, schema: str) -> AsyncIterator[Pool]:
    """One connection, for as long as tables are made."""
    pool = await create_pool(url, schema=schema, name="modelog-owner", size=1)
    try:
        yield pool
    finally:
        await pool.close()


def quoted(identifier: str) -> str:
    """An identifier as SQL wants it; ours are plain, so anything else is a mistake."""
    if not identifier.replace("_", "").isalnum():
        raise ValueError(f"not a plain identifier: {identifier!r}")
    return f'"{identifier}"'


_FOLD = "fold"  # Kept among the migrations, as if it were one: the digest of what folds the views.


class ChangedMigration(Exception):
    """A file was changed after it was applied, or views were folded by another fold than this build's."""


async def migrate(
    pool: Pool,
    *,
    schema: str,
    folder: Path | None = None,
    first: Callable[[Any], Awaitable[None]] | None = None,
    fold: str = "",
    anew: bool = False,
) -> None:
    """Creates the schema and applies the numbered *.sql of `folder` once each, under one lock for all processes.

    `first` runs before the files, for tables the kernel makes. anew: drops the schema before, for views, which the log
    gives back. fold: digest of what folds the views, empty where nothing is folded. Raises ChangedMigration when a
    file's text is not what was applied, or the fold is not what the views were made by.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        if anew:
            await connection.execute(f"drop schema if exists {quoted(schema)} cascade")
        await connection.execute(f"create schema if not exists {quoted(schema)}")
        await connection.execute("create table if not exists migration (file text primary key, sha256 text not null)")
        if first is not None:
            await first(connection)
        applied = {row["file"]: row["sha256"] for row in await connection.fetch("select file, sha256 from migration")}
        if fold and applied.get(_FOLD) != fold:
            if applied:
                raise ChangedMigration(f"the views in {schema} were folded by another build's fold")
            await connection.execute("insert into migration values ($1, $2)", _FOLD, fold)
        for path in sorted(folder.glob("*.sql")) if folder else ():
            text = path.read_text()
            digest = hashlib.sha256(text.encode()).hexdigest()
            if path.name not in applied:
                await connection.execute(text)
                await connection.execute("insert into migration values ($1, $2)", path.name, digest)
            elif applied[path.name] != digest:
                raise ChangedMigration(f"{path.name} was changed after it was applied to {schema}: add a new file")
