"""SQL over what is derived from TELEMETRY (schema <schema>_telemetry). See telemetry_migrations."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kernel.postgres import Pool
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.profile import encode
from services.monitoring.windows import Lane, OpenWindow

Key = tuple[str, str, types.Track, str]  # Monitor, version, track, segment.
_MOST_REJECTED = 10_000
_MINE = "monitor = $1 and version = $2 and track = $3 and segment = $4"
_LANE = "monitor, version, track, segment"
_WINDOW = "position, row_offset, start_time, end_time, terms, baseline_digest, closed, body"


class Waiting(NamedTuple):
    """A prediction that waits for its label. wanted: the monitor's name for the column; value: its text.

    segments: by column, what tells the segments of the row; columns that tell nothing are absent."""

    prediction_id: str
    wanted: str
    version: str
    value: str
    segments: Mapping[str, str]


async def locked_position(connection: Any) -> int:
    """How far the stream is counted; nobody else counts or closes until this transaction ends."""
    position: int = await connection.fetchval("select position from progress for update")
    return position


async def move_position(connection: Any, position: int) -> None:
    await connection.execute("update progress set position = $1", position)


async def position(pool: Pool) -> int:
    at: int = await pool.fetchval("select position from progress")
    return at


async def remember_batches(connection: Any, batches: Sequence[tuple[str, str]], now: datetime) -> set[tuple[str, str]]:
    """Remembers batches by endpoint and id; returns those that are new."""
    endpoints, ids = zip(*batches, strict=True) if batches else ((), ())
    rows = await connection.fetch(
        "insert into batch (endpoint, batch_id, seen_at) select one.endpoint, one.id, $3"
        " from unnest($1::text[], $2::text[]) as one(endpoint, id)"
        " where not exists (select from batch where batch_id = one.id and endpoint = '')"
        " on conflict (batch_id, endpoint) do nothing returning endpoint, batch_id",
        endpoints,
        ids,
        now,
    )
    return {(row[0], row[1]) for row in rows}


class PutAside(NamedTuple):
    """A batch that could not be counted, for keeping. payload: the message, None when there is no room for it."""

    endpoint: str
    told: types.RejectedBatch
    payload: bytes | None


async def kept_bytes(connection: Any, endpoint: str) -> int:
    """What the batches of an endpoint that were put aside take up."""
    taken: int = await connection.fetchval(
        "select coalesce(sum(octet_length(payload)), 0)::bigint from rejected where endpoint = $1", endpoint
    )
    return taken


async def reject(connection: Any, batches: Sequence[PutAside], now: datetime) -> None:
    await connection.executemany(
        "insert into rejected (position, endpoint, subject, batch_id, reason, rows, rejected_at, details, payload)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (position) do nothing",
        [
            (
                one.told.position,
                one.endpoint,
                one.told.subject,
                one.told.batch_id,
                one.told.reason,
                one.told.rows,
                now,
                types.RejectedBatch(columns=one.told.columns).SerializeToString(),
                one.payload,
            )
            for one in batches
        ],
    )


async def rejected_payload(pool: Pool, endpoint: str, position: int) -> tuple[str, bytes | None] | None:
    """Subject and message of a batch that was put aside; None when there is none, no message when it was not kept."""
    row = await pool.fetchrow(
        "select subject, payload from rejected where endpoint = $1 and position = $2", endpoint, position
    )
    return (row["subject"], row["payload"]) if row else None


async def forget_rejected(pool: Pool, position: int) -> None:
    await pool.execute("delete from rejected where position = $1", position)


async def load_lanes(connection: Any, monitors: Sequence[str]) -> dict[Key, Lane]:
    """The lanes of some monitors, with their open windows."""
    lanes: dict[Key, Lane] = {}
    for row in await connection.fetch("select * from lane where monitor = any($1::text[])", monitors):
        lane = Lane(row["monitor"], row["version"], row["track"])
        lane.closed_until, lane.newest, lane.late_rows = row["closed_until"], row["newest"], row["late_rows"]
        lane.segment = row["segment"]
        lanes[_key(lane)] = lane
    rows = await connection.fetch(
        f"select {_LANE}, {_WINDOW} from open_window"
        " where monitor = any($1::text[]) and not closed order by start_time, position, row_offset",
        monitors,
    )
    for row in rows:
        lanes[_key_in(row)].windows.append(_window(row))
    return lanes


def _key_in(row: Any) -> Key:
    return row["monitor"], row["version"], row["track"], row["segment"]


def _window(row: Any) -> OpenWindow:
    return OpenWindow(
        row["position"],
        row["row_offset"],
        row["start_time"],
        row["end_time"],
        row["terms"],
        row["baseline_digest"],
        types.ProfileSet.FromString(row["body"]),
        row["closed"],
    )


async def save_lanes(connection: Any, lanes: Iterable[Lane]) -> None:
    changed = [lane for lane in lanes if lane.changed]
    await connection.executemany(
        f"insert into lane ({_LANE}, closed_until, newest, late_rows) values ($1, $2, $3, $4, $5, $6, $7)"
        f" on conflict ({_LANE}) do update set closed_until = excluded.closed_until,"
        " newest = excluded.newest, late_rows = excluded.late_rows",
        [(*_key(one), one.closed_until, one.newest, one.late_rows) for one in changed],
    )
    # Not updated in place alone: the start, by which the row is known, moves when what happened earlier comes later.
    await connection.executemany(f"delete from open_window where {_MINE} and not closed", map(_key, changed))
    await connection.executemany(
        f"insert into open_window ({_LANE}, {_WINDOW})"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        f" on conflict ({_LANE}, position, row_offset, start_time) do update"
        " set end_time = excluded.end_time, closed = excluded.closed, body = excluded.body",
        [(*_key(lane), *_values(window)) for lane in changed for window in lane.windows],
    )


def _key(lane: Lane) -> Key:
    return lane.monitor, lane.version, lane.track, lane.segment


def _values(window: OpenWindow) -> tuple[Any, ...]:
    return (
        window.position,
        window.offset,
        window.start,
        window.end,
        window.terms,
        window.baseline_digest,
        window.closed,
        encode(window.profiles),
    )


async def closed_windows(pool: Pool, most: int, passed: int = 0) -> list[tuple[Key, OpenWindow]]:
    """Windows that wait to be evaluated, in the order of their end, without so many of the first."""
    rows = await pool.fetch(
        f"select {_LANE}, {_WINDOW} from open_window where closed"
        f" order by end_time, position, row_offset, {_LANE} limit $1 offset $2",
        most,
        passed,
    )
    return [(_key_in(row), _window(row)) for row in rows]


async def forget_window(pool: Pool, key: Key, window: OpenWindow) -> None:
    await pool.execute(
        f"delete from open_window where {_MINE} and position = $5 and row_offset = $6 and start_time = $7",
        *key,
        window.position,
        window.offset,
        window.start,
    )


async def forget_lanes(connection: Any, monitor: str) -> None:
    await connection.execute("delete from open_window where monitor = $1 and not closed", monitor)
    await connection.execute("delete from lane where monitor = $1", monitor)
    await connection.execute("delete from step where monitor = $1", monitor)


async def keep_profile(pool: Pool, digest: str, body: bytes, now: datetime, *, baseline: bool) -> None:
    """Kept for good before the fact that names it is recorded: no fact names a profile that a power cut took away."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local synchronous_commit = on")
        await connection.execute(
            "insert into profile (digest, baseline, stored_at, body) values ($1, $2, $3, $4)"
            " on conflict (digest) do update set baseline = profile.baseline or excluded.baseline,"
            " stored_at = greatest(profile.stored_at, excluded.stored_at)",
            digest,
            baseline,
            now,
            body,
        )


