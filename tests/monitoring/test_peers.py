"""Drift against Evidently's figures for a data set that scikit-learn ships (`make oracle-monitoring`)."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate
from tests.monitoring.build import check, compared, numbers, texts

TOLD = json.loads((Path(__file__).parents[1] / "oracle" / "drift.json").read_text(encoding="utf-8"))["columns"]
NUMBERS = [name for name in TOLD if name != "size"]


def judged(method: types.Method, told: dict[str, Any], **fields: Any) -> types.CheckResult:
    make: Any = texts if isinstance(told["reference"][0], str) else numbers
    baseline, window = compared(make("x", told["reference"]), make("x", told["current"]))
    return evaluate(check(method, 0.1, **fields), window, baseline)


@pytest.mark.parametrize("name", NUMBERS)
def test_wasserstein_is_evidentlys_within_the_bound_it_tells(name: str) -> None:
    told = TOLD[name]
    # Evidently divides by the deviation of the sample, we by the unbiased one.
    exact = told["told"]["wasserstein"] * np.std(told["reference"]) / np.std(told["reference"], ddof=1)
    result = judged(types.METHOD_WASSERSTEIN, told)
    assert result.statistic <= exact + 1e-6
    assert exact - result.statistic <= result.error_bound + 1e-6
    assert result.statistic == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_p_value_leads_to_evidentlys_decision(name: str) -> None:
    p_value = judged(types.METHOD_KOLMOGOROV_SMIRNOV, TOLD[name]).columns[0].p_value
    told = TOLD[name]["told"]["ks_p_value"]
    assert p_value == pytest.approx(told, abs=0.02)
    assert (p_value < 0.05) is (told < 0.05)


@pytest.mark.parametrize(
    ("method", "name"),
    [(types.METHOD_HELLINGER, "hellinger"), (types.METHOD_PSI, "psi")],
)
def test_distances_of_categories_are_evidentlys(method: types.Method, name: str) -> None:
    result = judged(method, TOLD["size"], bins=10)
    assert result.statistic == pytest.approx(TOLD["size"]["told"][name], abs=1e-6)


def test_the_distance_of_jensen_and_shannon_is_evidentlys_but_for_the_base_of_its_logarithm() -> None:
    result = judged(types.METHOD_JENSEN_SHANNON, TOLD["size"], bins=10)
    told = TOLD["size"]["told"]["jensen_shannon"]
    assert result.statistic * math.sqrt(math.log(2)) == pytest.approx(told, abs=1e-6)


def test_kullback_leibler_of_the_baseline_from_the_window_is_evidentlys() -> None:
    """Evidently takes the other direction."""
    turned = {"reference": TOLD["size"]["current"], "current": TOLD["size"]["reference"]}
    result = judged(types.METHOD_KULLBACK_LEIBLER, turned, bins=10)
    assert result.statistic == pytest.approx(TOLD["size"]["told"]["kullback_leibler"], abs=1e-6)
