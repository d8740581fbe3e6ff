"""What was answered, published to the stream TELEMETRY without ever making an answer wait.

Answered rows go into a bounded queue. A task takes them out in batches of at most 256 rows, at most half a second
after the first. When NATS is slow or away the queue fills, further rows are dropped and counted, and the count travels
with the next batch that gets through.
"""

import asyncio
import math
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from modelog.monitoring.v1 import service_counts_pb2, telemetry_pb2

_BATCH_ROWS = 256
# Both keep a batch below the megabyte that NATS takes: 32,768 numbers are a quarter of it.
_BATCH_VALUES = 32_768
_BATCH_BYTES = 900_000
_QUEUE_ROWS = 8192
_FLUSH_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_LEAST_SECONDS = 10e-6  # Where the first part of latencies begins: see ServiceCounts.
_LAST_PART = 207
_FLOATING_OR_INTEGER = "fiub"

Publish = Callable[[str, bytes], Awaitable[None]]
Columns = Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Answered:
    """Some rows of one request: ids, and columns of (name, array with one value a row). time: seconds, Unix.

    shadow: nobody got the answer.
    """

    ids: Sequence[str]
    inputs: Columns
    outputs: Columns
    time: float
    shadow: bool = False

    @property
    def names(self) -> list[str]:
        return [name for name, _ in (*self.inputs, *self.outputs)]

    @property
    def values(self) -> int:
        return len(self.ids) * (len(self.inputs) + len(self.outputs))


@dataclass(slots=True)
class Losses:
    """What the next batch tells of rows that are in none, and of requests without rows."""

    dropped_rows: int = 0
    failed_requests: int = 0
    left_out_rows: int = 0

    def __bool__(self) -> bool:
        return bool(self.dropped_rows or self.failed_requests or self.left_out_rows)

    def minus(self, told: "Losses") -> None:
        self.dropped_rows -= told.dropped_rows
        self.failed_requests -= told.failed_requests
        self.left_out_rows -= told.left_out_rows


class Service:
    """How fast and how busy the replica was since the last batch. busy_seconds: tells for how long its model ran so
    far."""

    def __init__(self) -> None:
        self.busy_seconds: Callable[[], float] = lambda: 0.0
        self._requests: Counter[int] = Counter()
        self._told = 0.0, time.monotonic()

    def took(self, seconds: float) -> None:
        """One request that was answered."""
        part = math.floor(8 * math.log2(max(seconds, _LEAST_SECONDS) / _LEAST_SECONDS))
        self._requests[min(part, _LAST_PART)] += 1

    def take(self) -> service_counts_pb2.ServiceCounts:
        """What was counted since the last time."""
        now = self.busy_seconds(), time.monotonic()
        counts = service_counts_pb2.ServiceCounts(
            busy_microseconds=max(0, int((now[0] - self._told[0]) * 1e6)),
            observed_microseconds=int((now[1] - self._told[1]) * 1e6),
        )
        for part, requests in sorted(self._requests.items()):
            counts.latencies.add(part=part, requests=requests)
        self._requests.clear()
        self._told = now
        return counts


