"""Telemetry as it arrives: what fits is read, what does not is put aside with every reason at once."""

import math
from datetime import timedelta
from typing import Any

import pytest

from kernel.errors import Invalid
from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.telemetry.batches import Outcomes, Predictions, Rejected, baseline_columns, misfits, read
from tests.monitoring.build import INPUT, OUTPUT, START, VERSION, batch, column, outcomes

PREDICTIONS = "telemetry.predictions.risk.fraud-eu"
OUTCOMES = "telemetry.outcomes.risk.fraud-eu"


def rejected(message: Any, subject: str = PREDICTIONS) -> str:
    found = read(subject, message.SerializeToString())
    assert isinstance(found, Rejected)
    return found.reason


def predictions(message: telemetry.PredictionBatch) -> Predictions:
    found = read(PREDICTIONS, message.SerializeToString())
    assert isinstance(found, Predictions)
    return found


def test_a_good_batch_is_read_column_by_column() -> None:
    found = predictions(batch("b1", [1.0, math.nan], failed_requests=3))
    assert (found.rows, found.version, found.failed_requests) == (2, VERSION, 3)
    assert [(one.name, one.role) for one in found.columns] == [("age", INPUT), ("label", OUTPUT)]
    assert list(found.ids) == ["b1-0", "b1-1"]
    assert found.start == int(START.timestamp() * 1_000_000)


def test_a_batch_without_rows_may_tell_of_failures() -> None:
    found = predictions(batch("b1", [], failed_requests=3))
    assert (found.rows, list(found.columns)) == (0, [])


def test_outcomes_are_read_as_text() -> None:
    found = read(OUTCOMES, outcomes("o1", {"b1-0": 1.0, "b1-1": 0.5}).SerializeToString())
    assert isinstance(found, Outcomes)
    assert list(found.labels) == ["1", "0.5"]


@pytest.mark.parametrize(
    "subject", ["telemetry.other.risk.fraud-eu", "telemetry.predictions.risk", "telemetry.predictions.RISK.x", "t"]
)
def test_a_foreign_subject_is_rejected(subject: str) -> None:
    assert "the subject" in rejected(batch("b1", [1.0]), subject)


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x0a\xff"])
def test_noise_is_rejected(payload: bytes) -> None:
    found = read(PREDICTIONS, payload)
    assert isinstance(found, Rejected)
    assert found.reason.startswith("malformed")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"endpoint": "projects/risk/endpoints/other"}, "came on the subject of"),
        ({"version": "fraud"}, "is no version's name"),
        ({"batch_id": "x" * 129}, "batch_id"),
        ({"batch_id": "a\0b"}, "batch_id"),
        ({"dropped_rows": -1}, "negative"),
        ({"failed_requests": 1 << 60}, "above"),
        ({"prediction_ids": ["only"]}, "age: 2 values for 3 rows"),
        ({"prediction_ids": [""]}, "prediction id"),
        ({"inputs": [column("age", [1.0, 2.0])]}, "age: twice"),
        ({"inputs": [column("", [1.0, 2.0])]}, "without a proper name"),
        ({"inputs": [column("a\0", [1.0, 2.0])]}, "without a proper name"),
        ({"inputs": [telemetry.TelemetryColumn(name="b", numbers=[1.0, 2.0], strings=["x"])]}, "b: both"),
        ({"inputs": [column("b", [1.0])], "outputs": [column("c", [1.0])]}, "b: 1 values for 2 rows; c: 1 values"),
    ],
)
def test_what_does_not_fit_is_rejected_with_the_reason(fields: dict[str, Any], reason: str) -> None:
    message = batch("b1", [1.0, 2.0])
    message.MergeFrom(telemetry.PredictionBatch(**fields))
    assert reason in rejected(message)


def test_times_must_be_there_and_in_order() -> None:
    message = batch("b1", [1.0])
    message.end_time.FromDatetime(START - timedelta(seconds=1))
    assert "out of order" in rejected(message)
    message.ClearField("start_time")
    assert "missing" in rejected(message)


def test_outcomes_need_a_label_for_each_id() -> None:
    message = outcomes("o1", {"b1-0": 1.0})
    message.prediction_ids.append("b1-1")
    assert "1 labels for 2 ids" in rejected(message, OUTCOMES)


def test_columns_of_another_type_than_the_signature_are_named() -> None:
    known = types.KnownVersion(
        columns=[
            types.BaselineColumn(name="age", role=INPUT, categorical=True),
            types.BaselineColumn(name="label", role=OUTPUT),
        ]
    )
    misfit = misfits(predictions(batch("b1", [1.0])), known)
    assert misfit is not None
    assert misfit.reason == "age: numbers against the version's signature"
    assert misfits(predictions(batch("b1", [1.0])), types.KnownVersion()) is None


def test_a_baseline_is_checked_in_the_same_way() -> None:
    assert [one.rows for one in baseline_columns([column("age", [1.0, 2.0])], [column("label", ["a", "b"])])] == [2, 2]
    with pytest.raises(Invalid, match="label: 1 values for 2 rows"):
        baseline_columns([column("age", [1.0, 2.0])], [column("label", ["a"])])
    with pytest.raises(Invalid, match="no values"):
        baseline_columns([], [])
