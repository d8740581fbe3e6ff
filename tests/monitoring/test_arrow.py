"""Arrow IPC streams: what pyarrow writes is read as pyarrow reads it, and bytes of no sense are refused in words."""

import contextlib
import io
import struct
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.telemetry.arrow import Unsupported, count_rows, read_stream
from services.monitoring.telemetry.batches import Predictions, Rejected, read
from services.monitoring.telemetry.flat import Malformed
from tests.monitoring.build import INPUT, OUTPUT, batch

SUBJECT = "telemetry.predictions.risk.fraud-eu"


def stream(table: Any, most_rows: int | None = None, **options: Any) -> bytes:
    written = io.BytesIO()
    with pa.ipc.new_stream(written, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=most_rows)
    return written.getvalue()


TABLE = pa.table(
    {
        "integers": pa.array([1, None, -3], pa.int16()),
        "large": pa.array([2**40, 1, None], pa.uint64()),
        "floats": pa.array([1.5, None, float("inf")]),
        "half": pa.array(np.array([0.5, 1, 2], np.float16)),
        "booleans": pa.array([True, None, False]),
        "times": pa.array([1500, None, 3], pa.timestamp("ms")),
        "days": pa.array([date(1970, 1, 3), None, date(1970, 1, 1)]),
        "texts": ["x", None, "zä"],
        "long_texts": pa.array(["", "b", None], pa.large_string()),
        "kinds": pa.array(["u", "v", None]).dictionary_encode(),
        "codes": pa.array([7.5, 9.5, None]).dictionary_encode(),
    }
)
WANTED: dict[str, list[Any]] = {
    "integers": [1, np.nan, -3],
    "large": [2**40, 1, np.nan],
    "floats": [1.5, np.nan, np.inf],
    "half": [0.5, 1, 2],
    "booleans": [1, np.nan, 0],
    "times": [1.5, np.nan, 0.003],
    "days": [172800, np.nan, 0],
    "texts": ["x", "", "zä"],
    "long_texts": ["", "b", ""],
    "kinds": ["u", "v", ""],
    "codes": [7.5, 9.5, np.nan],
}


@pytest.mark.parametrize("most_rows", [None, 1, 2])
def test_every_type_is_read_with_what_is_missing(most_rows: int | None) -> None:
    found = read_stream(stream(TABLE, most_rows))
    for name, wanted in WANTED.items():
        if isinstance(wanted[0], str):
            assert found[name].strings == wanted
        else:
            np.testing.assert_array_equal(found[name].numbers, wanted)
    assert count_rows(stream(TABLE, most_rows)) == 3


def test_a_table_without_rows_is_read() -> None:
    assert {len(one) for one in read_stream(stream(TABLE.slice(0, 0))).values()} == {0}


def test_a_slice_of_a_table_is_read_from_where_it_begins() -> None:
    assert read_stream(stream(TABLE.slice(1, 2)))["texts"].strings == ["", "zä"]


def test_what_telemetry_does_not_hold_is_named_by_column() -> None:
    table = pa.table({"fine": [1.0], "nested": [[1]], "exact": pa.array([1], pa.decimal128(5))})
    with pytest.raises(Unsupported) as caught:
        read_stream(stream(table))
    assert caught.value.columns == [("nested", "lists"), ("exact", "decimals")]


def test_compression_is_refused() -> None:
    with pytest.raises(Malformed, match="without compression"):
        read_stream(stream(pa.table({"a": np.zeros(1000)}), compression="zstd"))


def test_more_than_a_message_can_hold_is_not_believed() -> None:
    """Columns may point at one buffer, so a small message could come to gigabytes."""
    bits = pa.array(np.zeros(80_000, bool))
    table = pa.table({f"c{number}": bits for number in range(200)})
    sent = stream(table)
    assert len(read_stream(sent)) == 200
    start = len(stream(table.slice(0, 0).schema.empty_table())) - 8  # Where the schema ends and the batch begins.
    (size,) = struct.unpack_from("<I", sent, start + 4)
    metadata, body = bytearray(sent[start + 8 : start + 8 + size]), sent[start + 8 + size : -8]
    first = 10_048  # The data of one column, padded.
    for place in range(0, size - 15, 8):
        left, right = struct.unpack_from("<qq", metadata, place)
        if right == 10_000 or (right == 0 and 0 < left < len(body) and left != 80_000):
            struct.pack_into("<q", metadata, place, 0)
        if left == len(body):
            struct.pack_into("<q", metadata, place, first)
    aliased = sent[: start + 8] + bytes(metadata) + body[:first] + sent[-8:]
    with pytest.raises(Malformed, match="more than it does"):
        read_stream(aliased)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_broken_bytes_are_refused_in_words(data: st.DataObject) -> None:
    sent = bytearray(stream(TABLE))
    for _ in range(data.draw(st.integers(1, 4))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(sent)) | st.just(len(sent)))
    with contextlib.suppress(Malformed, Unsupported):
        read_stream(bytes(sent[:cut]))


def arrow_batch(table: Any, **fields: Any) -> telemetry.PredictionBatch:
    made = batch("b1", [])
    for name in ("prediction_ids", "inputs", "outputs"):
        made.ClearField(name)
    given = {"arrow": stream(table), "arrow_outputs": ["label"], "arrow_ids": "id"} | fields
    made.MergeFrom(telemetry.PredictionBatch(**given))
    return made


def judged(made: telemetry.PredictionBatch) -> Any:
    return read(SUBJECT, made.SerializeToString())


ROWS = pa.table({"id": [11, 12], "age": [40.0, None], "label": ["yes", "no"]})


def test_a_batch_may_be_an_arrow_stream() -> None:
    found = judged(arrow_batch(ROWS))
    assert isinstance(found, Predictions)
    assert (found.rows, list(found.ids)) == (2, ["11", "12"])
    assert [(one.name, one.role, one.strings) for one in found.columns] == [
        ("age", INPUT, None),
        ("label", OUTPUT, ["yes", "no"]),
    ]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (arrow_batch(ROWS, arrow_ids="key"), "arrow_ids: there is no column key"),
        (arrow_batch(ROWS, arrow_outputs=["p"]), "arrow_outputs: there is no column p"),
        (arrow_batch(ROWS, arrow=b"\xff" * 30), "arrow: "),
        (arrow_batch(ROWS, prediction_ids=["1"]), "both arrow and lists"),
        (arrow_batch(ROWS.set_column(0, "id", pa.array(["1", None]))), "a prediction id is empty"),
    ],
)
def test_an_arrow_batch_that_does_not_fit_says_why(made: telemetry.PredictionBatch, reason: str) -> None:
    found = judged(made)
    assert isinstance(found, Rejected)
    assert reason in found.reason


def test_unsupported_columns_are_told_one_by_one() -> None:
    found = judged(arrow_batch(ROWS.append_column("tags", pa.array([["a"], []]))))
    assert isinstance(found, Rejected)
    (column,) = found.columns
    assert (column.name, column.found, column.first_row, column.role) == ("tags", "lists", -1, types.COLUMN_ROLE_INPUT)
