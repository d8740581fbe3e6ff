"""What no request may hold is named by its field, and what people write in their own script is left alone."""

import struct
from typing import Any

import pytest

from kernel.errors import Invalid
from kernel.parsing import parse
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import types_pb2 as types

VERSION = "projects/risk/models/fraud/versions/1"


def wrong(request: Any) -> list[tuple[str, str]]:
    """Field and reason of each violation."""
    with pytest.raises(Invalid) as caught:
        parse(type(request), request.SerializePartialToString())
    return [(one.field, one.reason) for one in caught.value.violations]


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        ("\0", "CONTROL_CHARACTER"),
        ("\x1b[2J", "CONTROL_CHARACTER"),
        ("\x7f", "CONTROL_CHARACTER"),
        ("\x9b", "CONTROL_CHARACTER"),
        ("\u202e", "CONTROL_CHARACTER"),
        ("\u2066", "CONTROL_CHARACTER"),
        ("\u2028", "CONTROL_CHARACTER"),
        ("\ufeff", "CONTROL_CHARACTER"),
        ("e\u0301", "NOT_NFC"),
        ("\u212b", "NOT_NFC"),
    ],
)
def test_signs_that_deceive_are_refused_wherever_they_stand(sign: str, reason: str) -> None:
    text = f"Risk{sign}"
    assert wrong(rpc.CreateProjectRequest(project_id="risk", title=text)) == [("title", reason)]
    assert wrong(rpc.CreateProjectRequest(project_id="risk", reason=text)) == [("reason", reason)]
    request = rpc.RegisterVersionRequest(parent="projects/risk/models/fraud", hyperparameters={"depth": text})
    assert wrong(request) == [('hyperparameters["depth"]', reason)]
    request = rpc.RegisterVersionRequest(parent="projects/risk/models/fraud", hyperparameters={text: "3"})
    assert wrong(request) == [("hyperparameters.key", reason)]
    request = rpc.RegisterVersionRequest(training_data=[types.DataSet(), types.DataSet(description=text)])
    assert wrong(request) == [("training_data[1].description", reason)]


@pytest.mark.parametrize("text", ["Größe", "模型", "नमूना", "نموذج", "😀👩‍🔬", "first\nsecond\tthird\r\n", "a\u200fb"])
def test_what_people_write_is_left_alone(text: str) -> None:
    assert parse(rpc.CreateProjectRequest, _bytes(text)).title == text


def _bytes(title: str) -> bytes:
    return rpc.CreateProjectRequest(project_id="risk", title=title).SerializeToString()


@pytest.mark.parametrize(
    "seconds_nanos", [(2**53, 0), (-1, 0), (253_402_300_800, 0), (0, -1), (0, 1_000_000_000), (-(2**63), 0)]
)
def test_a_moment_that_is_none_is_refused(seconds_nanos: tuple[int, int]) -> None:
    seconds, nanos = seconds_nanos
    request = rpc.GetVersionRequest(name=VERSION)
    request.read.as_of_time.seconds, request.read.as_of_time.nanos = seconds, nanos
    assert wrong(request) == [("read.as_of_time", "TIME_RANGE")]


def test_not_a_number_is_refused() -> None:
    for value in (float("nan"), float("inf"), struct.unpack("<d", b"\xff" * 8)[0]):
        request = rpc.RecordEvaluationRequest(name=VERSION, evaluation_id="holdout")
        request.evaluation.metrics["auc"].value = value
        assert wrong(request) == [('evaluation.metrics["auc"].value', "NOT_FINITE")]


def test_far_too_many_entries_are_counted_and_not_looked_at() -> None:
    request = rpc.CompareVersionsRequest(names=["\0"] * 50_000)
    assert wrong(request) == [("names", "TOO_MANY_ITEMS")]
