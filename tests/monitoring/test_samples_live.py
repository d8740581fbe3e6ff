"""Checks on rows in a running service: rows are kept for a time, without sensitive columns, and computed from again."""

from typing import Any

import numpy as np
import pytest

from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.telemetry.samples import queries as samples
from tests.monitoring.build import ENDPOINT, MONITOR, batch, column
from tests.monitoring.station import Station, eventually
from tests.monitoring.test_checks_live import asked

RANDOM = np.random.default_rng(41)
WINDOW = types.WindowSpec(size_rows=400, sample_rows=200, sample_days=3)
FIRST, SECOND = RANDOM.normal(size=(2, 2_000))
CHECKS = [
    asked(types.METHOD_DOMAIN_CLASSIFIER, 0.7),
    asked(types.METHOD_PCA_RECONSTRUCTION, 3.5),
    asked(types.METHOD_MMD, 0.01, columns=["age", "inc*"], significance=0.05),
    asked(types.METHOD_OUTLIER_SHARE, 0.1),
    asked(types.METHOD_MISSING_SHARE, 0.1),
]


async def capture(live: Station, **fields: Any) -> rpc.CaptureBaselineResponse:
    values = rpc.BaselineValues(
        inputs=[column("age", FIRST), column("income", FIRST + 0.3 * SECOND)],
        outputs=[column("label", [1.0] * 2_000)],
        **fields,
    )
    captured: rpc.CaptureBaselineResponse = await live.call("CaptureBaseline", name=MONITOR, values=values)
    await live.live.rooms.resources.wait(captured.revision)
    return captured


def rows(batch_id: str, start: int, stop: int, *, apart: bool = False) -> telemetry.PredictionBatch:
    """Rows whose two inputs go together as in the baseline; or apart, though each alone is as it was."""
    income = (SECOND if apart else FIRST)[start:stop] + 0.3 * SECOND[start:stop]
    return batch(batch_id, FIRST[start:stop], inputs=[column("income", income)])


async def failed_in(live: Station, window: int) -> set[str]:
    page = await live.call("ListWindows", parent=MONITOR, page_size=200)
    return {one.check for one in page.points if one.window == window and one.outcome == types.OUTCOME_FAILED}


async def sample_of(live: Station) -> types.RowSample:
    """The first one that is kept."""

    async def kept() -> bytes | None:
        body: bytes | None = await live.live.rooms.kept.fetchval("select body from sample")
        return body

    return types.RowSample.FromString(await eventually(kept))


async def test_rows_are_compared_and_computed_again_until_they_are_gone(live: Station) -> None:
    await live.create(*CHECKS, window=WINDOW)
    await capture(live, sample_rows=500, outlier_share=0.02)
    for at in range(4):
        await live.send(rows(f"same-{at}", at * 100, at * 100 + 100))
    await live.send(rows("apart", 400, 800, apart=True))
    await live.monitor(lambda monitor: monitor.windows == 2)
    assert await failed_in(live, 1) == set()
    assert {"domain-classifier", "pca-reconstruction", "mmd"} <= await failed_in(live, 2)
    again = await live.call("ReevaluateWindow", name=MONITOR, window=2)
    assert (again.same, list(again.sample_expired)) == (True, [])
    assert {one.check.id for one in again.recorded if one.HasField("p_value")} == {"mmd"}
    kept = await live.live.rooms.kept.fetch("select body from sample")
    assert len(kept) == 2
    for one in kept:
        sample = types.RowSample.FromString(one["body"])
        assert [column.name for column in sample.columns] == ["age", "income", "label"]
        assert len(sample.hashes) == 200
    profiles = await live.live.rooms.kept.fetch("select body from profile where not baseline")
    assert not any(types.ProfileSet.FromString(one["body"]).HasField("sample") for one in profiles)
    await live.live.rooms.kept.execute("update sample set expires_at = now() - interval '1 hour'")
    later = await live.call("ReevaluateWindow", name=MONITOR, window=2)
    assert later.same
    assert list(later.sample_expired) == ["domain-classifier", "pca-reconstruction", "mmd"]
    assert {one.explanation for one in later.recomputed[:3]} == {"no rows of the window are kept"}
    assert later.recomputed[3] == later.recorded[3]
    await samples.forget_expired(live.live.rooms.kept, live.live.rooms.clock())
    assert not await live.live.rooms.kept.fetchval("select count(*) from sample")


async def test_a_window_is_compared_with_the_rows_of_the_one_before(live: Station) -> None:
    spec = types.WindowSpec(
        size_rows=400, sample_rows=200, compare_with=types.COMPARISON_EARLIER_WINDOWS, baseline_windows=1
    )
    await live.create(CHECKS[0], window=spec)
    await capture(live)
    await live.send(rows("same", 0, 400), rows("apart", 400, 800, apart=True))
    await live.monitor(lambda monitor: monitor.windows == 2)
    assert await failed_in(live, 2) == {"domain-classifier"}
    again = await live.call("ReevaluateWindow", name=MONITOR, window=2)
    assert again.same
    assert again.recorded[0].outcome == types.OUTCOME_FAILED
    profiles = await live.live.rooms.kept.fetch("select body from profile where not baseline")
    assert not any(types.ProfileSet.FromString(one["body"]).HasField("sample") for one in profiles)


async def test_sensitive_columns_are_in_no_sample(live: Station) -> None:
    parity = asked(types.METHOD_DEMOGRAPHIC_PARITY_DIFFERENCE, 0.3, sensitive="income", cut=0.5)
    await live.create(CHECKS[0], parity, window=WINDOW)
    values = rpc.BaselineValues(inputs=[column("age", FIRST), column("income", FIRST)], sample_rows=100)
    code, reason, fields = await live.refused("CaptureBaseline", name=MONITOR, values=values)
    assert (code, reason, fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["values.sample_rows"])
    await capture(live)
    sent = rows("b", 0, 400)
    sent.sensitive.add(name="income", strings=["high"] * 400)
    await live.send(sent)
    assert [one.name for one in (await sample_of(live)).columns] == ["age", "label"]


@pytest.mark.parametrize(("days", "wrong"), [(3, "window.sample_days"), (0, "window.sample_rows")])
async def test_checks_on_rows_need_rows(live: Station, days: int, wrong: str) -> None:
    fields = {"parent": "projects/risk", "monitor_id": "m", "endpoint": ENDPOINT, "checks": CHECKS[:1]}
    window = types.WindowSpec(size_rows=400, sample_days=days)
    assert (await live.refused("CreateMonitor", window=window, **fields))[2] == [wrong]


async def test_a_column_that_a_producer_calls_sensitive_is_not_kept_either(live: Station) -> None:
    await live.create(CHECKS[0], window=WINDOW)
    await capture(live)
    sent = rows("b", 0, 400)
    sent.sensitive.add(name="income", strings=["high"] * 400)
    await live.send(sent)
    sample = await sample_of(live)
    assert np.isnan(list(sample.columns[1].numbers)).all()
    assert np.isfinite(list(sample.columns[0].numbers)).all()
