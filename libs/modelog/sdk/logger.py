"""A logger of predictions for an inference loop: it takes what it can carry, counts what it cannot, and never waits."""

import atexit
import itertools
import logging
import os
import random
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from modelog.sdk.columns import column_of
from modelog.sdk.errors import Refused
from modelog.sdk.ingesting import MOST_BATCH_BYTES, request_of, send
from modelog.sdk.session import Session

if TYPE_CHECKING:
    from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch

_log = logging.getLogger("modelog.telemetry")
_WAKE_ROWS = 1024
_BATCH_ROWS = 1024
_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_AT_EXIT_SECONDS = 2.0


class _Row(NamedTuple):
    id: str
    time: float
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


class PredictionLogger:
    """Use it as `with`; or close it, which sends what it still holds.

    `log` puts a row into a queue of at most `most_rows` and returns; a thread sends what is there every `flush_seconds`
    in batches. While monitoring is slow or away the queue fills, further rows are dropped and counted, and the count
    travels with the next batch, so that a window tells how many rows it lacks. After a fork the child logs on its own:
    what the parent holds stays the parent's. (gRPC itself does not go on in a child of a process that has used it, so
    fork before the first row.)
    """

    def __init__(
        self,
        session: Session,
        apart: Callable[[], tuple[Callable[..., Any], Any]],
        *,
        version: str,
        endpoint: str,
        replica: str,
        most_rows: int,
        flush_seconds: float,
        sample: float,
    ) -> None:
        self._session = session
        self._apart = apart
        self._version, self._endpoint, self._replica = version, endpoint, replica
        self._most_rows = most_rows
        self._flush_seconds = flush_seconds
        self._sample = sample
        # Rows that were taken and dropped, and requests that failed, since the logger began; batches that monitoring
        # refused, which it says why in the log `modelog.telemetry`.
        self.dropped_rows = 0
        self.failed_requests = 0
        self.refused_batches = 0
        self._begin()
        _LOGGERS.add(self)

    def _begin(self) -> None:
        self._rows: deque[tuple[str, float, Mapping[str, Any], Mapping[str, Any]]] = deque()
        self._told = (0, 0)
        self._wake, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closing: float | None = None
        self._ids = map(f"{uuid.uuid4().hex[:12]}-{{}}".format, itertools.count())

    def log(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, id: str = "") -> str:  # noqa: A002
        """Takes one row: values by column. Returns its prediction id, made unless given, for the label to come.

        Never blocks and never raises for what monitoring does. Values are read later: change no array in place.
        """
        rows = self._rows
        if not id:
            id = next(self._ids)  # noqa: A001
        if self._sample < 1.0 and random.random() >= self._sample:
            return id
        if len(rows) >= self._most_rows or self._closing is not None:
            self.dropped_rows += 1
            return id
        rows.append((id, time.time(), inputs, outputs))
        if self._thread is None:
            self._start()
        elif len(rows) == _WAKE_ROWS:
            self._wake.set()
        return id

    def failed(self) -> None:
        """Counts a request that was answered with an error."""
        self.failed_requests += 1
        if self._thread is None:
            self._start()

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until all that was logged so far is stored; whether it is."""
        deadline = time.monotonic() + timeout
        self._wake.set()
        while self._rows or not self._idle.is_set():
            if time.monotonic() > deadline or self._thread is None:
                return False
            time.sleep(0.005)
        return True

    def close(self, timeout: float = 5.0) -> bool:
        """Sends what is there, for at most `timeout` seconds, and ends; whether all was sent."""
        if self._closing is None:
            self._closing = time.monotonic() + timeout
            self._wake.set()
            if self._thread is not None:
                self._thread.join(timeout)
        return not self._rows and self._idle.is_set()

    def __enter__(self) -> "PredictionLogger":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="modelog-telemetry", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        method, client = self._apart()
        try:
            while True:
                self._wake.wait(self._flush_seconds)
                self._wake.clear()
                self._send_all(method)
                if self._closing is not None:
                    return
        finally:
            client.close()

    def _send_all(self, method: Callable[..., Any]) -> None:
        pause = _PAUSE_SECONDS
        while self._rows or self._told != (self.dropped_rows, self.failed_requests):
            self._idle.clear()
            counts = self.dropped_rows, self.failed_requests
            batches = self._batches(counts)
            while not self._sent(method, batches):
                if self._closing is not None and time.monotonic() + pause > self._closing:
                    self.dropped_rows += sum(len(one.prediction_ids) for one in batches)
                    return  # Not idle: something was lost.
                self._wake.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            self._told, pause = counts, _PAUSE_SECONDS
            self._idle.set()

    def _sent(self, method: Callable[..., Any], batches: "Sequence[PredictionBatch]") -> bool:
        """Whether monitoring has answered all of them. They keep their ids, so sending them again counts once."""
        try:
            for one in send(self._session, method, map(request_of, batches)):
                if one.refusal is not None:
                    self._refused(one.refusal)
        except Refused as error:
            if error.code.name in ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"):
                return False
            self._refused(error)
        return True

    def _refused(self, refusal: Refused) -> None:
        self.refused_batches += 1
        if self.refused_batches == 1:
            _log.warning("monitoring refuses what is logged: %s: %s", refusal.reason, refusal.message)

    def _batches(self, counts: tuple[int, int]) -> "list[PredictionBatch]":
        """What waits, as batches of rows with the same columns. The first tells what was lost since the last ones."""
        taken: list[_Row] = []
        while self._rows and len(taken) < _BATCH_ROWS:
            taken.append(_Row._make(self._rows.popleft()))
        groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[_Row]] = {}
        for row in taken:
            groups.setdefault((tuple(row.inputs), tuple(row.outputs)), []).append(row)
        batches = [batch for rows in groups.values() for batch in self._within(rows)] or [self._batch([])]
        batches[0].dropped_rows = counts[0] - self._told[0]
        batches[0].failed_requests = counts[1] - self._told[1]
        return batches

    def _within(self, rows: list[_Row]) -> "list[PredictionBatch]":
        """In halves until each is small enough to be sent; a row that never is counts as dropped."""
        batch = self._batch(rows)
        if batch.ByteSize() <= MOST_BATCH_BYTES:
            return [batch]
        if len(rows) == 1:
            self.dropped_rows += 1
            return []
        half = len(rows) // 2
        return self._within(rows[:half]) + self._within(rows[half:])

    def _batch(self, rows: Sequence[_Row]) -> "PredictionBatch":
        from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch

        batch = PredictionBatch(
            batch_id=uuid.uuid4().hex,
            endpoint=self._endpoint,
            version=self._version,
            replica=self._replica or f"pid-{os.getpid()}",
        )
        first, last = (rows[0].time, rows[-1].time) if rows else (time.time(), time.time())
        batch.start_time.FromMicroseconds(int(min(first, last) * 1e6))
        batch.end_time.FromMicroseconds(int(max(first, last) * 1e6))
        batch.prediction_ids.extend(str(row.id) for row in rows)
        if rows:
            for name in rows[0].inputs:
                batch.inputs.append(column_of(name, [row.inputs[name] for row in rows]).rows(0, len(rows)))
            for name in rows[0].outputs:
                batch.outputs.append(column_of(name, [row.outputs[name] for row in rows]).rows(0, len(rows)))
        return batch


_LOGGERS: "weakref.WeakSet[PredictionLogger]" = weakref.WeakSet()


def _forked() -> None:
    """The thread and the connections are the parent's, and so are the rows that wait."""
    for one in list(_LOGGERS):
        one.dropped_rows = one.failed_requests = one.refused_batches = 0
        one._begin()


def _at_exit() -> None:
    for one in list(_LOGGERS):
        one.close(_AT_EXIT_SECONDS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
atexit.register(_at_exit)
