"""Reads the stream TELEMETRY and counts each batch once.

At least once from the stream becomes exactly once in the tables: the position in the stream moves in the transaction
of what was counted, and batches that a producer sent twice are known by their id. Whoever holds the row with the
position counts; a second process that still believes to be active finds the position moved and stops.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from prometheus_client import Counter

from kernel.follow import Follower
from kernel.log import Entry
from kernel.logs import structlog
from kernel.rooms import Rooms
from kernel.streams import stream_state
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.batches import Outcomes, Predictions, Rejected, endpoint_of, misfits, read
from services.monitoring.telemetry.counting import Counting
from services.monitoring.telemetry.plans import Plans
from services.monitoring.windows import Plan

STREAM = "TELEMETRY"
SUBJECTS = "telemetry.>"
_PULL = 32  # Messages; each may hold a megabyte.
_FUTURE = timedelta(seconds=60)

ROWS = Counter("modelog_telemetry_rows_total", "Rows counted, by kind.", ["kind"])
REJECTED = Counter("modelog_telemetry_rejected_batches_total", "Batches put aside.")
REPEATED = Counter("modelog_telemetry_repeated_batches_total", "Batches that had been counted already.")

_UNCOUNTABLE = (ValueError, TypeError, LookupError, ArithmeticError, asyncpg.DataError)

Batch = Predictions | Outcomes | Rejected
Read = tuple[Entry, Batch]


class Moved(Exception):
    """Another process has counted meanwhile: this one must not."""


class Consumer:
    """Counts telemetry for ever. `closed` is set whenever windows wait to be evaluated."""

    def __init__(self, rooms: Rooms, closed: asyncio.Event) -> None:
        self._rooms = rooms
        self._kept = rooms.kept
        self._plans = Plans(rooms)
        self._closed = closed
        self._at = 0

    async def run(self) -> None:
        self._at = await self.open()
        follower = Follower(
            self._rooms.nats,
            stream=STREAM,
            after=self._at,
            api_prefix=self._rooms.settings.nats_api_prefix,
            filter_subject=SUBJECTS,
            max_batch=_PULL,
            pull=_PULL,
        )
        async with follower:
            while True:
                await self.take(await follower.batch())

    async def open(self) -> int:
        """The position to go on from; 0 when the stream is another one than the one counted so far."""
        at = await queries.position(self._kept)
        head, _ = await stream_ends(self._rooms)
        if head < at:
            structlog.get_logger().warning("telemetry_stream_is_new", counted_to=at, stream_ends_at=head)
            async with self._kept.acquire() as connection, connection.transaction():
                await queries.locked_position(connection)
                await queries.move_position(connection, 0)
            at = 0
        self._at = at
        return at

    async def take(self, entries: Sequence[Entry]) -> None:
        """Counts some messages; one that fails for a reason nobody thought of holds up none of the others."""
        try:
            await self._take([(entry, read(entry.subject, entry.payload)) for entry in entries])
        except _UNCOUNTABLE as error:
            if len(entries) > 1:
                for entry in entries:
                    await self.take([entry])
                return
            structlog.get_logger().exception("telemetry_not_counted", position=entries[0].revision)
            unfit = Rejected(endpoint_of(entries[0].subject), "", f"cannot be counted: {error!r}"[:2000], 0)
            await self._take([(entries[0], unfit)])

    async def _take(self, batches: Sequence[Read]) -> None:
        """All of them or, when anything fails, none."""
        now = self._rooms.clock()
        plans = await self._plans.of_endpoints(sorted({one.endpoint for _, one in batches if one.endpoint}))
        batches = await self._fitting(batches, now)
        async with self._kept.acquire() as connection, connection.transaction():
            if await queries.locked_position(connection) != self._at:
                raise Moved(f"telemetry is no longer counted to {self._at}")
            counting = await self._counting(connection, plans, now)
            await self._count(connection, counting, batches, now)
            await asyncio.to_thread(counting.settle)  # So that calls are answered meanwhile.
            await queries.save_lanes(connection, counting.lanes.values())
            await queries.move_position(connection, batches[-1][0].revision)
        self._at = batches[-1][0].revision
        if any(window.closed for lane in counting.lanes.values() for window in lane.windows):
            self._closed.set()

    async def _counting(self, connection: Any, plans: dict[str, list[Plan]], now: datetime) -> Counting:
        monitors = [plan.monitor for several in plans.values() for plan in several]
        return Counting(connection, plans, await queries.load_lanes(connection, monitors), now)

    async def _fitting(self, batches: Sequence[Read], now: datetime) -> list[Read]:
        """The same batches, those rejected that cannot have happened or do not fit the signature of their version."""
        versions = [one.version for _, one in batches if isinstance(one, Predictions)]
        known = await self._plans.known_versions(versions)
        latest = int((now + _FUTURE).timestamp() * 1_000_000)
        return [(entry, _fit(one, known, latest)) for entry, one in batches]

    async def _count(self, connection: Any, counting: Counting, batches: Sequence[Read], now: datetime) -> None:
        ids = [(one.endpoint, one.batch_id) for _, one in batches if not isinstance(one, Rejected)]
        new = await queries.remember_batches(connection, ids, now)
        rejected: list[tuple[Entry, Rejected]] = []
        for entry, one in batches:
            if isinstance(one, Rejected):
                rejected.append((entry, one))
                REJECTED.inc()
                continue
            if (one.endpoint, one.batch_id) not in new:
                REPEATED.inc()
                continue
            new.discard((one.endpoint, one.batch_id))
            if isinstance(one, Predictions):
                await counting.predictions(one, entry.revision)
                ROWS.labels("prediction").inc(one.rows)
            else:
                await counting.outcomes(one, entry.revision)
                ROWS.labels("outcome").inc(len(one.ids))
        if rejected:
            await queries.reject(connection, await self._put_aside(connection, rejected), now)

    async def _put_aside(
        self, connection: Any, rejected: Sequence[tuple[Entry, Rejected]]
    ) -> Sequence[queries.PutAside]:
        """The messages are kept with what is said of them as long as there is room for those of their endpoint."""
        most = int(self._rooms.settings.rejected_mebibytes * (1 << 20))
        room = {
            endpoint: most - await queries.kept_bytes(connection, endpoint)
            for endpoint in sorted({one.endpoint for _, one in rejected})
        }
        found = []
        for entry, one in rejected:
            room[one.endpoint] -= len(entry.payload)
            told = types.RejectedBatch(
                position=entry.revision,
                subject=entry.subject,
                batch_id=one.batch_id,
                reason=one.reason,
                rows=one.rows,
                columns=one.columns,
            )
            fits = room[one.endpoint] >= 0 and bool(one.endpoint)
            found.append(queries.PutAside(one.endpoint, told, entry.payload if fits else None))
        return found


def _fit(one: Batch, known: Mapping[str, types.KnownVersion], latest: int) -> Batch:
    match one:
        case Predictions():
            if one.end > latest:
                return Rejected(one.endpoint, one.batch_id, "end_time is in the future", one.rows)
            return misfits(one, known[one.version]) or one
        case Outcomes() if one.known_at > latest:
            return Rejected(one.endpoint, one.batch_id, "record_time is in the future", len(one.ids))
    return one


async def stream_ends(rooms: Rooms) -> tuple[int, int]:
    """Position of the newest message that TELEMETRY ever had, and how many messages it holds; Unavailable."""
    state = await telemetry_state(rooms)
    return int(state["last_seq"]), int(state["messages"])


async def telemetry_state(rooms: Rooms) -> dict[str, Any]:
    """TELEMETRY's own account of itself: messages, bytes, first_seq, last_seq; Unavailable."""
    return await stream_state(rooms.nats, STREAM, api_prefix=rooms.settings.nats_api_prefix)
