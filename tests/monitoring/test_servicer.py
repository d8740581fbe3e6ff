"""The door of monitoring over live gRPC: calls, refusals, pages, and reads of the past."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.profile import capture, digest_of, encode
from tests.monitoring.build import ENDPOINT, INPUT, MONITOR, OUTPUT, VERSION, batch, check, column, numbers
from tests.monitoring.station import Station, eventually

PARENT = "projects/risk"
BY_10 = types.WindowSpec(size_rows=10)
VOLUME = check(types.METHOD_VOLUME, 20, id="rows")
AGES = np.random.default_rng(31).normal(40, 10, size=300)


def creating(**fields: Any) -> dict[str, Any]:
    values = {"parent": PARENT, "monitor_id": "m", "endpoint": ENDPOINT, "window": BY_10, "checks": [VOLUME]}
    return values | fields


async def test_a_monitor_is_created_read_listed_and_changed(live: Station) -> None:
    made = await live.call("CreateMonitor", **creating(description="cards", request_id="r1"))
    assert await live.call("CreateMonitor", **creating(description="cards", request_id="r1")) == made
    monitor = await live.call("GetMonitor", name=made.name, read={"at_least": made.revision})
    assert (monitor.name, monitor.endpoint, monitor.description) == ("projects/risk/monitors/m", ENDPOINT, "cards")
    assert monitor.state == types.MONITOR_STATE_ACTIVE
    changed = await live.call(
        "UpdateMonitor", name=made.name, update_mask={"paths": ["window"]}, window={"size_seconds": 60}, etag="1"
    )
    monitor = await live.call("GetMonitor", name=made.name, read={"at_least": changed.revision})
    assert (monitor.window.size_seconds, monitor.description) == (60, "cards")
    listed = await live.call("ListMonitors", parent=PARENT)
    assert list(listed.monitors) == [monitor]
    before = await live.call("GetMonitor", name=made.name, read={"as_of_revision": made.revision})
    assert before.window.size_rows == 10


async def test_what_is_wrong_is_named(live: Station) -> None:
    invalid = "INVALID_ARGUMENT"
    bad_check = types.Check(id="x", method=types.METHOD_ACCURACY, threshold=2)
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("CreateMonitor", creating(parent="risk"), "parent"),
        ("CreateMonitor", creating(endpoint="fraud"), "endpoint"),
        ("CreateMonitor", creating(endpoint="projects/other/endpoints/fraud-eu"), "endpoint"),
        ("CreateMonitor", creating(monitor_id="M"), "name"),
        ("CreateMonitor", creating(window={}), "window"),
        ("CreateMonitor", creating(checks=[bad_check]), "checks[0].threshold"),
        ("CreateMonitor", creating(checks=[types.Check(id="x", threshold=float("nan"))]), "checks[0].threshold"),
        ("UpdateMonitor", {"name": MONITOR, "update_mask": {"paths": ["endpoint"]}}, "update_mask"),
        ("UpdateMonitor", {"name": MONITOR, "update_mask": {}}, "update_mask"),
        ("CaptureBaseline", {"name": MONITOR}, "source"),
        ("CaptureBaseline", {"name": MONITOR, "profiles": {"rows": 3}}, "profiles"),
        ("ListWindows", {"parent": MONITOR, "page_token": "!"}, "page_token"),
        ("ListAlerts", {"parent": "projects/risk/monitors"}, "parent"),
        ("RecordOutcomes", {"endpoint": ENDPOINT, "prediction_ids": ["a"], "labels": {"name": "l"}}, "labels"),
        ("RequestRetraining", {"parent": MONITOR, "version": "fraud/3"}, "version"),
        ("GetAlert", {"name": f"{MONITOR}/alerts/x"}, "name"),
    ]
    for method, fields, field in cases:
        code, _, named = await live.refused(method, **fields)
        assert (code, set(named)) == (invalid, {field}), method


async def test_what_is_not_there_is_not_found(live: Station) -> None:
    other = "projects/risk/endpoints/other"
    labels = column("l", [1.0])
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("CreateMonitor", creating(endpoint=other), "ENDPOINT_NOT_FOUND"),
        ("GetMonitor", {"name": MONITOR}, "MONITOR_NOT_FOUND"),
        ("PauseMonitor", {"name": MONITOR}, "MONITOR_NOT_FOUND"),
        ("UpdateMonitor", {"name": MONITOR, "update_mask": {"paths": ["description"]}}, "MONITOR_NOT_FOUND"),
        ("RecordOutcomes", {"endpoint": other, "prediction_ids": ["a"], "labels": labels}, "ENDPOINT_NOT_FOUND"),
        ("ReevaluateWindow", {"name": MONITOR, "window": 1}, "WINDOW_NOT_FOUND"),
        ("GetAlert", {"name": f"{MONITOR}/alerts/1"}, "ALERT_NOT_FOUND"),
        ("ResolveAlert", {"name": f"{MONITOR}/alerts/1"}, "ALERT_NOT_FOUND"),
        ("GetRetraining", {"name": f"{MONITOR}/retrainings/1"}, "RETRAINING_NOT_FOUND"),
        ("StartRetraining", {"name": f"{MONITOR}/retrainings/1"}, "RETRAINING_NOT_FOUND"),
        ("RequestRetraining", {"parent": MONITOR, "version": VERSION}, "MONITOR_NOT_FOUND"),
    ]
    for method, fields, reason in cases:
        assert (await live.refused(method, **fields))[:2] == ("NOT_FOUND", reason), method


async def test_a_stale_etag_is_refused_and_a_dry_run_records_nothing(live: Station) -> None:
    await live.create(VOLUME, window=BY_10)
    code, reason, _ = await live.refused("PauseMonitor", name=MONITOR, etag="7")
    assert (code, reason) == ("ABORTED", "ETAG_MISMATCH")
    assert (await live.call("PauseMonitor", name=MONITOR, validate_only=True)).revision == 0
    assert (await live.call("GetMonitor", name=MONITOR)).state == types.MONITOR_STATE_ACTIVE


async def test_a_baseline_of_values_and_of_their_profiles_is_the_same(live: Station) -> None:
    await live.create(VOLUME, window=BY_10)
    profiles = capture([numbers("age", AGES, INPUT), numbers("label", AGES, OUTPUT)])
    assert await live.baseline(AGES, AGES) == digest_of(encode(profiles))
    again = await live.call("CaptureBaseline", name=MONITOR, profiles=profiles)
    await live.live.rooms.resources.wait(again.revision)
    monitor = await live.call("GetMonitor", name=MONITOR)
    assert (again.revision, again.digest) == (monitor.revision, monitor.baseline.digest)
    assert [(one.name, one.role) for one in monitor.baseline.columns] == [("age", INPUT), ("label", OUTPUT)]
    assert monitor.baseline.rows == len(AGES)


async def test_a_baseline_that_does_not_fit_names_the_column(live: Station) -> None:
    await live.create(VOLUME, window=BY_10)
    uneven = rpc.BaselineValues(inputs=[column("age", [1.0]), column("kind", ["a", "b"])])
    missing = rpc.BaselineValues(inputs=[column("age", [float("nan")] * 2)])
    code, reason, _ = await live.refused("CaptureBaseline", name=MONITOR, values=uneven)
    assert (code, reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert (await live.refused("CaptureBaseline", name=MONITOR, values=missing))[2] == ["profiles.columns[0]"]


async def test_metric_series_are_paged_and_filtered(live: Station) -> None:
    missing = check(types.METHOD_MISSING_SHARE, 0.5, id="missing")
    await live.create(VOLUME, missing, window=BY_10)
    await live.send(batch("b1", AGES[:50]))
    monitor = await live.monitor(lambda monitor: monitor.windows == 5)
    points, token, pages = [], "", 0
    while True:
        page = await live.call("ListWindows", parent=MONITOR, page_size=4, page_token=token)
        points += page.points
        pages, token = pages + 1, page.next_page_token
        if not token:
            break
    assert pages == 4
    assert [point.window for point in points] == [n for n in (5, 4, 3, 2, 1) for _ in range(3)]
    assert {(point.check, point.column) for point in points} == {("rows", ""), ("missing", "age"), ("missing", "label")}
    ages = await live.call("ListWindows", parent=MONITOR, column="age", version=VERSION)
    assert len(ages.points) == 5
    assert not (await live.call("ListWindows", parent=MONITOR, check="other")).points
    later = datetime.now(UTC) + timedelta(days=1)
    assert not (await live.call("ListWindows", parent=MONITOR, start_time=later)).points
    assert len((await live.call("ListWindows", parent=MONITOR, end_time=later, check="rows")).points) == 5
    first = next(point.revision for point in points if point.window == 1)
    early = await live.call("ListWindows", parent=MONITOR, read={"as_of_revision": first})
    assert {point.window for point in early.points} == {1}
    assert {point.revision for point in points} <= set(range(1, monitor.revision + 1))


async def test_a_window_is_computed_again_until_its_profiles_expire(live: Station) -> None:
    await live.create(check(types.METHOD_PSI, 0.1), window=BY_10)
    await live.baseline(AGES, AGES)
    await live.send(batch("b1", AGES[:10]))
    await live.monitor(lambda monitor: monitor.windows == 1)
    again = await live.call("ReevaluateWindow", name=MONITOR, window=1)
    assert again.same
    assert again.recorded == again.recomputed
    assert len(again.recorded[0].columns) == 2
    await live.live.rooms.kept.execute("delete from profile where not baseline")
    code, reason, _ = await live.refused("ReevaluateWindow", name=MONITOR, window=1)
    assert (code, reason) == ("FAILED_PRECONDITION", "PROFILE_EXPIRED")


async def test_an_alert_goes_through_the_hands_of_people(live: Station) -> None:
    await live.create(VOLUME, window=BY_10)
    await live.send(batch("b1", AGES[:10]))
    name = f"{MONITOR}/alerts/1"

    async def raised() -> bool:
        return bool((await live.call("ListAlerts", parent="projects/risk/monitors/-")).alerts)

    await eventually(raised)
    await live.call("AcknowledgeAlert", name=name, note="looking", actor="users/bob")
    until = datetime.now(UTC) + timedelta(hours=1)
    await live.call("SilenceAlert", name=name, until=until, reason="known")
    done = await live.call("ResolveAlert", name=name, actor="users/bob")
    alert = await live.call("GetAlert", name=name, read={"at_least": done.revision})
    assert (alert.acknowledged_by, alert.note) == ("users/bob", "looking")
    assert (alert.silence_reason, alert.silenced_until.ToDatetime(tzinfo=UTC)) == ("known", until)
    assert (alert.state, alert.resolution) == (types.ALERT_STATE_RESOLVED, types.RESOLUTION_BY_HAND)
    assert alert.resolved_by == "users/bob"
    code, reason, _ = await live.refused("SilenceAlert", name=name, until=until)
    assert (code, reason) == ("FAILED_PRECONDITION", "ALERT_RESOLVED")


@pytest.mark.parametrize("ending", ["abandon", "start"])
async def test_a_retraining_by_hand(live: Station, ending: str) -> None:
    await live.register(VERSION)
    await live.create(VOLUME, window=BY_10)
    made = await live.call("RequestRetraining", parent=MONITOR, version=VERSION, reason="new data")
    assert made.name == f"{MONITOR}/retrainings/1"
    if ending == "start":
        await live.call("StartRetraining", name=made.name, run="job/1", actor="users/bob")
        code, reason, _ = await live.refused("StartRetraining", name=made.name, run="job/2")
        assert (code, reason) == ("ABORTED", "RETRAINING_TAKEN")
    assert (await live.refused("AbandonRetraining", name=made.name))[2] == ["reason"]
    ended = await live.call("AbandonRetraining", name=made.name, reason="not worth it")
    state = await live.call("GetRetraining", name=made.name, read={"at_least": ended.revision})
    assert (state.state, state.abandon_reason) == (types.RETRAINING_STATE_ABANDONED, "not worth it")
    assert (state.requested_by, state.reason) == ("users/ada", "new data")
    assert (await live.refused("StartRetraining", name=made.name, run="x"))[1] == "RETRAINING_ENDED"
