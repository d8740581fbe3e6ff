"""Brings a service's tables into the shape this build gives them, folding the views again where it has to."""

import functools
from typing import Any

from kernel import index, reactor, tables
from kernel.documents import document
from kernel.fingerprint import fingerprint
from kernel.fold import apply
from kernel.jetstream import JetStreamLog
from kernel.logs import structlog
from kernel.postgres import ChangedMigration, Pool, migrate, owning
from kernel.rooms import Blueprint
from kernel.settings import Settings

_log = structlog.get_logger()


async def prepare(log: JetStreamLog, blueprint: Blueprint, settings: Settings, schema: str) -> str:
    """Makes and changes tables, as their owner, whom nothing else of the service runs under. Answers the digest of this
    build's fold."""
    owner = settings.postgres_owner_url or settings.postgres_url
    async with owning(owner, schema=schema) as pool:
        fold = await _prepare_views(log, pool, blueprint, schema)
    async with owning(owner, schema=f"{schema}_kept") as pool:
        for folder in (reactor.MIGRATIONS, blueprint.kept_migrations):
            await migrate(pool, schema=f"{schema}_kept", folder=folder)
    return fold


async def _prepare_views(log: JetStreamLog, pool: Pool, blueprint: Blueprint, schema: str) -> str:
    """Applies the migrations; drops views that were made by another fold, or other migrations: the log gives them back.

    SystemExit when it would have to and the log is not whole: then the views may hold the only copy of what is lost.
    """
    projections: list[Any] = [one for one in (blueprint.project, blueprint.raw) if one is not None]
    if blueprint.searchables:
        projections += [document, index.row_of, *(one.fields for one in blueprint.searchables)]
    fold = fingerprint([apply, *(kind.evolve for kind in blueprint.kinds), *projections])
    fold = index.known_as(fold) if blueprint.searchables else fold
    opened = functools.partial(
        migrate,
        pool,
        schema=schema,
        folder=blueprint.migrations,
        first=functools.partial(_create, blueprint),
        fold=fold,
    )
    try:
        await opened()
    except ChangedMigration as changed:
        await _check_whole(log, pool, str(changed))
        _log.warning("views_dropped", reason=str(changed))
        await opened(anew=True)
    return fold


async def _create(blueprint: Blueprint, connection: Any) -> None:
    await tables.create(connection, blueprint.kinds)
    if blueprint.searchables:
        await index.create(connection)


async def _check_whole(log: JetStreamLog, pool: Pool, reason: str) -> None:
    state = await log.state()
    reached = await pool.fetchval("select revision from position")
    if state["messages"] != state["last_seq"] or state["last_seq"] < (reached or 0):
        raise SystemExit(
            f"the views have to be folded again ({reason}), but the log is not whole: it has {state['messages']} facts "
            f"up to {state['last_seq']}, and the views have seen {reached}; nothing was dropped, restore the log first"
        )
