"""Alerts of rules through the running service: opened, silenced, escalated, ended, and computed again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from kernel.digest import views_digest
from kernel.fold import event_of
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import alert_events_pb2 as later
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from services.monitoring.domain import ALERT, KNOWN_PROJECT
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import ENDPOINT, MONITOR, check
from tests.monitoring.station import Station, eventually, station
from tests.monitoring.test_follow_up import AGES, BY_50, LABELS, Drifting, alerts

PROJECT = "projects/risk"
ALERT_NAME = f"{MONITOR}/alerts/1"
DRIFT = check(types.METHOD_PSI, 0.5, id="drift", columns=["age"])
SHIFT = check(types.METHOD_WASSERSTEIN, 2, id="shift", columns=["age"])
FIRING, TAKEN, RESOLVED = types.ALERT_STATE_FIRING, types.ALERT_STATE_ACKNOWLEDGED, types.ALERT_STATE_RESOLVED


async def watching(live: Station, **fields: Any) -> Drifting:
    """A monitor with one rule over two checks."""
    rule = types.AlertRule(**({"id": "drifting", "when": "failed"} | fields))
    await live.other(KNOWN_PROJECT, PROJECT, registry.ProjectCreated(title="Risk"))
    await live.register()
    made = await live.call(
        "CreateMonitor", parent=PROJECT, monitor_id="fraud-eu", endpoint=ENDPOINT, window=BY_50,
        checks=[DRIFT, SHIFT], rules=[rule],
    )  # fmt: skip
    await live.live.rooms.resources.wait(made.revision)
    await live.baseline(AGES, LABELS)
    return Drifting(live)


def hence(**time: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC) + timedelta(**time))
    return stamp


async def silence(live: Station, **fields: Any) -> str:
    made = await live.call("CreateSilence", parent=PROJECT, reason="maintenance", end_time=hence(hours=1), **fields)
    await live.live.rooms.resources.wait(made.revision)
    return str(made.name)


async def told(live: Station, name: str = ALERT_NAME) -> list[Any]:
    """The facts of an alert."""
    after, found = 0, []
    while entry := await live.live.rooms.log.next(ALERT.subject(name), after):
        found.append(event_of(Fact.FromString(entry.payload)))
        after = entry.revision
    return found


async def test_checks_that_fail_together_are_one_alert_which_opens_again(live: Station) -> None:
    source = await watching(live, reopen_within_seconds=3600)
    for shift in (0, 30):
        await source.window(shift)
    (alert,) = await alerts(live, FIRING)
    assert (alert.rule, sorted(one.check for one in alert.members)) == ("drifting", ["drift", "shift"])
    assert [one.alert for one in (await live.monitor(lambda one: one.windows == 2)).statuses] == [1, 1]
    await source.window(0)
    await alerts(live, RESOLVED)
    await source.window(30)
    (alert,) = await alerts(live, FIRING)
    assert (alert.reopenings, alert.reopen_window, alert.window.number) == (1, 4, 2)
    await live.live.rooms.resources.catch_up()
    series = await live.call("GetSeries", name=MONITOR)
    assert [(one.number, one.open_window, one.close_window) for one in series.episodes] == [(1, 2, 3), (1, 4, 0)]
    ended = await live.call("ResolveAlert", name=ALERT_NAME)
    await live.live.rooms.resources.wait(ended.revision)
    series = await live.call("GetSeries", name=MONITOR)
    assert [one.HasField("close_time") for one in series.episodes] == [True, True]


async def test_an_alert_run_again_gives_the_same_number(live: Station) -> None:
    source = await watching(live)
    await source.window(30)
    (alert,) = await alerts(live, FIRING)
    again = await live.call("RerunAlert", name=alert.name)
    assert again.same
    assert [one.check.id for one in again.recomputed] == ["drift", "shift"]
    assert again.recomputed[0].statistic == alert.statistic
    assert again.window == 1
    await live.live.rooms.kept.execute("delete from profile where digest = $1", alert.window.profile_digest)
    assert (await live.refused("RerunAlert", name=alert.name))[1] == "PROFILE_EXPIRED"
    assert (await live.refused("RerunAlert", name=f"{MONITOR}/alerts/7"))[1] == "ALERT_NOT_FOUND"


async def test_a_silenced_alert_is_recorded_and_tells_nobody(live: Station) -> None:
    source = await watching(live, actions=[types.ACTION_RETRAIN])
    name = await silence(live, monitor=MONITOR, hold_actions=True)
    await source.window(30)
    (alert,) = await alerts(live, FIRING)
    assert list(alert.silences) == [name]
    (raised,) = await told(live)
    assert (raised.silent, raised.held, list(raised.actions)) == (True, True, [])
    ended = await live.call("EndSilence", name=name)
    await live.live.rooms.resources.wait(ended.revision)
    await live.call("AcknowledgeAlert", name=ALERT_NAME, note="mine")
    assert (await told(live))[-1].note.startswith("text:"), "what people write lies beside the log"
    await alerts(live, TAKEN)
    await source.window(0)
    await alerts(live, RESOLVED)
    assert not (await told(live))[-1].silent
    assert not (await live.call("ListRetrainings", parent=MONITOR)).retrainings
    (listed,) = (await live.call("ListSilences", parent=PROJECT)).silences
    assert (listed.reason, listed.ended_by, listed.created_by) == ("maintenance", "users/ada", "users/ada")


async def test_who_was_not_told_is_told_when_the_silence_ends(live: Station) -> None:
    source = await watching(live)
    name = await silence(live)
    await source.window(30)
    await alerts(live, FIRING)
    assert await live.live.rooms.pool.fetchval("select count(*) from quiet_alert") == 1
    await asyncio.sleep(0.3)  # Some ticks, at which nothing happens.
    assert [type(one) for one in await told(live)] == [facts.AlertRaised]
    await live.call("EndSilence", name=name)

    async def loud() -> bool:
        return [type(one) for one in await told(live)] == [facts.AlertRaised, later.AlertUnsilenced]

    await eventually(loud)
    await live.live.rooms.resources.catch_up()
    assert await live.live.rooms.pool.fetchval("select count(*) from quiet_alert") == 0


async def test_silences_are_of_the_project(live: Station) -> None:
    await watching(live)
    other = {"parent": PROJECT, "reason": "x", "end_time": hence(hours=1), "monitor": "projects/other/monitors/m"}
    assert (await live.refused("CreateSilence", **other))[2] == ["monitor"]
    past = {"parent": PROJECT, "reason": "x", "end_time": hence(hours=-1)}
    assert (await live.refused("CreateSilence", **past))[1] == "SILENCE_IN_THE_PAST"
    unknown = {"parent": "projects/unknown", "reason": "x", "end_time": hence(hours=1)}
    assert (await live.refused("CreateSilence", **unknown))[1] == "PROJECT_NOT_FOUND"
    assert (await live.refused("GetSilence", name=f"{PROJECT}/silences/1"))[1] == "SILENCE_NOT_FOUND"


async def test_what_nobody_takes_is_escalated_by_itself_and_once(live: Station) -> None:
    source = await watching(live, escalate_after_seconds=1, escalate_to="groups/risk")
    await source.window(30)

    async def escalated() -> types.Alert | None:
        alert: types.Alert = await live.call("GetAlert", name=ALERT_NAME)
        return alert if alert.escalated_to else None

    await alerts(live, FIRING)
    alert = await eventually(escalated)
    assert (alert.severity, alert.escalated_to) == (types.SEVERITY_CRITICAL, "groups/risk")
    assert await live.live.rooms.pool.fetchval("select count(*) from escalation") == 0
    await live.call("EscalateAlert", name=ALERT_NAME, to="users/bob")
    assert [type(one) for one in await told(live)] == [facts.AlertRaised, *[later.AlertEscalated] * 2]
    assert (await live.refused("EscalateAlert", name=ALERT_NAME, severity=1))[1] == "SEVERITY_LOWERED"


async def test_a_rule_that_cannot_be_answered_is_refused_at_the_door(live: Station) -> None:
    await watching(live)
    wrong = [types.AlertRule(id="x", when="valu > 1.0")]
    told = await live.refused("UpdateMonitor", name=MONITOR, update_mask={"paths": ["rules"]}, rules=wrong)
    assert told[0::2] == ("INVALID_ARGUMENT", ["rules[0].when"])


async def test_a_rebuilt_schema_knows_silences_and_what_waits(
    live: Station, nats: NatsServer, postgres: PostgresServer, tmp_path: Any, schema: str
) -> None:
    source = await watching(live, escalate_after_seconds=3600, reopen_within_seconds=3600)
    await silence(live)
    ended = await silence(live, check="drift")
    await live.call("EndSilence", name=ended)
    for shift in (30, 0, 30):
        await source.window(shift)
    await live.monitor(lambda monitor: monitor.windows == 3)
    await alerts(live, FIRING)
    head = await live.live.rooms.resources.catch_up()
    again_schema = f"{schema}_again"
    async with station(nats, postgres, tmp_path, schema=again_schema, roles="rpc,projector") as again:
        await again.live.rooms.resources.wait(head)
        views = await views_digest(live.live.rooms.pool, schema)
        assert await views_digest(again.live.rooms.pool, again_schema) == views
        assert {"standing_silence", "escalation", "silence", "quiet_alert"} <= views.keys()
        assert await again.live.rooms.pool.fetchval("select count(*) from escalation") == 1
        assert await again.live.rooms.pool.fetchval("select count(*) from standing_silence") == 1
