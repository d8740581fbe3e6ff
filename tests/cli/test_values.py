"""What people type, and the fields it fills."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from google.protobuf.descriptor_pool import Default

from modelog.cli import values
from modelog.cli.names import PATTERNS, Name
from modelog.cli.text import clean
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.types_pb2 import DataSet, Property, ReviewKind, Signature


@pytest.mark.parametrize(
    ("typed", "kind", "name"),
    [
        ("risk", "project", "projects/risk"),
        ("risk/fraud", "model", "projects/risk/models/fraud"),
        ("risk/-", "model", "projects/risk/models/-"),
        ("risk/fraud/3", "version", "projects/risk/models/fraud/versions/3"),
        ("risk/eu/7", "rollout", "projects/risk/endpoints/eu/rollouts/7"),
        ("projects/risk/models/fraud", "version", "projects/risk/models/fraud"),
    ],
)
def test_short_names_become_full_ones(typed: str, kind: str, name: str) -> None:
    assert Name(kind).convert(typed, None, None) == name


@pytest.mark.parametrize("kind", PATTERNS)
def test_a_name_that_cannot_be_is_answered_with_an_example(kind: str) -> None:
    with pytest.raises(click.BadParameter, match=f"names no {kind}; write projects/risk"):
        Name(kind).convert("a/b/c/d", None, None)


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172800), ("1.5h", 5400), ("7", 7), ("0.5", 0.5)],
)
def test_lengths_of_time(typed: str, seconds: float) -> None:
    assert values.Span().convert(typed, None, None) == timedelta(seconds=seconds)


@pytest.mark.parametrize("typed", ["", "s", "5x", "1h 30m", "-5s", "1..5s"])
def test_what_is_no_length_of_time(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="no length of time"):
        values.Span().convert(typed, None, None)


def test_moments_without_a_zone_are_utc() -> None:
    convert: Any = values.Time().convert
    assert convert("2026-05-01", None, None) == datetime(2026, 5, 1, tzinfo=UTC)
    assert convert("2026-05-01T12:00:00+02:00", None, None) == datetime(2026, 5, 1, 10, tzinfo=UTC)
    with pytest.raises(click.BadParameter):
        convert("tomorrow", None, None)


def test_pairs() -> None:
    assert values.Pair().convert("a=b=c", None, None) == ("a", "b=c")
    assert values.Pair(click.FLOAT).convert("auc=0.9", None, None) == ("auc", 0.9)
    for wrong in ("a", "=b"):
        with pytest.raises(click.BadParameter):
            values.Pair().convert(wrong, None, None)
    with pytest.raises(click.BadParameter):
        values.Pair(click.FLOAT).convert("auc=high", None, None)


def test_enums_are_words() -> None:
    field = values.find(rpc.SubmitReviewRequest.DESCRIPTOR, "kind")
    assert values.Enum(field).convert("Fairness", None, None) == ReviewKind.REVIEW_KIND_FAIRNESS
    with pytest.raises(click.BadParameter, match=r"general.*performance"):
        values.Enum(field).convert("unspecified", None, None)


def test_messages_are_json_from_a_file_or_typed(tmp_path: Any) -> None:
    kind = values.Json(Default().FindMessageTypeByName("modelog.registry.v1.Signature"))
    path = tmp_path / "signature.json"
    path.write_text('{"inputs": [{"name": "a"}]}')
    expected = Signature(inputs=[{"name": "a"}])
    assert kind.convert(f"@{path}", None, None) == expected
    assert kind.convert(path.read_text(), None, None) == expected
    for wrong in ('{"inputz": []}', "not json", '{"inputs": 3}'):
        with pytest.raises(click.BadParameter, match="not a Signature as JSON"):
            kind.convert(wrong, None, None)


def test_every_kind_of_field_is_filled() -> None:
    request = rpc.RegisterVersionRequest()
    values.assign(request, "parent", "projects/p/models/m")
    values.assign(request, "documentation.summary", "short")
    values.assign(request, "hyperparameters", [("a", "1"), ("b", "2")])
    values.assign(request, "training_data", [DataSet(name="d")])
    values.assign(request, "signature", Signature(inputs=[{"name": "a"}]))
    assert request.documentation.summary == "short"
    assert dict(request.hyperparameters) == {"a": "1", "b": "2"}
    assert request.training_data[0].name == "d"
    values.assign(request, "documentation.properties", [("rows", Property(number=3))])
    assert request.documentation.properties["rows"].number == 3
    assert request.signature.inputs[0].name == "a"
    deprecation = rpc.DeprecateVersionRequest()
    values.assign(deprecation, "sunset_time", datetime(2026, 5, 1, tzinfo=UTC))
    assert deprecation.sunset_time.ToJsonString() == "2026-05-01T00:00:00Z"


def test_control_characters_are_written_out() -> None:
    assert clean("a\tb\nc") == "a\tb\nc"
    assert clean("\x1b[31m\x00\x9b\u202e") == "\\x1b[31m\\x00\\x9b\\x202e"
