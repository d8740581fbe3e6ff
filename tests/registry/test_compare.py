"""Versions side by side."""

from typing import Any

from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.compare import compare
from tests.registry.build import MODEL_NAME, VERSION_NAME, registered

SECOND = f"{MODEL_NAME}/versions/2"
THIRD = f"{MODEL_NAME}/versions/3"


def one(name: str, metrics: dict[str, tuple[float, bool]], *events: Any, **fields: Any) -> types.Version:
    measured = {key: types.Metric(value=value, higher_is_better=up) for key, (value, up) in metrics.items()}
    event = facts.EvaluationRecorded(evaluation_id="holdout", evaluation={"metrics": measured})
    state: types.Version = registered(event, *events, name=name, **fields).state
    return state


def test_only_what_differs_is_told_each_value_in_the_column_of_its_version() -> None:
    column = {"name": "age", "type": types.DATA_TYPE_INT64, "shape": [2, -1]}
    first = one(VERSION_NAME, {}, hyperparameters={"depth": "3", "seed": "1"}, framework="f")
    second = one(SECOND, {}, hyperparameters={"depth": "4", "seed": "1"}, framework="f", signature={"inputs": [column]})
    reply = compare([first, second])
    assert list(reply.names) == [VERSION_NAME, SECOND]
    assert [(field.path, list(field.values)) for field in reply.fields] == [
        ("hyperparameters.depth", ['"3"', '"4"']),
        ("signature.inputs.age.name", ["", '"age"']),
        ("signature.inputs.age.shape", ["", "[2, -1]"]),
        ("signature.inputs.age.type", ["", '"DATA_TYPE_INT64"']),
    ]
    same = [field.path for field in compare([first, second], include_equal=True).fields]
    assert "hyperparameters.seed" in same
    assert "artifact.sha256" in same


def test_a_metric_tells_which_version_is_better_in_its_own_direction() -> None:
    first = one(VERSION_NAME, {"auc": (0.8, True), "loss": (0.3, False), "odd": (1.0, True), "only": (1.0, True)})
    second = one(SECOND, {"auc": (0.9, True), "loss": (0.4, False), "odd": (2.0, False)})
    third = one(THIRD, {"auc": (0.9, True), "loss": (0.5, False), "odd": (2.0, False)})
    metrics = {metric.path.rpartition(".")[2]: metric for metric in compare([first, second, third]).metrics}
    assert list(metrics["auc"].best) == [SECOND, THIRD]
    assert list(metrics["loss"].best) == [VERSION_NAME]
    assert (metrics["odd"].direction_agreed, list(metrics["odd"].best)) == (False, [])
    assert list(metrics["only"].best) == []
    assert [value.HasField("value") for value in metrics["only"].values] == [True, False, False]


def test_slices_fairness_and_approvers_are_compared_by_what_they_are_called() -> None:
    evaluation = types.Evaluation(
        slices=[{"column": "region", "value": "eu", "rows": 5, "metrics": {"auc": {"value": 0.5}}}],
        fairness=[{"attribute": "sex", "metrics": {"ratio": {"value": 0.9}}}],
        data_set={"name": "holdout", "sha256": "cd" * 32},
    )
    recorded = facts.EvaluationRecorded(evaluation_id="fair", evaluation=evaluation)
    moved = facts.StageChanged(
        from_stage="development", to_stage="testing", to_phase=types.PHASE_TESTING,
        verdict={"to_stage": "testing", "approvers": ["users/ben"]},
    )  # fmt: skip
    deprecated = facts.VersionDeprecated(successor=SECOND, sunset_time={"seconds": 1})
    reply = compare([one(VERSION_NAME, {}, recorded, moved, deprecated), one(SECOND, {})])
    told = {field.path: field.values[0] for field in reply.fields}
    assert told["verdicts.testing.approvers"] == '["users/ben"]'
    assert told["deprecation.sunset_time"] == '"1970-01-01T00:00:01Z"'
    assert told["evaluations.fair.slices.region=eu.rows"] == "5"
    assert told["stage"] == '"testing"'
    assert [metric.path for metric in reply.metrics] == [
        "evaluations.fair.fairness.sex.metrics.ratio",
        "evaluations.fair.slices.region=eu.metrics.auc",
    ]
