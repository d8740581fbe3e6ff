"""Evaluations that contradict themselves are refused, naming the field; facts of former times stay readable."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kernel.errors import Invalid
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.measured import check_evaluation
from services.registry.domain.version import record_evaluation
from tests.registry.build import registered


def sound() -> types.Evaluation:
    """Everything an evaluation can say, without contradiction."""
    interval = types.ConfidenceInterval(low=0.85, high=0.95, level=0.95, method="DeLong")
    rates = {"selection_rate": types.Metric(value=0.5)}
    groups = {
        "f": types.GroupCounts(rows=50, true_positives=20, false_positives=5, true_negatives=20, false_negatives=5),
        "m": types.GroupCounts(rows=40, metrics=rates),
    }
    return types.Evaluation(
        metrics={"auc": types.Metric(value=0.9, higher_is_better=True, interval=interval)},
        rows=100,
        threshold=0.5,
        positive_label="1",
        confusion={"labels": ["0", "1"], "counts": [40, 10, 5, 45]},
        curves=[
            {"kind": types.CURVE_KIND_ROC, "x": [0, 0.1, 0.1, 1], "y": [0, 0.5, 0.8, 1]},
            {"kind": types.CURVE_KIND_CALIBRATION, "x": [0.1, 0.8], "y": [0.2, 0.7], "rows": [60, 40]},
        ],
        slices=[{"column": "region", "value": "eu", "rows": 60, "metrics": {"auc": {"value": 0.8}}}],
        fairness=[
            types.Fairness(
                attribute="sex",
                group_rows={"f": 50, "m": 40},
                groups=groups,
                reference_group="m",
                suppressed_groups=2,
                suppressed_rows=10,
                minimum_rows=20,
            )
        ],
    )


def test_what_is_sound_is_recorded_and_recorded_again_is_nothing_new() -> None:
    life = registered()
    event = facts.EvaluationRecorded(evaluation_id="holdout", evaluation=sound())
    life.when(record_evaluation, evaluation_id="holdout", evaluation=sound()).then(event)
    life.given(event).when(record_evaluation, evaluation_id="holdout", evaluation=sound()).then_nothing()


def change(evaluation: types.Evaluation, path: str, value: Any) -> None:
    """Sets what a dotted path names; numbers are places in a list, other words keys of a map."""
    *outer, last = path.split(".")
    target: Any = evaluation
    for word in outer:
        target = target[int(word)] if word.isdecimal() else getattr(target, word, None) or target[word]
    if isinstance(value, list):
        target.ClearField(last)
        getattr(target, last).extend(value)
    elif last.isdecimal():
        target[int(last)] = value
    elif hasattr(target, last):
        setattr(target, last, value)
    else:
        target[last] = value


@pytest.mark.parametrize(
    ("path", "value", "field", "reason"),
    [
        ("metrics.auc.value", 0.99, 'metrics["auc"].interval', "VALUE_OUTSIDE_INTERVAL"),
        ("metrics.auc.interval.low", 0.91, 'metrics["auc"].interval', "VALUE_OUTSIDE_INTERVAL"),
        ("confusion.counts", [40, 10, 50], "confusion.counts", "MATRIX_NOT_SQUARE"),
        ("confusion.counts", [40, 10, 5, 44], "confusion.counts", "COUNTS_NOT_ROWS"),
        ("curves.0.x.2", 0.05, "curves[0].x", "CURVE_GOES_BACK"),
        ("curves.0.y.2", 0.4, "curves[0].y", "CURVE_GOES_BACK"),
        ("curves.0.y.0", 0.1, "curves[0]", "CURVE_ENDS"),
        ("curves.0.x", [0, 1], "curves[0].y", "CURVE_UNEVEN"),
        ("curves.0.rows", [1, 1, 1, 1], "curves[0].rows", "ROWS_WITHOUT_BINS"),
        ("curves.1.rows", [60], "curves[1].rows", "CURVE_UNEVEN"),
        ("curves.1.rows", [60, 41], "curves[1].rows", "COUNTS_NOT_ROWS"),
        ("curves.1.kind", types.CURVE_KIND_ROC, "curves[1]", "CURVE_TWICE"),
        ("slices.0.rows", 101, "slices[0].rows", "COUNTS_NOT_ROWS"),
        ("fairness.0.groups.f.rows", 51, 'fairness[0].groups["f"].rows', "COUNTS_NOT_ROWS"),
        ("fairness.0.groups.m.rows", 19, 'fairness[0].groups["m"].rows', "GROUP_TOO_SMALL"),
        ("fairness.0.groups.m.rows", 41, "fairness[0].group_rows", "COUNTS_NOT_ROWS"),
        ("fairness.0.reference_group", "x", "fairness[0].reference_group", "NO_GROUP"),
        ("fairness.0.suppressed_rows", 11, "fairness[0].group_rows", "COUNTS_NOT_ROWS"),
        ("fairness.0.suppressed_rows", 0, "fairness[0].suppressed_groups", "COUNTS_NOT_ROWS"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(path: str, value: Any, field: str, reason: str) -> None:
    wrong = sound()
    change(wrong, path, value)
    with pytest.raises(Invalid) as caught:
        check_evaluation(wrong)
    (violation,) = caught.value.violations
    assert (violation.reason, violation.field) == (reason, f"evaluation.{field}")
    registered().when(record_evaluation, evaluation_id="holdout", evaluation=wrong).then_refused("INVALID_REQUEST")


def test_a_fact_of_former_times_is_folded_as_it_is_and_is_no_news_when_told_again() -> None:
    wrong = sound()
    wrong.rows = 7
    life = registered(facts.EvaluationRecorded(evaluation_id="old", evaluation=wrong))
    assert life.state.evaluations["old"].rows == 7
    life.when(record_evaluation, evaluation_id="old", evaluation=wrong).then_nothing()


def test_all_evaluations_together_stay_small() -> None:
    """A replaced evaluation is not counted twice."""
    large = sound()
    large.slices[0].metrics["m"].CopyFrom(types.Metric(value=1))
    for number in range(126):
        part = large.slices.add(column="c" * 100, value=f"{number:0256}", rows=1)
        for name in range(20):
            part.metrics[f"{name:0100}"].value = name
    assert 200_000 < large.ByteSize() < 340_000
    events = [facts.EvaluationRecorded(evaluation_id=f"e{number}", evaluation=large) for number in range(3)]
    life = registered(*events)
    large.rows = 101
    large.confusion.counts[0] += 1
    life.when(record_evaluation, evaluation_id="e1", evaluation=large).then(
        facts.EvaluationRecorded(evaluation_id="e1", evaluation=large)
    )
    life.when(record_evaluation, evaluation_id="e4", evaluation=large).then_refused("EVALUATIONS_TOO_LARGE")


_NUMBER = some.floats(0, 1)


@given(
    some.lists(_NUMBER, max_size=4),
    some.lists(_NUMBER, max_size=4),
    some.lists(some.integers(1, 9), max_size=4),
    some.integers(0, 3),
    some.integers(0, 9),
)
def test_whatever_is_told_is_taken_or_refused_and_never_fails(
    x: list[float], y: list[float], counts: list[int], kind: Any, rows: int
) -> None:
    told = types.Evaluation(
        rows=rows,
        curves=[{"kind": kind, "x": x or [0], "y": y or [1], "rows": counts}],
        confusion={"labels": ["a", "b"], "counts": counts},
    )
    outcome = registered().when(record_evaluation, evaluation_id="holdout", evaluation=told)
    if outcome.refusal is None:
        assert len(counts) == 4
        assert sum(counts) == (rows or sum(counts))
    else:
        assert outcome.refusal.violations[0].field.startswith("evaluation.")
