"""SQL over the queue of retrainings, and what the clock decides about it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kernel.postgres import Pool


async def candidates(pool: Pool, project: str, model: str, request_id: str, most: int) -> Sequence[str]:
    """Retrainings to claim, best first; before them the one that this very request has claimed already."""
    rows = await pool.fetch(
        "select retraining from retraining_queue where claim_request = $3 and $3 <> '' or project = $1 and waits"
        " and ($2 = '' or model = $2)"
        " order by claim_request = $3 and $3 <> '' desc, severity desc, requested_revision limit $4",
        project,
        model,
        request_id,
        most,
    )
    return [row[0] for row in rows]


async def expired_claims(pool: Pool, now: datetime, most: int) -> Sequence[tuple[str, datetime]]:
    rows = await pool.fetch(
        "select retraining, lease_ends_at from retraining_queue where lease_ends_at <= $1"
        " order by lease_ends_at limit $2",
        now,
        most,
    )
    return [(row[0], row[1]) for row in rows]


async def overdue(pool: Pool, now: datetime, most: int) -> Sequence[str]:
    rows = await pool.fetch(
        "select retraining from retraining_queue where due_at <= $1 order by due_at limit $2", now, most
    )
    return [row[0] for row in rows]


async def watched_alerts(pool: Pool) -> Sequence[str]:
    """Open alerts that may lead to a proposal."""
    return [row[0] for row in await pool.fetch("select resource from retirement_watch order by resource")]


async def begin(
    connection: Any,
    retraining: str,
    *,
    monitor: str,
    project: str,
    model: str,
    severity: int,
    revision: int,
    due_at: datetime | None,
) -> None:
    await connection.execute("insert into open_retraining (retraining, monitor) values ($1, $2)", retraining, monitor)
    await connection.execute(
        "insert into retraining_queue (retraining, project, model, severity, requested_revision, due_at)"
        " values ($1, $2, $3, $4, $5, $6)",
        retraining,
        project,
        model,
        severity,
        revision,
        due_at,
    )


async def move(
    connection: Any,
    retraining: str,
    *,
    waits: bool = False,
    claim_request: str = "",
    lease_ends_at: datetime | None = None,
) -> None:
    await connection.execute(
        "update retraining_queue set waits = $2, claim_request = $3, lease_ends_at = $4 where retraining = $1",
        retraining,
        waits,
        claim_request,
        lease_ends_at,
    )


async def forget_deadline(connection: Any, retraining: str) -> None:
    await connection.execute("update retraining_queue set due_at = null where retraining = $1", retraining)


async def end(connection: Any, retraining: str) -> None:
    await connection.execute("delete from open_retraining where retraining = $1", retraining)
    await connection.execute("delete from retraining_queue where retraining = $1", retraining)


async def watch(connection: Any, alert: str) -> None:
    await connection.execute("insert into retirement_watch (resource) values ($1) on conflict do nothing", alert)


async def unwatch(connection: Any, alert: str) -> None:
    await connection.execute("delete from retirement_watch where resource = $1", alert)
