"""Fairness from counts of groups: fairlearn's figures, and nothing of single rows."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelog.evaluate import Choices, Observations, measure
from modelog.evaluate.fairness import suppressed
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.measured import check_evaluation
from tests.evaluate.rows import amounts, binary, classes

CASES = json.loads((Path(__file__).parents[1] / "oracle" / "fairness.json").read_text(encoding="utf-8"))["cases"]


def fairness(rows: dict[str, Any], *, column: str = "sex", **choices: Any) -> types.Fairness:
    observed = Observations(labels=rows["label"], predictions=rows["prediction"], sensitive={column: rows[column]})
    told = measure(observed, Choices(**choices))
    check_evaluation(told)
    return told.fairness[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_the_figures_are_those_of_fairlearn(case: dict[str, Any]) -> None:
    told = fairness(case, column="group", positive="1", task="binary-classification")
    single = len(case["groups"]) < 2
    for name, expected in case["metrics"].items():
        if single or math.isnan(expected):
            assert name not in told.metrics
        else:
            assert told.metrics[name].value == pytest.approx(expected, abs=1e-12), name
    for group, expected in case["groups"].items():
        counts = told.groups[group]
        for name in ("selection_rate", "true_positive_rate", "false_positive_rate"):
            assert counts.metrics[name].value == pytest.approx(expected[name], abs=1e-12)
            assert counts.metrics[name].interval.low <= expected[name] <= counts.metrics[name].interval.high
        assert (counts.rows, told.group_rows[group]) == (expected["rows"], expected["rows"])


def test_counts_of_two_halves_add_up_to_those_of_the_whole() -> None:
    rows = binary()
    halves = [{name: column[part] for name, column in rows.items()} for part in (slice(0, 300), slice(300, None))]
    whole, first, second = (fairness(one) for one in (rows, *halves))
    for group, counts in whole.groups.items():
        for name in ("rows", "true_positives", "false_positives", "true_negatives", "false_negatives"):
            assert getattr(counts, name) == getattr(first.groups[group], name) + getattr(second.groups[group], name)


def test_groups_are_compared_with_a_reference_when_one_is_named() -> None:
    told = fairness(binary(), reference={"sex": "m"})
    rates = {name: one.metrics["selection_rate"].value for name, one in told.groups.items()}
    away = max(abs(one - rates["m"]) for one in rates.values())
    assert told.metrics["demographic_parity_difference"].value == away
    ratio = min(min(one, rates["m"]) / max(one, rates["m"]) for one in rates.values())
    assert told.metrics["demographic_parity_ratio"].value == ratio
    with pytest.raises(ValueError, match="no group 'q'"):
        fairness(binary(), reference={"sex": "q"})


def test_small_groups_are_left_out_and_cannot_be_told_by_subtraction() -> None:
    rows = binary()
    told = fairness(rows, minimum_rows=50)
    assert set(told.group_rows) == set(told.groups) == {max("fm", key=lambda one: int((rows["sex"] == one).sum()))}
    assert (told.suppressed_groups, told.minimum_rows) == (2, 50)
    assert told.suppressed_rows + sum(told.group_rows.values()) == 600
    assert "demographic_parity_difference" not in told.metrics


@given(some.dictionaries(some.text(max_size=3), some.integers(1, 40), max_size=8), some.integers(0, 30))
def test_what_is_left_out_holds_at_least_the_minimum_or_everything(rows: dict[str, int], minimum: int) -> None:
    hidden = suppressed(rows, minimum)
    assert all(rows[name] >= minimum for name in set(rows) - hidden)
    together = sum(rows[name] for name in hidden)
    assert not hidden or together >= minimum or hidden == set(rows)


def test_more_labels_and_numbers_compare_what_they_have() -> None:
    rows = classes() | {"sex": np.resize(np.array(["f", "m"]), 500)}
    told = fairness(rows)
    assert set(told.metrics) == {"accuracy_difference"}
    assert told.groups["f"].true_positives == 0
    rows = amounts()
    told = fairness(rows, column="plant", unit="EUR")
    errors = rows["prediction"] - rows["label"]
    means = [float(np.mean(np.abs(errors[rows["plant"] == plant]))) for plant in range(3)]
    assert told.metrics["mae_difference"].value == pytest.approx(max(means) - min(means))
    assert told.groups["0"].metrics["mae"].unit == "EUR"


def test_nothing_of_single_rows_is_in_the_result() -> None:
    """Marks of single rows in the sensitive column fall into small groups, and no part of them comes out."""
    rows = binary()
    rows["sex"] = rows["sex"].astype("U20")
    rows["sex"][[3, 77, 401]] = ["canary-one", "canary-two", "canary-three"]
    observed = Observations(labels=rows["label"], scores=rows["score"], sensitive={"sex": rows["sex"]})
    told = measure(observed, Choices(minimum_rows=10))
    assert b"canary" not in told.SerializeToString()
    assert sum(told.fairness[0].group_rows.values()) + told.fairness[0].suppressed_rows == 600
    loose = measure(observed)
    assert len(loose.fairness[0].group_rows) == 6
