"""Joining the answers of two versions: what is equal, what differs, what has no other half, and what it may cost."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch, TelemetryColumn
from services.deployment.domain.answers import Answers

OLD, NEW = "projects/risk/models/fraud/versions/1", "projects/risk/models/fraud/versions/2"


def batch(version: str, answers: dict[str, Any], *, name: str = "score", batch_id: str = "", **more: Any) -> Any:
    column = TelemetryColumn(name=name)
    for value in answers.values():
        (column.strings if isinstance(value, str) else column.numbers).append(value)
    made = PredictionBatch(version=version, prediction_ids=list(answers), outputs=[column], **more)
    made.batch_id = batch_id or f"{version}-{random.random()}"
    return made


def compared(old: Any, new: Any, tolerance: float = 0.0) -> tuple[int, int]:
    answers = Answers(NEW, tolerance)
    answers.take(batch(OLD, {"a-0": old}), 0)
    answers.take(batch(NEW, {"a-0": new}), 1)
    found = answers.comparison()
    return found.equal, found.different


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "equal"),
    [
        (1.0, 1.0, 0.0, True),
        (1.0, 1.0 + 5e-7, 0.0, True),
        (1.0, 1.00001, 0.0, False),
        (0.2, 0.29, 0.1, True),
        (2000.0, 2100.0, 0.1, True),
        (0.2, 0.31, 0.1, False),
        (math.nan, math.nan, 0.0, True),
        (math.nan, 1.0, 9.0, False),
        (math.inf, math.inf, 0.0, True),
        (math.inf, 1.0, 9.0, False),
        (-math.inf, math.inf, 9.0, False),
        ("fraud", "fraud", 0.0, True),
        ("fraud", "fair", 9.0, False),
        ("1", 1.0, 9.0, False),
    ],
)
def test_what_counts_as_equal(old: Any, new: Any, tolerance: float, equal: bool) -> None:
    assert compared(old, new, tolerance) == ((1, 0) if equal else (0, 1))


def test_another_set_of_outputs_differs() -> None:
    answers = Answers(NEW, 0.0)
    answers.take(batch(OLD, {"a-0": 1.0}), 0)
    answers.take(batch(NEW, {"a-0": 1.0}, name="other"), 0)
    assert answers.comparison().different == 1


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_matter(same: list[bool], seed: int) -> None:
    old = [batch(OLD, {f"r-{index}": 1.0}) for index in range(len(same))]
    new = [batch(NEW, {f"r-{index}": 1.0 if one else 1.5}) for index, one in enumerate(same)]
    mixed = [*old, *new]
    random.Random(seed).shuffle(mixed)
    answers = Answers(NEW, 0.0)
    for one in (*mixed, *mixed):  # Each comes twice, as at least once allows.
        answers.take(one, 0)
    found = answers.comparison()
    assert (found.compared, found.equal, found.different) == (len(same), sum(same), len(same) - sum(same))
    assert found.only_shadow == 0
    assert found.max_difference == (0.0 if all(same) else 0.5)
    assert found.mean_difference == pytest.approx(0.5 * found.different / found.compared)


def test_rows_without_another_half_are_given_up() -> None:
    answers = Answers(NEW, 0.0)
    answers.take(batch(OLD, {f"old-{one}": 1.0 for one in range(20)}), 0)
    answers.take(batch(NEW, {f"new-{one}": 1.0 for one in range(3)}, dropped_rows=7), 0)
    answers.give_up(14)
    assert answers.comparison().only_shadow == 0
    answers.give_up(16)
    found = answers.comparison()
    assert (found.compared, found.only_shadow, found.dropped) == (0, 3, 7)
    answers.take(batch(OLD, {"new-1": 1.0}), 17)
    assert answers.comparison().compared == 0


def test_what_waits_is_bounded() -> None:
    answers = Answers(NEW, 0.0)
    for many in range(500):
        answers.take(batch(OLD, {f"{many}-{one}": 1.0 for one in range(1000)}), 0)
    assert sum(len(rows) for rows in answers._waiting) == 200_000
    answers.take(batch(NEW, {f"499-{one}": 1.0 for one in range(1000)}), 0)
    assert answers.comparison().equal == 1000


def test_a_broken_batch_compares_nothing() -> None:
    answers = Answers(NEW, 0.0)
    broken = batch(OLD, {"a-0": 1.0})
    broken.prediction_ids.append("a-1")
    answers.take(broken, 0)
    answers.take(batch(NEW, {"a-0": 1.0}), 0)
    assert answers.comparison().compared == 0
