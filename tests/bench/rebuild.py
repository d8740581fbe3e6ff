"""The registry's projector and nothing else of it, on an empty schema: `python -m tests.bench.rebuild`."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from kernel import index, tables
from kernel.jetstream import JetStreamLog, connect
from kernel.known import KnownIds
from kernel.position import Position
from kernel.postgres import Pool, create_pool, migrate
from kernel.projector import Projector
from kernel.states import States
from services.registry.__main__ import BLUEPRINT
from tests.bench.children import serve


async def rebuild(order: dict[str, Any]) -> dict[str, Any]:
    """Folds the log into `schema`, which must not exist, until its head, and drops the schema afterwards.

    Every fact has to be in the tables and none in quarantine, or the figure would be one of something else.
    """
    client = await connect(order["nats_url"], name="rebuild", user=order["user"], password=order["password"])
    schema = order["schema"]
    pool = await create_pool(order["postgres_url"], schema=schema, name="rebuild")
    try:
        searchables = BLUEPRINT.searchables if order.get("searchables", True) else ()
        await migrate(pool, schema=schema, folder=BLUEPRINT.migrations, first=_create)
        log, position = JetStreamLog(client, api_prefix=order["api_prefix"]), Position()
        projector = Projector(
            service=BLUEPRINT.name,
            schema=schema,
            kinds=BLUEPRINT.kinds,
            log=log,
            pool=pool,
            position=position,
            states=States(log, pool),
            known=KnownIds(),
            project=BLUEPRINT.project,
            projected=BLUEPRINT.projected,
            raw=BLUEPRINT.raw,
            searchables=searchables,
        )
        head = await log.head()
        began = time.perf_counter()
        await _until(projector, position, head)
        seconds = time.perf_counter() - began
        await _check(pool, head)
        return {"facts": head, "seconds": seconds, "per_second": head / seconds}
    finally:
        await pool.execute(f'drop schema if exists "{schema}" cascade')
        pool.terminate()
        await client.close()


async def _create(connection: Any) -> None:
    await tables.create(connection, BLUEPRINT.kinds)
    await index.create(connection)


async def _until(projector: Projector, position: Position, head: int) -> None:
    """Runs the projector until its position is the log's head; an error of it is raised here."""
    running = asyncio.ensure_future(projector.run())
    reached = asyncio.ensure_future(position.wait(head))
    await asyncio.wait((running, reached), return_when=asyncio.FIRST_COMPLETED)
    if not reached.done():
        reached.cancel()
        await running
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def _check(pool: Pool, head: int) -> None:
    histories = " union all ".join(f'select revision from "{kind.table}_history"' for kind in BLUEPRINT.kinds)
    folded = await pool.fetchval(f"select count(*) from ({histories}) as every")
    quarantined = await pool.fetchval("select count(*) from quarantine")
    if (folded, quarantined) != (head, 0):
        raise RuntimeError(f"of {head} facts {folded} are in the views and {quarantined} resources in quarantine")


if __name__ == "__main__":
    serve({"rebuild": rebuild})
