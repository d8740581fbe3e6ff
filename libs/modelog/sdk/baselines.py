"""Tables as requests for a baseline: as many as one call carries each, together at most what a stream of them does."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelog.sdk.columns import Column, columns_of

if TYPE_CHECKING:
    from modelog.monitoring.v1.monitoring_service_pb2 import StreamBaselineRequest

_MESSAGE_BYTES = 200_000  # A call takes a quarter of a mebibyte.
MOST_BYTES = 48_000_000  # A stream of them takes 64 mebibytes, written with tags.


def baseline_requests(
    data: Any, *, monitor: str, outputs: Sequence[str], label: str = "", **fields: Any
) -> "Iterator[StreamBaselineRequest]":
    """What `monitoring.StreamBaseline` takes for a data frame, an Arrow table or a dict of arrays.

    outputs: which columns the model answers; label: which one is what turned out to be true. fields: of the first
    request, for example `description` and `chunk_rows`. ValueError when a column is not there, or it is too much.
    """
    from modelog.monitoring.v1.monitoring_service_pb2 import StreamBaselineRequest

    columns = columns_of(data)
    names = [one.name for one in columns]
    if missing := sorted({*outputs, *([label] if label else [])} - set(names)):
        raise ValueError(f"there is no column {', '.join(missing)}")
    size, rows = sum(one.size for one in columns), len(columns[0]) if columns else 0
    if size > MOST_BYTES:
        raise ValueError(f"{size:,} bytes are more than the {MOST_BYTES:,} of a baseline: take a part of the rows")
    step = max(1, rows * _MESSAGE_BYTES // max(1, size))
    for start in range(0, max(1, rows), step):
        request = StreamBaselineRequest(name=monitor, **(fields if not start else {}))
        _fill(request.values, columns, slice(start, start + step), outputs, label)
        yield request


def _fill(values: Any, columns: Sequence[Column], rows: slice, outputs: Sequence[str], label: str) -> None:
    for column in columns:
        part = column.rows(rows.start, rows.stop)
        if column.name == label:
            values.labels.CopyFrom(part)
        else:
            (values.outputs if column.name in outputs else values.inputs).append(part)
