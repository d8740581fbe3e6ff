"""Webhooks of all projects, how far each has come, and the log of its deliveries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kernel.postgres import Pool
from modelog.registry.v1.webhooks_pb2 import (
    WEBHOOK_STATE_REMOVED,
    Delivery,
    DeliveryOutcome,
    Webhook,
)

_KEPT_DELIVERIES = 1000
_COLUMNS = "attempt, revision, fact_id, event_type, outcome, status, start_time, duration_ms, error, redelivery"


class Attempt(NamedTuple):
    """One attempt as it is written down."""

    revision: int
    fact_id: str
    event_type: str
    outcome: DeliveryOutcome
    status: int
    start_time: datetime
    duration_ms: int
    error: str
    redelivery: int


async def all_webhooks(pool: Pool) -> list[Webhook]:
    """Those of every project, removed ones included."""
    return [Webhook.FromString(row[0]) for row in await pool.fetch("select body from webhook order by sort")]


async def living_in(pool: Pool, project: str) -> int:
    """How many webhooks of a project are not removed."""
    sql = "select body from webhook where sort > $1 and sort < $2"
    rows = await pool.fetch(sql, f"{project}/webhooks/", f"{project}/webhooks0")
    return sum(Webhook.FromString(row[0]).state != WEBHOOK_STATE_REMOVED for row in rows)


async def created_at(pool: Pool, name: str) -> int:
    """Revision of the fact that created a webhook."""
    return int(await pool.fetchval("select min(revision) from webhook_history where name = $1", name) or 0)


async def position(kept: Pool, name: str) -> int | None:
    """Everything that it wants up to here was delivered; None when nothing was ever noted."""
    found: int | None = await kept.fetchval("select revision from webhook_position where webhook = $1", name)
    return found


async def reached(kept: Pool, name: str, revision: int) -> None:
    await kept.execute(_REACHED, name, revision)


_REACHED = (
    "insert into webhook_position as known (webhook, revision) values ($1, $2)"
    " on conflict (webhook) do update set revision = greatest(known.revision, excluded.revision)"
)
_REDELIVERED = (
    "insert into redelivery_position as known (webhook, number, revision) values ($1, $2, $3)"
    " on conflict (webhook, number) do update set revision = greatest(known.revision, excluded.revision)"
)


async def redelivered(kept: Pool, name: str) -> dict[int, int]:
    """How far each redelivery has come, by its number."""
    rows = await kept.fetch("select number, revision from redelivery_position where webhook = $1", name)
    return {row[0]: row[1] for row in rows}


async def redelivery_reached(kept: Pool, name: str, number: int, revision: int) -> None:
    await kept.execute(_REDELIVERED, name, number, revision)


async def record(kept: Pool, name: str, attempt: Attempt, *, done: bool) -> None:
    """Writes an attempt down; with what is `done` the position moves, in the same transaction."""
    async with kept.acquire() as connection, connection.transaction():
        await connection.execute(
            "insert into delivery (webhook, revision, fact_id, event_type, outcome, status, start_time, duration_ms,"
            " error, redelivery) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            name,
            *attempt,
        )
        if done and attempt.redelivery:
            await connection.execute(_REDELIVERED, name, attempt.redelivery, attempt.revision)
        elif done:
            await connection.execute(_REACHED, name, attempt.revision)


async def trim(kept: Pool, name: str) -> None:
    """Forgets all but the last thousand attempts."""
    oldest = "(select attempt from delivery where webhook = $1 order by attempt desc offset $2 limit 1)"
    await kept.execute(f"delete from delivery where webhook = $1 and attempt <= {oldest}", name, _KEPT_DELIVERIES)


async def forget(kept: Pool, name: str) -> None:
    """What a removed webhook leaves: nothing. Its facts stay in the log."""
    for table in ("delivery", "redelivery_position", "webhook_position"):
        await kept.execute(f"delete from {table} where webhook = $1", name)


async def deliveries(kept: Pool, name: str, outcome: int, before: int, most: int) -> Sequence[Delivery]:
    """The newest attempts older than `before`, newest first; `outcome` 0 takes all."""
    sql = (
        f"select {_COLUMNS} from delivery where webhook = $1 and attempt < $2 and ($3 = 0 or outcome = $3)"
        " order by attempt desc limit $4"
    )
    return [_delivery(row) for row in await kept.fetch(sql, name, before, outcome, most)]


def _delivery(row: Any) -> Delivery:
    made = Delivery(**{name: row[name] for name in _COLUMNS.split(", ") if name != "start_time"})
    made.start_time.FromDatetime(row["start_time"])
    return made
