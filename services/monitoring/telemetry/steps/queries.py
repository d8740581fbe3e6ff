"""SQL over closed windows and steps that later ones are made of, or compared with."""

from typing import Any

from kernel.postgres import Pool
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.telemetry.queries import Key
from services.monitoring.windows import OpenWindow

_MINE = "monitor = $1 and version = $2 and track = $3 and segment = $4"
_COPIED = "monitor, version, track, segment, position, row_offset, start_time, end_time, terms, baseline_digest, body"


async def keep_closed(pool: Pool, key: Key) -> None:
    """Keeps what is closed of a lane; a step that is kept already is the same."""
    await pool.execute(
        f"insert into step ({_COPIED}) select {_COPIED} from open_window where {_MINE} and closed"
        " on conflict do nothing",
        *key,
    )


async def upto(pool: Pool, key: Key, step: OpenWindow, most: int, *, by_time: bool) -> list[OpenWindow]:
    """The last `most` steps of a lane on the terms of this one and not after it, in the order of filling: by count
    that of the stream, whatever the times of their rows."""
    first, second = _order(by_time)
    rows = await pool.fetch(
        f"select * from step where {_MINE} and terms = $5 and ({first}, {second}) <= ($6, $7)"
        f" order by {first} desc, {second} desc limit $8",
        *key,
        step.terms,
        *_place(step, by_time),
        most,
    )
    return [_step(row) for row in reversed(rows)]


async def forget(pool: Pool, key: Key, step: OpenWindow, most: int, *, by_time: bool) -> None:
    """The steps of a lane that are not among the last `most` up to this one; those after it wait for their turn."""
    first, second = _order(by_time)
    await pool.execute(
        f"delete from step where {_MINE} and ({first}, {second}) <= (select {first}, {second} from step where {_MINE}"
        f" and ({first}, {second}) <= ($5, $6) order by {first} desc, {second} desc offset $7 limit 1)",
        *key,
        *_place(step, by_time),
        most,
    )


def _order(by_time: bool) -> tuple[str, str]:
    return ("end_time", "start_time") if by_time else ("position", "row_offset")


async def is_settled(pool: Pool, key: Key, window: OpenWindow) -> bool:
    """Whether a lane has no window any more that could come to be at the time of this one."""
    waiting = await pool.fetchval(
        f"select exists (select from open_window where {_MINE} and start_time < $5 and not closed)", *key, window.end
    )
    closed_until = await pool.fetchval(f"select closed_until from lane where {_MINE}", *key)
    predictions = key[2] == types.TRACK_PREDICTIONS
    return not waiting and (closed_until is None or closed_until >= window.end or not predictions)


def _place(step: OpenWindow, by_time: bool) -> tuple[int, int]:
    return (step.end, step.start) if by_time else (step.position, step.offset)


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
