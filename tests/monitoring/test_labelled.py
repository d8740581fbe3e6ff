"""Metrics of predictions from sums and counts, against those that `modelog evaluate` computes from the rows."""

import math
import random as dice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.evaluate import Choices, Observations, measure
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate
from services.monitoring.exact import Floats
from services.monitoring.performance import count_pairs, merge_performance, text_of
from services.monitoring.scoring import PARTS, parts_of
from tests.monitoring.build import check

PAIRS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 1), st.floats(allow_nan=False), st.sampled_from([0.0, 1.0, 0.5])),
        st.one_of(st.sampled_from([0.0, 1.0]), st.floats(allow_nan=False)),
    ),
    max_size=15,
)
NAMES = {
    types.METHOD_ROC_AUC: "roc_auc",
    types.METHOD_PR_AUC: "pr_auc",
    types.METHOD_LOG_LOSS: "log_loss",
    types.METHOD_BRIER: "brier",
    types.METHOD_CALIBRATION_ERROR: "calibration_error",
}


def counted(predictions: Floats, labels: Floats) -> types.ProfileSet:
    pairs = [(text_of(p), text_of(y)) for p, y in zip(predictions.tolist(), labels.tolist(), strict=True)]
    return types.ProfileSet(rows=len(pairs), performance=count_pairs(pairs))


def judged(method: types.Method, window: types.ProfileSet, **fields: object) -> types.CheckResult:
    return evaluate(check(method, 0.5, **fields), window, None)


def scored(seed: int, rows: int, rate: float) -> tuple[Floats, Floats]:
    """Scores that are calibrated probabilities, most of them near 0 when the rate is small."""
    random = np.random.default_rng(seed)
    scores = random.beta(rate * 4, (1 - rate) * 4, rows)
    return scores, (random.uniform(size=rows) < scores).astype(float)


@pytest.mark.parametrize("rate", [0.5, 0.02])
@pytest.mark.parametrize("method", NAMES)
def test_metrics_of_scores_are_those_over_rows_within_the_bound(method: types.Method, rate: float) -> None:
    scores, labels = scored(3, 5_000, rate)
    told = measure(Observations(labels=labels.astype(int), scores=scores), Choices()).metrics[NAMES[method]]
    result = judged(method, counted(scores, labels))
    assert abs(result.statistic - told.value) <= result.error_bound + 1e-9
    assert result.error_bound < 0.05
    if told.HasField("interval"):
        assert result.interval.low == pytest.approx(told.interval.low, abs=0.005)
        assert result.interval.high == pytest.approx(told.interval.high, abs=0.005)


def test_the_area_under_the_curve_is_near_also_for_rare_positives() -> None:
    scores, labels = scored(5, 20_000, 0.01)
    told = measure(Observations(labels=labels.astype(int), scores=scores), Choices()).metrics["roc_auc"]
    result = judged(types.METHOD_ROC_AUC, counted(scores, labels))
    assert result.statistic == pytest.approx(told.value, abs=0.001)


@pytest.mark.parametrize(
    ("method", "name"),
    [(types.METHOD_PRECISION, "precision"), (types.METHOD_RECALL, "recall"), (types.METHOD_F1, "f1")],
)
def test_metrics_of_classes_are_those_over_rows(method: types.Method, name: str) -> None:
    scores, labels = scored(7, 3_000, 0.3)
    told = measure(Observations(labels=labels.astype(int), scores=scores), Choices()).metrics[name]
    by_cut = judged(method, counted(scores, labels), cut=0.5)
    by_label = judged(method, counted((scores >= 0.5).astype(float), labels))
    for result in (by_cut, by_label):
        assert result.statistic == pytest.approx(told.value, abs=1e-12)
        assert result.interval.low == pytest.approx(told.interval.low, abs=1e-12)
        assert result.interval.high == pytest.approx(told.interval.high, abs=1e-12)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (types.METHOD_MAE, "mae"),
        (types.METHOD_RMSE, "rmse"),
        (types.METHOD_MAPE, "mape"),
        (types.METHOD_R2, "r2"),
    ],
)
def test_metrics_of_numbers_are_those_over_rows(method: types.Method, name: str) -> None:
    random = np.random.default_rng(11)
    labels = random.normal(50, 10, 2_000)
    predictions = labels + random.standard_t(5, 2_000)
    told = measure(Observations(labels=labels, predictions=predictions), Choices(task="regression")).metrics[name]
    result = judged(method, counted(predictions, labels))
    assert result.statistic == pytest.approx(told.value, rel=1e-12)
    if method != types.METHOD_R2:
        assert result.interval.low == pytest.approx(told.interval.low, rel=1e-3)
        assert result.interval.high == pytest.approx(told.interval.high, rel=1e-3)


def test_there_is_no_share_of_a_label_that_is_nothing() -> None:
    result = judged(types.METHOD_MAPE, counted(np.array([1.0, 2.0]), np.array([0.0, 2.0])))
    assert (result.outcome, result.explanation) == (
        types.OUTCOME_INCONCLUSIVE,
        "1 labels are 0, and there is no share of 0",
    )


@pytest.mark.parametrize("method", [*NAMES, types.METHOD_MAE, types.METHOD_R2, types.METHOD_F1])
def test_what_cannot_be_told_is_inconclusive_and_nothing_at_all_is_no_data(method: types.Method) -> None:
    words = types.ProfileSet(rows=2, performance=count_pairs([("cat", "dog"), ("dog", "dog")]))
    result = judged(method, words)
    assert result.outcome == types.OUTCOME_INCONCLUSIVE
    assert result.explanation
    assert judged(method, types.ProfileSet()).outcome == types.OUTCOME_NO_DATA


@settings(max_examples=60)
@given(PAIRS, st.integers(0, 1000))
def test_any_split_and_order_of_pairs_gives_the_same_bytes(pairs: list[tuple[float, float]], seed: int) -> None:
    texts = [(text_of(prediction), text_of(label)) for prediction, label in pairs]
    whole = count_pairs(texts)
    dice.Random(seed).shuffle(texts)
    cut = seed % (len(texts) + 1)
    merged = types.Performance()
    for part in (texts[:cut], texts[cut:]):
        merge_performance(merged, count_pairs(part))
    assert merged.SerializeToString(deterministic=True) == whole.SerializeToString(deterministic=True)


def test_parts_of_scores_ascend_and_are_narrow() -> None:
    random = np.random.default_rng(13)
    scores = np.sort(np.concatenate([random.uniform(size=20_000), random.beta(0.05, 3, 20_000), [0.0, 0.5, 1.0]]))
    parts = parts_of(scores)
    assert (np.diff(parts) >= 0).all()
    assert (parts[0], parts[-1]) == (0, PARTS - 1)
    for part in np.unique(parts):
        inside = scores[parts == part]
        nearest = min(inside[-1], 1 - inside[0])
        assert inside[-1] - inside[0] <= max(nearest / 31, 2.0**-30)


def test_numbers_without_measure_are_left_out_of_errors() -> None:
    told = count_pairs([("1e+71", "1"), ("nan", "1"), ("2", "1"), ("inf", "3")])
    assert (told.errors.rows, told.pairs) == (1, 4)
    assert math.isfinite(judged(types.METHOD_RMSE, types.ProfileSet(performance=told)).statistic)