class Telemetry:
    """Collects answered rows of one replica. publish(batch_id, payload) raises when the batch was not stored."""

    def __init__(self, publish: Publish, *, endpoint: str, version: str, replica: str) -> None:
        self.service = Service()
        self._publish = publish
        self._about = {"endpoint": endpoint, "version": version, "replica": replica}
        self._waiting: deque[Answered] = deque()
        self._rows = 0
        self._full = asyncio.Event()
        self._losses = {False: Losses(), True: Losses()}
        self.dropped_ever = 0

    @property
    def waiting_rows(self) -> int:
        return self._rows

    @property
    def dropped_rows(self) -> int:
        """Dropped and not told yet, of answers that somebody got."""
        return self._losses[False].dropped_rows

    def answered(self, ids: Sequence[str], inputs: Columns, outputs: Columns, *, shadow: bool = False) -> None:
        """Takes the rows of one answered request, or counts them as dropped when the queue is full."""
        rows = len(ids)
        if self._rows + rows > _QUEUE_ROWS:
            self._drop(rows, shadow)
            return
        now = time.time()
        size = max(1, min(_BATCH_ROWS, _BATCH_VALUES // max(1, len(inputs) + len(outputs))))
        for start in range(0, rows, size):
            part = slice(start, start + size)
            self._waiting.append(Answered(ids[part], _cut(inputs, part), _cut(outputs, part), now, shadow))
        self._rows += rows
        if self._rows >= _BATCH_ROWS:
            self._full.set()

    def failed(self, *, shadow: bool = False) -> None:
        """Counts one request that was answered with an error of the model or of the server."""
        self._losses[shadow].failed_requests += 1

    def left_out(self, rows: int, *, shadow: bool = False) -> None:
        """Counts the rows of a request that the sample leaves out."""
        self._losses[shadow].left_out_rows += rows

    def _drop(self, rows: int, shadow: bool) -> None:
        self._losses[shadow].dropped_rows += rows
        self.dropped_ever += rows

    async def run(self) -> None:
        """Publishes for ever. A batch that cannot be published is tried again, so order and ids stay."""
        while True:
            try:
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._full.clear()
            await self.flush(patient=True)

    async def flush(self, *, patient: bool = False) -> None:
        """Publishes all that waits. Not patient: one attempt a batch, and what fails counts as dropped."""
        while self._waiting or any(self._losses.values()):
            taken = self._take()
            shadow = taken[0].shadow if taken else not self._losses[False]
            told = replace(self._losses[shadow])
            batch = _batch(taken, told, shadow=shadow, **self._about)
            if not shadow:
                batch.service.CopyFrom(self.service.take())
            await self._deliver(batch, patient=patient)
            # Counted while this batch was under way belongs to the next one.
            self._losses[shadow].minus(told)
            if not patient and not self._waiting:
                return

    async def _deliver(self, batch: telemetry_pb2.PredictionBatch, *, patient: bool) -> None:
        payload, pause = batch.SerializeToString(), 0.1
        if len(payload) > _BATCH_BYTES:
            self._drop(len(batch.prediction_ids), batch.shadow)
            return
        while True:
            try:
                await self._publish(batch.batch_id, payload)
                return
            except Exception:  # Whatever the reason, predictions go on and the batch waits or is dropped.
                if not patient:
                    self._drop(len(batch.prediction_ids), batch.shadow)
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _take(self) -> list[Answered]:
        """Up to one batch of rows that have the same columns and went to the same side."""
        taken: list[Answered] = []
        rows = values = 0
        while self._waiting:
            one = self._waiting[0]
            rows, values = rows + len(one.ids), values + one.values
            if taken and (rows > _BATCH_ROWS or values > _BATCH_VALUES or _kind(one) != _kind(taken[0])):
                rows -= len(one.ids)
                break
            taken.append(self._waiting.popleft())
        self._rows -= rows
        return taken


def _kind(one: Answered) -> tuple[bool, list[str]]:
    return one.shadow, one.names


def _cut(columns: Columns, part: slice) -> Columns:
    return [(name, values[part]) for name, values in columns]


def _batch(taken: Sequence[Answered], told: Losses, **about: Any) -> telemetry_pb2.PredictionBatch:
    batch = telemetry_pb2.PredictionBatch(batch_id=uuid.uuid4().hex, **asdict(told), **about)
    first, last = (taken[0].time, taken[-1].time) if taken else (time.time(), time.time())
    batch.start_time.FromMicroseconds(int(first * 1e6))
    batch.end_time.FromMicroseconds(int(last * 1e6))
    for one in taken:
        batch.prediction_ids.extend(one.ids)
    if taken:
        _fill(batch.inputs, [one.inputs for one in taken])
        _fill(batch.outputs, [one.outputs for one in taken])
    return batch


def _fill(target: Any, parts: Sequence[Columns]) -> None:
    for index, (name, values) in enumerate(parts[0]):
        column = target.add(name=name)
        numeric = values.dtype.kind in _FLOATING_OR_INTEGER
        for part in parts:
            if numeric:
                column.numbers.extend(part[index][1].tolist())
            else:
                column.strings.extend(str(one) for one in part[index][1].tolist())