async def load_profiles(pool: Pool, digests: Sequence[str]) -> dict[str, bytes]:
    rows = await pool.fetch("select digest, body from profile where digest = any($1::text[])", digests)
    return {row["digest"]: row["body"] for row in rows}


async def wait_for_labels(connection: Any, endpoint: str, waiting: Sequence[Waiting], now: datetime) -> None:
    ids, wanted, versions, values, segments = zip(*waiting, strict=True)
    await connection.execute(
        "insert into prediction (endpoint, prediction_id, wanted, version, value, segments, stored_at)"
        " select $1, one.*, $7 from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as one"
        " on conflict (endpoint, prediction_id, wanted) do nothing",
        endpoint,
        ids,
        wanted,
        versions,
        values,
        [json.dumps(one, ensure_ascii=False) if one else "" for one in segments],
        now,
    )


async def take_predictions(connection: Any, endpoint: str, ids: Sequence[str]) -> list[Waiting]:
    """The waiting predictions with these ids, in their order, which wait no longer."""
    rows = await connection.fetch(
        "delete from prediction where endpoint = $1 and prediction_id = any($2::text[])"
        " returning prediction_id, wanted, version, value, segments",
        endpoint,
        ids,
    )
    # Else the table would decide which rows of a batch are the last ones of a window.
    place = {one: at for at, one in enumerate(ids)}
    found = [
        Waiting(one, wanted, version, value, json.loads(told) if told else {})
        for one, wanted, version, value, told in rows
    ]
    return sorted(found, key=lambda one: (place[one.prediction_id], one.wanted))


