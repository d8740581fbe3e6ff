"""SQL over what is replayed: recorded windows, and how traffic was split meanwhile."""

from datetime import datetime

from kernel.postgres import Pool
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import pictures_pb2 as pictures
from services.monitoring.queries import AsOf


async def windows_since(
    pool: Pool, monitor: str, start: datetime, after: int, most: int, as_of: AsOf
) -> list[tuple[int, facts.WindowEvaluated]]:
    """Revision and fact of windows recorded after a moment, whose number is greater than `after`, oldest first."""
    rows = await pool.fetch(
        "select revision, body from evaluated where monitor = $1 and recorded_at > $2 and number > $3"
        " and revision <= $4 and recorded_at <= $5 order by number limit $6",
        monitor,
        start,
        after,
        *as_of,
        most,
    )
    return [(row["revision"], facts.WindowEvaluated.FromString(row["body"])) for row in rows]


async def traffic_since(pool: Pool, endpoint: str, start: datetime, as_of: AsOf) -> list[pictures.TrafficChange]:
    """How traffic was split at a moment, and how since then, oldest first."""
    rows = await pool.fetch(
        "select body from traffic where endpoint = $1 and revision <= $3 and recorded_at <= $4"
        " and revision >= coalesce((select max(revision) from traffic where endpoint = $1 and recorded_at <= $2), 0)"
        " order by revision",
        endpoint,
        start,
        *as_of,
    )
    return [pictures.TrafficChange.FromString(row["body"]) for row in rows]
