"""The forms that facts are written in. Each keeps the stored bytes too, so each can be held against the signed log."""

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Protocol

from modelog.cloudevents import cloud_event
from modelog.exports.rows import Row, compact, is_fact, row_of
from modelog.sdk.facts import Entry

_BATCH_ROWS = 2048
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - in UTC, which is written as Z.


class Form(Protocol):
    """How files of facts are written and read back. A record is what a file says of one message of the log."""

    suffix: str

    def record(self, entry: Entry) -> Any:
        """The same entry always makes the same record."""

    def write(self, path: Path, records: Sequence[Any]) -> None:
        """A new file of these records, in their order."""

    def read(self, path: Path) -> Iterator[tuple[Entry, Any]]:
        """Each record with the message that it is of. ValueError or OSError for what cannot be read."""

    def without_event(self, record: Any) -> Any:
        """What every build makes of a message: all but the event's fields, of which a later build may know more."""


class Parquet:
    """A column for each part of a row."""

    suffix = ".parquet"

    def record(self, entry: Entry) -> Row:
        return row_of(entry)

    def write(self, path: Path, records: Sequence[Row]) -> None:
        pa, parquet = arrow()
        times = pa.timestamp("us", tz="UTC")
        kinds = {
            "revision": pa.int64(),
            "time": times,
            "happened": times,
            "generation": pa.int64(),
            "on_behalf_of": pa.list_(pa.string()),
            "payload": pa.binary(),
        }
        schema = pa.schema([(name, kinds.get(name, pa.string())) for name in Row._fields])
        columns = zip(*records, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")

    def read(self, path: Path) -> Iterator[tuple[Entry, Row]]:
        pa, parquet = arrow()
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=list(Row._fields)):
                    columns = (
                        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
                        for column in batch.select(list(Row._fields)).columns
                    )
                    for values in zip(*(column.to_pylist() for column in columns), strict=True):
                        row = _row(values)
                        yield Entry(row.revision, row.subject, row.payload), row
        except (pa.ArrowException, KeyError, TypeError) as error:
            raise ValueError(str(error)) from error

    def without_event(self, record: Row) -> Row:
        return record._replace(event=None)


class JsonLines:
    """An object a line: the parts of a row that there are, times in RFC 3339, the payload in base64; the event last."""

    suffix = ".jsonl"
    # What of a line a later build may tell otherwise, and where the log's subject stands.
    _event_names: Sequence[str] = ("event",)
    _subject = "subject"

    def record(self, entry: Entry) -> str:
        row = row_of(entry)
        told = {name: value for name, value in row._asdict().items() if value and name != "event"}
        told |= {name: _time(told[name]) for name in ("time", "happened") if name in told}
        line = compact(told | {"payload": _base64(row.payload)})
        return line if row.event is None else f'{line[:-1]},"event":{row.event}}}'

    def write(self, path: Path, records: Sequence[str]) -> None:
        with self._open(path, "wb") as file:
            file.write("".join(f"{one}\n" for one in records).encode())

    def read(self, path: Path) -> Iterator[tuple[Entry, str]]:
        with self._open(path, "rb") as file:
            for line in file:
                told = json.loads(line)
                try:
                    payload = base64.b64decode(told["payload"], validate=True)
                    entry = Entry(int(told["revision"]), told[self._subject], payload)
                except (KeyError, TypeError) as error:
                    raise ValueError(f"a line without {error}") from error
                yield entry, line.decode().rstrip("\n")

    def without_event(self, record: str) -> Mapping[str, Any]:
        return {name: value for name, value in json.loads(record).items() if name not in self._event_names}

    def _open(self, path: Path, mode: str) -> IO[bytes]:
        return path.open(mode)


class CloudEvents(JsonLines):
    """A CloudEvent a line (structured mode, 1.0), in zstd. Extensions `payload` and `logsubject` hold the message."""

    suffix = ".jsonl.zst"
    _event_names = ("data", "data_base64", "datacontenttype")
    _subject = "logsubject"

    def record(self, entry: Entry) -> str:
        return compact(cloud_event_of(entry) | {"logsubject": entry.subject, "payload": _base64(entry.payload)})

    def _open(self, path: Path, mode: str) -> IO[bytes]:
        pa, _ = arrow()
        if mode == "rb":
            return io.BufferedReader(pa.input_stream(path, compression="zstd"))
        writing: IO[bytes] = pa.output_stream(path, compression="zstd")
        return writing


def cloud_event_of(entry: Entry) -> dict[str, Any]:
    """A message of the log as a CloudEvent; one that is no fact is of the type `modelog.log.v1.Unreadable`."""
    if entry.fact is not None and is_fact(entry):
        return cloud_event(entry.fact, entry.revision)
    event = {"specversion": "1.0", "id": f"revision-{entry.revision}", "source": "/log"}
    return event | {"type": "modelog.log.v1.Unreadable", "revision": str(entry.revision)}


def arrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet; ValueError where it is not installed."""
    try:
        import pyarrow as pa  # Large, and only some export.
        from pyarrow import parquet
    except ImportError:
        raise ValueError("Parquet and zstd need pyarrow: install modelog[parquet], or say --format jsonl") from None
    return pa, parquet


def _row(values: Sequence[Any]) -> Row:
    row = Row(*values)
    return row._replace(on_behalf_of=tuple(row.on_behalf_of))


def _time(microseconds: int) -> str:
    """RFC 3339, always with six digits, so that texts are in the order of times."""
    return f"{(_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec='microseconds')}Z"


def _base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


FORMS: Mapping[str, Form] = {"parquet": Parquet(), "cloudevents": CloudEvents(), "jsonl": JsonLines()}