async def keep_outcomes(
    connection: Any, endpoint: str, labels: Sequence[tuple[str, str]], known_at: int, now: datetime
) -> None:
    ids, texts = zip(*labels, strict=True)
    await connection.execute(
        "insert into outcome (endpoint, prediction_id, label, known_at, stored_at)"
        " select $1, one.*, $4, $5 from unnest($2::text[], $3::text[]) as one"
        " on conflict (endpoint, prediction_id) do nothing",
        endpoint,
        ids,
        texts,
        known_at,
        now,
    )


async def take_outcomes(connection: Any, endpoint: str, ids: Sequence[str]) -> list[tuple[str, str, int]]:
    """(id, label, known at) of the labels with these ids, which wait no longer."""
    rows = await connection.fetch(
        "delete from outcome where endpoint = $1 and prediction_id = any($2::text[])"
        " returning prediction_id, label, known_at",
        endpoint,
        ids,
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def forget_old(pool: Pool, before: dict[str, datetime], most_waiting: int) -> None:
    """Keeps what waits or is put aside within its time and number. `before`: table to the time it is kept from."""
    columns = {"batch": "seen_at", "rejected": "rejected_at"}
    for table, since in before.items():
        kept = " and not baseline" if table == "profile" else ""
        await pool.execute(f"delete from {table} where {columns.get(table, 'stored_at')} < $1{kept}", since)
    await pool.execute(
        "delete from rejected where position <="
        " (select position from rejected order by position desc offset $1 limit 1)",
        _MOST_REJECTED,
    )
    for table in ("prediction", "outcome"):
        await pool.execute(
            f"delete from {table} where stored_at < (select stored_at from {table}"
            " order by stored_at desc offset $1 limit 1)",
            most_waiting - 1,
        )


async def rejected_batches(pool: Pool, endpoint: str, before: int, most: int) -> list[types.RejectedBatch]:
    """Newest first, below a position."""
    rows = await pool.fetch(
        "select position, subject, batch_id, reason, rows, rejected_at, details, payload is not null as kept"
        " from rejected where endpoint = $1 and position < $2 order by position desc limit $3",
        endpoint,
        before,
        most,
    )
    return [
        types.RejectedBatch(
            position=row["position"],
            subject=row["subject"],
            batch_id=row["batch_id"],
            reason=row["reason"],
            rows=row["rows"],
            reject_time=row["rejected_at"],
            columns=types.RejectedBatch.FromString(row["details"] or b"").columns,
            kept=row["kept"],
        )
        for row in rows
    ]
