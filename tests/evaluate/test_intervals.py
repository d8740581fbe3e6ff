"""Intervals hold the true value about as often as they say, stay where the metric can be, and repeat."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from modelog.evaluate import Choices, Observations, measure
from modelog.evaluate.intervals import wilson
from services.registry.domain.measured import check_evaluation
from tests.evaluate.rows import amounts, binary, classes

Draw = np.random.Generator
_TRIALS = 250


def test_wilson_is_that_of_scipy() -> None:
    for successes, rows in ((0, 10), (3, 10), (10, 10), (412, 5000)):
        told = wilson(successes, rows, 0.9)
        peer = stats.binomtest(successes, rows).proportion_ci(confidence_level=0.9, method="wilson")
        assert (told.low, told.high) == pytest.approx((peer.low, peer.high), abs=1e-12)


def scored(draw: Draw, rows: int) -> Observations:
    """Scores that are calibrated probabilities: positive rows score N(1, 1), negative N(-1, 1), both equally likely."""
    label = draw.random(rows) < 0.5
    raw = draw.normal(np.where(label, 1.0, -1.0), 1.0)
    return Observations(labels=label.astype(int), scores=1 / (1 + np.exp(-2 * raw)))


def numbered(draw: Draw, rows: int) -> Observations:
    label = draw.normal(20, 2, size=rows)
    return Observations(labels=label, predictions=label + draw.normal(size=rows))


def classed(draw: Draw, rows: int) -> Observations:
    label = draw.choice(np.array(["a", "b", "c"]), size=rows, p=[0.5, 0.3, 0.2])
    other = draw.choice(np.array(["a", "b", "c"]), size=rows)
    return Observations(labels=label, predictions=np.where(draw.random(rows) < 0.7, label, other))


@pytest.mark.parametrize("make", [scored, numbered, classed], ids=lambda make: str(make.__name__))
def test_95_percent_intervals_hold_the_true_value_in_about_95_percent(
    make: Callable[[Draw, int], Observations],
) -> None:
    """The true value is that of very many rows. With 250 trials a right interval misses 88 % once in many thousand."""
    draw = np.random.Generator(np.random.PCG64(11))
    true = {name: one.value for name, one in measure(make(draw, 200_000)).metrics.items()}
    held = dict.fromkeys(true, 0)
    for _ in range(_TRIALS):
        for name, one in measure(make(draw, 200)).metrics.items():
            held[name] += one.HasField("interval") and one.interval.low <= true[name] <= one.interval.high
    shares = {name: count / _TRIALS for name, count in held.items() if name != "calibration_error"}
    assert len(shares) >= 4
    assert {name: share for name, share in shares.items() if not 0.88 <= share <= 0.995} == {}


def test_a_higher_level_is_wider_and_more_rows_are_narrower() -> None:
    def width(rows: int, level: float) -> dict[str, float]:
        told = measure(scored(np.random.Generator(np.random.PCG64(1)), rows), Choices(level=level))
        return {
            name: one.interval.high - one.interval.low for name, one in told.metrics.items() if one.HasField("interval")
        }

    plain, sure, many = width(400, 0.95), width(400, 0.99), width(6400, 0.95)
    assert set(plain) == set(sure) == set(many)
    for name, wide in plain.items():
        assert sure[name] > wide > many[name], name


def test_the_same_rows_give_the_same_bytes() -> None:
    rows = binary()
    observed = Observations(
        labels=rows["label"],
        scores=rows["score"],
        slices={"region": rows["region"], "age": rows["age"]},
        sensitive={"sex": rows["sex"]},
    )
    first, second = (measure(observed).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


_SCORES = some.sampled_from([0.0, 0.1, 0.5, 0.5000001, 1.0])


@given(some.lists(some.tuples(some.booleans(), _SCORES, some.sampled_from("ab")), min_size=1, max_size=12))
def test_any_few_rows_give_an_evaluation_that_the_registry_takes(rows: list[tuple[bool, float, str]]) -> None:
    labels = np.array([int(label) for label, _, _ in rows])
    if not labels.any():
        labels[0] = 1
    scores, groups = [score for _, score, _ in rows], [group for _, _, group in rows]
    told = measure(Observations(labels=labels, scores=scores, slices={"g": groups}, sensitive={"g": groups}))
    check_evaluation(told)
    for one in told.metrics.values():
        assert math.isfinite(one.value)


@given(some.lists(some.tuples(some.integers(-3, 3), some.integers(-3, 3)), min_size=1, max_size=8))
def test_any_few_numbers_do_too(rows: list[tuple[int, int]]) -> None:
    labels, said = (np.array([row[side] for row in rows], dtype=float) for side in (0, 1))
    told = measure(Observations(labels=labels, predictions=said), Choices(task="regression"))
    check_evaluation(told)
    assert ("mape" in told.metrics) == bool(np.all(labels != 0))
    assert ("r2" in told.metrics) == bool(np.ptp(labels) > 0)


def test_what_is_undefined_is_left_out() -> None:
    told = measure(Observations(labels=[1, 1, 1], predictions=[1, 1, 1]), Choices(positive="1"))
    assert set(told.metrics) == {"accuracy", "precision", "recall", "f1"}
    assert list(told.confusion.labels) == ["not 1", "1"]
    assert told.metrics["accuracy"].interval.low < 1
    told = measure(Observations(labels=[0, 1, 1], scores=[0.1, 0.9, 0.8]))
    assert told.metrics["roc_auc"].value == 1
    assert not told.metrics["roc_auc"].HasField("interval")


@pytest.mark.parametrize(
    ("fields", "choices", "told"),
    [
        ({"labels": []}, {}, "no rows"),
        ({"labels": [1, 0], "predictions": [1]}, {}, "predictions: 1 rows, and there are 2 labels"),
        ({"labels": [1, 0], "scores": [0.5, float("nan")]}, {}, "scores: row 2 is no finite number"),
        ({"labels": ["a", ""], "predictions": ["a", "b"]}, {}, "row 2 has no label"),
        ({"labels": ["a", "b"], "predictions": ["a", "b"]}, {}, "say which label is the positive one: a, b"),
        ({"labels": ["a", "b"], "predictions": ["a", "b"]}, {"positive": "c"}, "no row has the positive label 'c'"),
        ({"labels": [0, 1]}, {}, "give predictions, or scores"),
        ({"labels": ["a", "b", "c"], "scores": [1, 2, 3]}, {}, "3 labels are no two"),
        ({"labels": ["a", "b", "c"]}, {}, "give the predictions"),
        ({"labels": [0.5, 1.5, 2.5], "predictions": ["a", 1, 2]}, {}, "predictions: row 1"),
        ({"labels": [str(n) for n in range(70)], "predictions": [str(n) for n in range(70)]},
         {"task": "multiclass-classification"}, "at most 64"),
        ({"labels": [0, 1], "predictions": [0, 1], "sensitive": {"s": ["a"]}}, {}, "column s: 1 rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_says_why(fields: dict[str, object], choices: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        measure(Observations(**fields), Choices(**choices))  # type: ignore[arg-type]


def test_too_many_groups_and_slices_are_refused() -> None:
    rows = amounts(rows=5000)
    ids = [f"id-{number}" for number in range(5000)]
    with pytest.raises(ValueError, match="5000 groups; at most 64"):
        measure(Observations(labels=rows["label"], predictions=rows["prediction"], sensitive={"id": ids}))
    many = {f"c{number}": ids for number in range(5)}
    with pytest.raises(ValueError, match="more than 128 slices"):
        measure(Observations(labels=rows["label"], predictions=rows["prediction"], slices=many))


def test_many_numbers_are_cut_into_quarters() -> None:
    rows = binary()
    told = measure(Observations(labels=rows["label"], scores=rows["score"], slices={"age": rows["age"]}))
    assert len(told.slices) == 4
    assert sum(part.rows for part in told.slices) == 600
    assert told.slices[0].value.startswith("18 to below")


def test_progress_is_told_up_to_the_end() -> None:
    heard: list[tuple[str, int, int]] = []
    rows = classes()
    observed = Observations(
        labels=rows["label"],
        predictions=rows["prediction"],
        slices={"a": rows["label"]},
        sensitive={"b": rows["label"]},
    )
    measure(observed, Choices(progress=lambda *told: heard.append(told)))
    assert heard == [("all rows", 0, 3), ("a", 1, 3), ("b", 2, 3), ("", 3, 3)]
