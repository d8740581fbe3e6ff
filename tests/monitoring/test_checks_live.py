"""Checks of every kind on a running service: what they say, that it can be computed again, and what people see."""

import numpy as np
import pytest

from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from tests.monitoring.build import MONITOR, batch, check, column, outcomes
from tests.monitoring.station import Station, eventually

WINDOW = types.WindowSpec(size_rows=200)
RANDOM = np.random.default_rng(37)
AGES = RANDOM.normal(40, 10, 2_000)
SCORES = RANDOM.uniform(size=2_000)


def asked(method: types.Method, threshold: float, **fields: object) -> types.Check:
    name = types.Method.Name(method).removeprefix("METHOD_").lower().replace("_", "-")
    return types.Check(id=name, method=method, threshold=threshold, **fields)  # type: ignore[arg-type]


async def points_of(live: Station, window: int) -> dict[str, types.MetricPoint]:
    """The worst point of each check in one window."""
    page = await live.call("ListWindows", parent=MONITOR, page_size=200)
    return {one.check: one for one in reversed(page.points) if one.window == window}


async def test_drift_and_quality_are_judged_while_predictions_come(live: Station) -> None:
    checks = [
        asked(types.METHOD_DRIFT, 0.1),
        asked(types.METHOD_DATASET_DRIFT, 0.6),
        asked(types.METHOD_WASSERSTEIN, 0.5, columns=["age"]),
        asked(types.METHOD_JENSEN_SHANNON, 0.5),
        asked(types.METHOD_OUT_OF_RANGE_SHARE, 0.05),
        asked(types.METHOD_DUPLICATE_SHARE, 0.2),
        asked(types.METHOD_SCHEMA, 0.0),
        asked(types.METHOD_FRESHNESS, 60.0),
        asked(types.METHOD_ESTIMATED_ACCURACY, 0.6, columns=["label"]),
        asked(types.METHOD_PAGE_HINKLEY, 0.5, watched=types.METHOD_WASSERSTEIN, columns=["age"], allowance=0.05),
    ]
    await live.create(*checks, window=WINDOW)
    await live.baseline(AGES, SCORES)
    await live.send(batch("same", AGES[:200], scores=SCORES[:200].tolist()))
    await live.send(batch("moved", np.tile(AGES[:50] + 30, 4), scores=SCORES[:200].tolist()))
    await live.monitor(lambda monitor: monitor.windows == 2)
    failed = {
        window: {name for name, one in (await points_of(live, window)).items() if one.outcome == types.OUTCOME_FAILED}
        for window in (1, 2)
    }
    assert failed[1] == set()
    assert failed[2] == {
        "drift",
        "wasserstein",
        "jensen-shannon",
        "out-of-range-share",
        "duplicate-share",
        "page-hinkley",
    }
    for window in (1, 2):
        again = await live.call("ReevaluateWindow", name=MONITOR, window=window)
        assert again.same
        assert len(again.recorded) == len(checks)
    (drifted,) = [one for one in again.recorded if one.check.id == "drift"]
    assert drifted.columns[0].method == "kolmogorov-smirnov/2"
    assert drifted.columns[0].changes[0].after > drifted.columns[0].changes[0].before


async def test_metrics_with_intervals_are_told_when_labels_come(live: Station) -> None:
    checks = [
        asked(types.METHOD_ROC_AUC, 0.9),
        asked(types.METHOD_BRIER, 0.1),
        asked(types.METHOD_F1, 0.5, cut=0.5),
        asked(types.METHOD_MAE, 0.9),
        asked(types.METHOD_ANOMALY, 3.5, watched=types.METHOD_BRIER),
    ]
    await live.create(*checks, window=WINDOW)
    scores = SCORES[:200]
    labels = (RANDOM.uniform(size=200) < scores).astype(float)
    await live.send(batch("b", AGES[:200], scores=scores.tolist()))
    await live.send(outcomes("o", {f"b-{at}": float(label) for at, label in enumerate(labels)}))
    await live.monitor(lambda monitor: monitor.windows == 1)
    told = await points_of(live, 1)
    assert told["brier"].value == pytest.approx(float(np.mean((scores - labels) ** 2)), rel=1e-12)
    assert told["mae"].value == pytest.approx(float(np.mean(np.abs(scores - labels))), rel=1e-12)
    assert told["roc-auc"].interval.low < told["roc-auc"].value < told["roc-auc"].interval.high
    assert told["brier"].outcome == told["roc-auc"].outcome == types.OUTCOME_FAILED
    assert told["anomaly"].outcome == types.OUTCOME_INCONCLUSIVE
    assert (await live.call("ReevaluateWindow", name=MONITOR, window=1)).same
    monitor = await live.call("GetMonitor", name=MONITOR)
    (following,) = [one for one in monitor.statuses if one.check == "anomaly"]
    assert list(following.series) == [told["brier"].value]


async def test_an_alert_tells_the_columns_and_the_parts_that_changed(live: Station) -> None:
    await live.create(check(types.METHOD_TOTAL_VARIATION, 0.3, bins=4, failing_columns=1), window=WINDOW)
    await live.baseline(AGES, SCORES)
    await live.send(batch("moved", AGES[:200] + 40, scores=SCORES[:200].tolist()))

    async def raised() -> types.Alert | None:
        alerts = (await live.call("ListAlerts", parent=MONITOR)).alerts
        return alerts[0] if alerts else None

    alert = await eventually(raised)
    assert [one.column for one in alert.columns] == ["age"]
    assert alert.columns[0].changes[0].part.endswith(", inf)")
    assert alert.columns[0].changes[0].after == pytest.approx(1.0, abs=0.05)


async def test_labels_of_a_baseline_calibrate_scores_and_have_to_fit(live: Station) -> None:
    await live.create(asked(types.METHOD_ESTIMATED_ACCURACY, 0.9, columns=["label"]), window=WINDOW)
    scores = column("label", SCORES)
    values = rpc.BaselineValues(inputs=[column("age", AGES)], outputs=[scores], labels=column("label", [1.0]))
    assert (await live.refused("CaptureBaseline", name=MONITOR, values=values))[2] == ["values.labels"]
    values.labels.CopyFrom(column("label", (SCORES > 0.2).astype(float)))
    captured = await live.call("CaptureBaseline", name=MONITOR, values=values)
    await live.live.rooms.resources.wait(captured.revision)
    await live.send(batch("b", AGES[:200], scores=SCORES[:200].tolist()))
    await live.monitor(lambda monitor: monitor.windows == 1)
    told = (await points_of(live, 1))["estimated-accuracy"]
    # Scores between 0.2 and the cut are wrong, as the labels say.
    wrong = float(np.mean((SCORES[:200] > 0.2) & (SCORES[:200] < 0.5)))
    assert told.value == pytest.approx(1 - wrong, abs=0.02)
