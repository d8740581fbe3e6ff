"""Our figures are those of scikit-learn for the same rows."""

from collections.abc import Mapping

import numpy as np
import pytest
from sklearn import metrics as peer
from sklearn.calibration import calibration_curve

from modelog.evaluate import Choices, Observations, measure
from modelog.registry.v1 import types_pb2 as types
from tests.evaluate.rows import amounts, binary, classes


def values(told: Mapping[str, types.Metric]) -> dict[str, float]:
    return {name: one.value for name, one in told.items()}


@pytest.mark.parametrize("ties", [False, True])
def test_two_labels(ties: bool) -> None:
    rows = binary(ties=ties)
    told = measure(Observations(labels=rows["label"], scores=rows["score"]))
    true, said, score = rows["label"].astype(int), rows["score"] >= 0.5, rows["score"]
    assert values(told.metrics) == pytest.approx(
        {
            "accuracy": peer.accuracy_score(true, said),
            "precision": peer.precision_score(true, said),
            "recall": peer.recall_score(true, said),
            "specificity": peer.recall_score(true, said, pos_label=0),
            "f1": peer.f1_score(true, said),
            "roc_auc": peer.roc_auc_score(true, score),
            "pr_auc": peer.average_precision_score(true, score),
            "log_loss": peer.log_loss(true, score),
            "brier": peer.brier_score_loss(true, score),
            "calibration_error": told.metrics["calibration_error"].value,
        },
        abs=1e-12,
    )
    assert list(told.confusion.counts) == list(peer.confusion_matrix(true, said).ravel())
    assert (told.rows, told.threshold, told.positive_label, list(told.confusion.labels)) == (600, 0.5, "1", ["0", "1"])


def curve(told: types.Evaluation, kind: types.CurveKind) -> types.Curve:
    return next(one for one in told.curves if one.kind == kind)


def test_curves_lie_on_those_of_the_peer() -> None:
    rows = binary(rows=3000)
    true, score = rows["label"].astype(int), rows["score"]
    told = measure(Observations(labels=rows["label"], scores=score))
    roc = curve(told, types.CURVE_KIND_ROC)
    false, hits, _ = peer.roc_curve(true, score, drop_intermediate=False)
    known = set(zip(np.round(false, 9), np.round(hits, 9), strict=True))
    assert {(round(x, 9), round(y, 9)) for x, y in zip(roc.x, roc.y, strict=True)} <= known
    assert len(roc.x) == 101
    # The area under so few points is that under all of them, but for a thousandth.
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(peer.roc_auc_score(true, score), abs=2e-3)
    precision, recall, _ = peer.precision_recall_curve(true, score)
    found = curve(told, types.CURVE_KIND_PRECISION_RECALL)
    known = set(zip(np.round(recall, 9), np.round(precision, 9), strict=True))
    assert {(round(x, 9), round(y, 9)) for x, y in zip(found.x, found.y, strict=True)} <= known
    shares, means = calibration_curve(true, score, n_bins=10)
    calibration = curve(told, types.CURVE_KIND_CALIBRATION)
    assert list(calibration.x) == pytest.approx(list(means))
    assert list(calibration.y) == pytest.approx(list(shares))
    assert sum(calibration.rows) == 3000
    weights = np.array(calibration.rows) / 3000
    assert told.metrics["calibration_error"].value == pytest.approx(float(np.sum(weights * np.abs(means - shares))))


def test_more_labels() -> None:
    rows = classes()
    told = measure(Observations(labels=rows["label"], predictions=rows["prediction"]))
    true, said = rows["label"], rows["prediction"]
    macro = {"average": "macro", "zero_division": np.nan}
    assert values(told.metrics) == pytest.approx(
        {
            "accuracy": peer.accuracy_score(true, said),
            "precision_macro": peer.precision_score(true, said, **macro),
            "recall_macro": peer.recall_score(true, said, **macro),
            "f1_macro": peer.f1_score(true, said, **macro),
        }
    )
    assert list(told.confusion.labels) == ["ant", "bee", "cow", "dog"]
    assert list(told.confusion.counts) == list(peer.confusion_matrix(true, said).ravel())


def test_more_labels_with_a_score_for_each() -> None:
    rows = classes()
    names = ["ant", "bee", "cow", "dog"]
    draw = np.random.Generator(np.random.PCG64(2))
    raw = draw.exponential(size=(500, 4)) + 2 * (rows["label"][:, None] == np.array(names))
    scores = raw / raw.sum(axis=1, keepdims=True)
    columns = {name: scores[:, place] for place, name in enumerate(names)}
    told = measure(Observations(labels=rows["label"], scores=columns))
    found = values(told.metrics)
    assert found["roc_auc_macro"] == pytest.approx(peer.roc_auc_score(rows["label"], scores, multi_class="ovr"))
    assert found["log_loss"] == pytest.approx(peer.log_loss(rows["label"], scores))
    assert found["brier"] == pytest.approx(peer.brier_score_loss(rows["label"], scores, labels=names))
    said = np.array(names)[scores.argmax(axis=1)]
    assert found["accuracy"] == peer.accuracy_score(rows["label"], said)
    unscaled = {name: 3 * column for name, column in columns.items()}
    rest = values(measure(Observations(labels=rows["label"], scores=unscaled)).metrics)
    assert "log_loss" not in rest
    assert rest["roc_auc_macro"] == pytest.approx(found["roc_auc_macro"])
    del columns["dog"]
    with pytest.raises(ValueError, match="label 'dog' has no column of scores"):
        measure(Observations(labels=rows["label"], scores=columns))


def test_numbers() -> None:
    rows = amounts()
    true, said = rows["label"], rows["prediction"]
    told = measure(Observations(labels=true, predictions=said), Choices(unit="EUR"))
    assert values(told.metrics) == pytest.approx(
        {
            "mae": peer.mean_absolute_error(true, said),
            "rmse": peer.root_mean_squared_error(true, said),
            "mape": peer.mean_absolute_percentage_error(true, said),
            "r2": peer.r2_score(true, said),
        }
    )
    assert [told.metrics[name].unit for name in ("mae", "rmse", "mape")] == ["EUR", "EUR", ""]


def test_slices_are_measured_as_if_they_were_all() -> None:
    rows = binary()
    told = measure(Observations(labels=rows["label"], scores=rows["score"], slices={"region": rows["region"]}))
    for part in told.slices:
        inside = rows["region"] == part.value
        alone = measure(Observations(labels=rows["label"][inside], scores=rows["score"][inside]))
        assert part.rows == inside.sum()
        assert dict(part.metrics) == dict(alone.metrics)
    assert [part.value for part in told.slices] == ["eu", "us"]
