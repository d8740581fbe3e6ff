"""Accuracy before labels against NannyML's on the data set that it ships (`make oracle-monitoring`)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate
from services.monitoring.exact import Floats
from services.monitoring.performance import count_pairs, text_of
from services.monitoring.profile import capture, layout_of
from tests.monitoring.build import OUTPUT, check, numbers, profiled

TOLD = json.loads((Path(__file__).parents[1] / "oracle" / "estimates.json").read_text(encoding="utf-8"))


def scores_of(counts: dict[str, int]) -> Floats:
    thousandths = np.array([int(one) for one in counts], dtype=np.float64)
    return np.repeat(thousandths / 1000, list(counts.values()))


def baseline_of(told: dict[str, Any]) -> types.ProfileSet:
    positives, negatives = scores_of(told["positives"]), scores_of(told["negatives"])
    baseline = capture([numbers("score", np.concatenate([positives, negatives]), OUTPUT)])
    pairs = [(text_of(one), "1") for one in positives.tolist()] + [(text_of(one), "0") for one in negatives.tolist()]
    baseline.performance.CopyFrom(count_pairs(pairs))
    return baseline


def test_estimated_accuracy_is_nannymls_within_five_thousandths_in_every_chunk() -> None:
    baseline = baseline_of(TOLD)
    estimate = check(types.METHOD_ESTIMATED_ACCURACY, 0.5, columns=["score"])
    assert len(TOLD["chunks"]) >= 5
    accuracies = {round(chunk["accuracy"], 2) for chunk in TOLD["chunks"]}
    assert len(accuracies) > 1
    for chunk in TOLD["chunks"]:
        window = profiled(layout_of(baseline), numbers("score", scores_of(chunk["scores"]), OUTPUT))
        assert evaluate(estimate, window, baseline).statistic == pytest.approx(chunk["accuracy"], abs=0.005)


@pytest.mark.parametrize(
    ("method", "metric"),
    [
        (types.METHOD_ESTIMATED_PRECISION, "precision"),
        (types.METHOD_ESTIMATED_RECALL, "recall"),
        (types.METHOD_ESTIMATED_F1, "f1"),
        (types.METHOD_ESTIMATED_ROC_AUC, "roc_auc"),
    ],
)
def test_other_estimates_are_nannymls_within_five_thousandths_in_every_chunk(method: types.Method, metric: str) -> None:
    baseline = baseline_of(TOLD)
    for chunk in TOLD["chunks"]:
        window = profiled(layout_of(baseline), numbers("score", scores_of(chunk["scores"]), OUTPUT))
        result = evaluate(check(method, 0.5, columns=["score"]), window, baseline)
        assert result.statistic == pytest.approx(chunk[metric], abs=0.005)
        assert result.interval.low < result.statistic < result.interval.high
