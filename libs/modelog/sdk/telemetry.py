"""What versions answered, and what turned out to be true, told to monitoring: whole tables, or row by row in a loop."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from modelog.sdk.columns import Column, column_of, columns_of
from modelog.sdk.ingesting import MOST_BATCH_BYTES, Sent, request_of, send
from modelog.sdk.logger import PredictionLogger
from modelog.sdk.session import Session

if TYPE_CHECKING:
    from modelog.monitoring.v1.ingest_pb2 import IngestRequest
    from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch

_MOST_ROWS = 10_000
_SPREAD_SECONDS = 60

Method = Callable[..., Any]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Logged:
    """How many rows were sent in how many batches, and how many of these batches the stream had already."""

    rows: int
    batches: int
    repeated: int


class Telemetry:
    """`client.telemetry` of the blocking client."""

    def __init__(self, session: Session, method: Callable[[], Method], apart: Callable[[], tuple[Method, Any]]) -> None:
        """method: Ingest. apart: the same on connections of its own, and what closes them, for a logger's thread."""
        self._session = session
        self._method = method
        self._apart = apart

    def log(
        self,
        data: Any,
        *,
        version: str,
        endpoint: str = "",
        outputs: Sequence[str] = (),
        ids: str = "",
        at: datetime | None = None,
        times: str = "",
        batch_id: str = "",
        progress: Progress | None = None,
    ) -> Logged:
        """Tells what a version answered: one row for each prediction. Returns once the stream has all of it for good.

        data: a data frame, an Arrow table, or a dict of arrays or lists, one value a row; numbers and times as numbers,
        everything else as text; None and NaN are missing. version: that answered. endpoint: it answered on; its model
        when empty, which is what monitors of batch scoring look at. outputs: the columns that the model said; the
        others went in. ids: the column of prediction ids, by which labels join. at: when it answered, now when not
        given; or times: the column that says when, in ascending order. batch_id: logging the same data under the same
        one again counts nothing twice. progress: hears how many rows are stored.

        Raises Refused for what monitoring refuses. What does not fit the version's signature is not refused but put
        aside: see ListRejectedBatches.
        """
        columns = {one.name: one for one in columns_of(data)}
        for name in (*outputs, *filter(None, (ids, times))):
            if name not in columns:
                raise ValueError(f"there is no column {name}; there are {', '.join(columns)}")
        about = _About(version, endpoint or version.rpartition("/versions/")[0], frozenset(outputs), ids, batch_id)
        rows = repeated = batches = 0
        sizes: list[int] = []

        def requests() -> "Iterator[IngestRequest]":
            for batch, size in _batches(columns, about, at or datetime.now(UTC), times):
                sizes.append(size)
                yield request_of(batch)

        for number, one in enumerate(send(self._session, self._method(), requests())):
            _raise(one)
            rows, batches, repeated = rows + sizes[number], batches + 1, repeated + one.repeated
            if progress is not None:
                progress(rows)
        return Logged(rows, batches, repeated)

    def record(self, ids: Any, labels: Any, *, endpoint: str, at: datetime | None = None, batch_id: str = "") -> Logged:
        """Tells what turned out to be true of predictions, by their ids; one label an id, text or number.

        endpoint: that answered, or the model they were logged for. at: since when it is known, now when not given.
        """
        from modelog.monitoring.v1.telemetry_pb2 import OutcomeBatch

        named, told = column_of("id", ids).ids(), column_of("label", labels)
        if len(named) != len(told):
            raise ValueError(f"{len(told)} labels for {len(named)} ids")
        about = batch_id or uuid.uuid4().hex

        def requests() -> "Iterator[IngestRequest]":
            for start, stop in _cuts(len(told), told.size + sum(map(len, named)) + 4 * len(named)):
                batch = OutcomeBatch(batch_id=f"{about}-{start}", endpoint=endpoint, prediction_ids=named[start:stop])
                batch.labels.CopyFrom(told.rows(start, stop))
                batch.record_time.FromDatetime(at or datetime.now(UTC))
                yield request_of(batch)

        sent = list(send(self._session, self._method(), requests()))
        for one in sent:
            _raise(one)
        return Logged(len(told), len(sent), sum(one.repeated for one in sent))

    def logger(
        self,
        *,
        version: str,
        endpoint: str = "",
        replica: str = "",
        most_rows: int = 8192,
        flush_seconds: float = 0.5,
        sample: float = 1.0,
    ) -> PredictionLogger:
        """Takes predictions out of an inference loop without ever making it wait: see PredictionLogger."""
        return PredictionLogger(
            self._session,
            self._apart,
            version=version,
            endpoint=endpoint or version.rpartition("/versions/")[0],
            replica=replica,
            most_rows=most_rows,
            flush_seconds=flush_seconds,
            sample=sample,
        )


@dataclass(frozen=True, slots=True)
class _About:
    version: str
    endpoint: str
    outputs: frozenset[str]
    ids: str
    batch_id: str


def _raise(sent: Sent) -> None:
    if sent.refusal is not None:
        raise sent.refusal


def _batches(
    columns: dict[str, Column], about: _About, at: datetime, times: str
) -> "Iterator[tuple[PredictionBatch, int]]":
    """Messages and their rows. The same columns are always cut at the same rows, so that their ids are the same."""
    from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch

    told = {name: one for name, one in columns.items() if name not in (about.ids, times)}
    ids = columns[about.ids].ids() if about.ids else []
    moments = [float(one) for one in columns[times].values()] if times else []
    rows = len(next(iter(columns.values()), ()))
    size = sum(one.size for one in told.values()) + sum(map(len, ids)) + 4 * len(ids)
    named = about.batch_id or uuid.uuid4().hex
    for start, stop in _cuts(rows, size, moments):
        batch = PredictionBatch(
            batch_id=f"{named}-{start}",
            endpoint=about.endpoint,
            version=about.version,
            prediction_ids=ids[start:stop],
            inputs=[one.rows(start, stop) for name, one in told.items() if name not in about.outputs],
            outputs=[told[name].rows(start, stop) for name in told if name in about.outputs],
        )
        if moments:
            batch.start_time.FromMicroseconds(round(moments[start] * 1e6))
            batch.end_time.FromMicroseconds(round(moments[stop - 1] * 1e6))
        else:
            batch.start_time.FromDatetime(at)
            batch.end_time.FromDatetime(at)
        yield batch, stop - start


def _cuts(rows: int, size: int, moments: Sequence[float] = ()) -> Iterator[tuple[int, int]]:
    """Where to cut rows that take up `size` bytes; with moments also where a minute begins, since a batch belongs into
    one window of time. ValueError when they are not in order."""
    most = max(1, min(_MOST_ROWS, MOST_BATCH_BYTES * rows // (size + 64 * rows or 1)))
    start = 0
    while start < rows:
        stop = min(rows, start + most)
        if moments:
            stop = _same_minute(moments, start, stop)
        yield start, stop
        start = stop


def _same_minute(moments: Sequence[float], start: int, stop: int) -> int:
    minute = moments[start] // _SPREAD_SECONDS
    for at in range(start, stop):
        if not moments[max(at - 1, 0)] <= moments[at]:
            raise ValueError(f"row {at} was answered before row {at - 1}, or at no time: sort the rows by it")
        if moments[at] // _SPREAD_SECONDS != minute:
            return at
    return stop
