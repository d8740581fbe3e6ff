"""Checks of every kind on a running service: what they say, that it can be computed again, and what people see."""

from datetime import timedelta

import numpy as np
import pytest

from modelog.monitoring.v1 import fits_pb2 as fits
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import mean_of
from services.monitoring.telemetry.queries import load_profiles
from tests.monitoring.build import MONITOR, START, VERSION, batch, check, column, outcomes
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


async def test_a_fitted_threshold_stands_in_every_fact_and_a_window_is_explained(live: Station) -> None:
    drift = types.Check(id="drift", method=types.METHOD_PSI, fit=fits.Fit(fitting=fits.FITTING_STANDARD_DEVIATIONS))
    await live.create(drift, window=WINDOW)
    draw = np.random.default_rng(8)
    ages, labels = draw.normal(40, 10, 4_000), np.ones(4_000)
    values = rpc.BaselineValues(inputs=[column("age", ages)], outputs=[column("label", labels)])
    few = rpc.BaselineValues(inputs=[column("age", ages[:900])], outputs=[column("label", labels[:900])])
    assert (await live.refused("CaptureBaseline", name=MONITOR, values=few))[1] == "TOO_FEW_CHUNKS"
    captured = await live.call("CaptureBaseline", name=MONITOR, values=values, importances={"age": 2.0})
    (fitted,) = captured.thresholds
    assert fitted.chunks == 20
    assert 0.05 < fitted.threshold < 0.5
    again = await live.call("CaptureBaseline", name=MONITOR, values=values, importances={"age": 2.0})
    assert again.revision == captured.revision
    await live.live.rooms.resources.wait(captured.revision)
    await live.send(batch("same", draw.normal(40, 10, 200)), batch("moved", draw.normal(70, 10, 200)))
    await live.monitor(lambda monitor: monitor.windows == 2)
    for window, outcome in ((1, types.OUTCOME_OK), (2, types.OUTCOME_FAILED)):
        judged = await live.call("ReevaluateWindow", name=MONITOR, window=window)
        assert judged.same
        assert judged.recorded[0].check.threshold == fitted.threshold
        assert judged.recorded[0].outcome == outcome
    told = await live.call("ExplainWindow", name=MONITOR, window=2)
    assert (told.check.id, told.weighted, told.rows, told.baseline_rows) == ("drift", True, 200, 4_000)
    assert [one.result.column for one in told.columns] == ["age", "label"]
    assert told.columns[0].contribution == 1.0
    assert told.columns[0].mean_after == pytest.approx(70, abs=3)


async def test_a_baseline_is_made_of_the_windows_of_a_period(live: Station) -> None:
    rows = types.Check(id="rows", method=types.METHOD_VOLUME, threshold=1)
    await live.create(check(types.METHOD_PSI, 0.5), rows, window=WINDOW)
    period = {"version": VERSION, "start_time": START - timedelta(days=1), "end_time": START + timedelta(days=1)}
    assert (await live.refused("CaptureBaseline", name=MONITOR, reference=period))[1] == "NO_WINDOWS"
    await live.baseline(np.arange(1000.0), np.ones(1000))
    draw = np.random.default_rng(9)
    parts = [draw.uniform(100, 900, 200) for _ in range(12)]
    for at, part in enumerate(parts):
        await live.send(batch(f"b{at}", part, at=START + timedelta(seconds=10 * at)))
    await live.monitor(lambda monitor: monitor.windows == 12)
    captured = await live.call("CaptureBaseline", name=MONITOR, reference=period)
    assert [(one.check, one.chunks) for one in captured.thresholds] == [("drift", 12), ("rows", 12)]
    await live.live.rooms.resources.wait(captured.revision)
    monitor = await live.call("GetMonitor", name=MONITOR)
    assert (monitor.baseline.rows, monitor.baseline.reference.windows) == (2_400, 12)
    body = (await load_profiles(live.live.rooms.kept, [captured.digest]))[captured.digest]
    (age,) = [one for one in types.ProfileSet.FromString(body).columns if one.name == "age"]
    assert age.numbers.count == 2_400
    assert mean_of(age.numbers) == pytest.approx(float(np.mean(parts)), rel=1e-12)
    await live.send(batch("next", draw.uniform(100, 900, 200), at=START + timedelta(hours=1)))
    await live.monitor(lambda monitor: monitor.windows == 13)
    judged = await live.call("ReevaluateWindow", name=MONITOR, window=13)
    assert judged.same
    assert judged.recorded[0].statistic < 0.2
