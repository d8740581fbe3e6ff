"""SQL over closed windows and steps that later ones are made of, or compared with."""

from typing import Any

from kernel.postgres import Pool
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.profile import encode
from services.monitoring.telemetry.queries import Key
from services.monitoring.windows import OpenWindow

_MINE = "monitor = $1 and version = $2 and track = $3 and segment = $4"
_ORDER = "end_time, position, row_offset, start_time"


async def keep(pool: Pool, key: Key, window: OpenWindow) -> None:
    """Kept once; the same step is the same for good."""
    await pool.execute(
        "insert into step (monitor, version, track, segment, position, row_offset, start_time, end_time, terms,"
        " baseline_digest, body) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing",
        *key,
        window.position,
        window.offset,
        window.start,
        window.end,
        window.terms,
        window.baseline_digest,
        encode(window.profiles),
    )


async def upto(pool: Pool, key: Key, window: OpenWindow, most: int) -> list[OpenWindow]:
    """The last `most` steps of a lane that were filled on the terms of this one, in their order; it is the last."""
    rows = await pool.fetch(
        f"select * from step where {_MINE} and terms = $5 and (end_time, position, row_offset, start_time)"
        f" <= ($6, $7, $8, $9) order by end_time desc, position desc, row_offset desc, start_time desc limit $10",
        *key,
        window.terms,
        window.end,
        window.position,
        window.offset,
        window.start,
        most,
    )
    return [_step(row) for row in reversed(rows)]


async def forget_before(pool: Pool, key: Key, end: int) -> None:
    """Nothing reaches back to steps that ended before this any more."""
    await pool.execute(f"delete from step where {_MINE} and end_time < $5", *key, end)


async def is_settled(pool: Pool, key: Key, window: OpenWindow) -> bool:
    """Whether a lane has no window any more that could come to be at the time of this one."""
    waiting = await pool.fetchval(
        f"select exists (select from open_window where {_MINE} and start_time < $5 and not closed)", *key, window.end
    )
    closed_until = await pool.fetchval(f"select closed_until from lane where {_MINE}", *key)
    predictions = key[2] == types.TRACK_PREDICTIONS
    return not waiting and (closed_until is None or closed_until >= window.end or not predictions)


async def waiting_until(pool: Pool, key: Key, window: OpenWindow) -> list[OpenWindow]:
    """Closed steps of a lane up to the end of this window that are not kept yet, because they wait to be judged."""
    rows = await pool.fetch(
        f"select * from open_window where {_MINE} and closed and end_time <= $5 order by {_ORDER}", *key, window.end
    )
    return [_step(row) for row in rows]


def _step(row: Any) -> OpenWindow:
    return OpenWindow(
        row["position"],
        row["row_offset"],
        row["start_time"],
        row["end_time"],
        row["terms"],
        row["baseline_digest"],
        types.ProfileSet.FromString(row["body"]),
        closed=True,
    )
