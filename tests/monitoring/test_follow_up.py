"""What follows from windows through the log: alerts, retrainings, and their end."""

from typing import Any

import numpy as np

from kernel.digest import views_digest
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import ALERT, KNOWN_ENDPOINT, RETRAINING
from services.monitoring.domain import MONITOR as MONITORS
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import ENDPOINT, MONITOR, NEXT_VERSION, VERSION, batch, check
from tests.monitoring.station import Station, eventually, station

AGES = np.random.default_rng(30).normal(40, 10, size=1_000)
LABELS = [1.0] * 500 + [0.0] * 500
BY_50 = types.WindowSpec(size_rows=50)
DRIFT = check(types.METHOD_PSI, 0.5, id="drift", columns=["age"], actions=[types.ACTION_RETRAIN])


class Drifting:
    """An endpoint whose input drifts when told so."""

    def __init__(self, live: Station, version: str = VERSION) -> None:
        self.live = live
        self.version = version
        self.sent = 0

    async def window(self, shift: float) -> None:
        self.sent += 1
        await self.live.send(batch(f"{self.version}/{self.sent}", AGES[:50] + shift, version=self.version))


async def alerts(live: Station, *states: types.AlertState) -> list[types.Alert]:
    """The alerts of the monitor once they stand like this."""

    async def found() -> list[types.Alert]:
        reply = await live.call("ListAlerts", parent=MONITOR)
        return list(reply.alerts) if [one.state for one in reply.alerts] == list(states) else []

    result: list[types.Alert] = await eventually(found)
    return result


async def retrainings(live: Station, *states: types.RetrainingState) -> list[types.Retraining]:
    async def found() -> list[types.Retraining]:
        reply = await live.call("ListRetrainings", parent="projects/risk/monitors/-")
        return list(reply.retrainings) if [one.state for one in reply.retrainings] == list(states) else []

    result: list[types.Retraining] = await eventually(found)
    return result


async def watching(live: Station) -> Drifting:
    await live.register(VERSION)
    await live.create(DRIFT, window=BY_50)
    await live.baseline(AGES, LABELS)
    return Drifting(live)


async def test_drift_raises_one_alert_which_ends_when_the_drift_does(live: Station) -> None:
    source = await watching(live)
    for shift in (0, 30, 30, 30):
        await source.window(shift)
    (alert,) = await alerts(live, types.ALERT_STATE_FIRING)
    assert (alert.name, alert.version, alert.check) == (f"{MONITOR}/alerts/1", VERSION, "drift")
    assert (alert.endpoint, alert.method, alert.threshold) == (ENDPOINT, types.METHOD_PSI, 0.5)
    assert [one.column for one in alert.columns] == ["age"]
    assert alert.statistic == alert.columns[0].statistic > 0.5
    assert alert.window.number == 2
    await source.window(0)
    (alert,) = await alerts(live, types.ALERT_STATE_RESOLVED)
    assert alert.resolution == types.RESOLUTION_RECOVERED
    assert alert.resolved_by == ""
    await source.window(30)
    await alerts(live, types.ALERT_STATE_RESOLVED, types.ALERT_STATE_FIRING)


async def test_an_alert_requests_a_retraining_until_a_version_answers_it(live: Station) -> None:
    source = await watching(live)
    await source.window(30)
    (retraining,) = await retrainings(live, types.RETRAINING_STATE_REQUESTED)
    assert (retraining.version, retraining.endpoint) == (VERSION, ENDPOINT)
    assert retraining.alert == f"{MONITOR}/alerts/1"
    assert retraining.evidence.columns[0].column == "age"
    assert retraining.requested_by == "services/monitoring"

    await source.window(0)
    await source.window(30)
    await alerts(live, types.ALERT_STATE_RESOLVED, types.ALERT_STATE_FIRING)
    await retrainings(live, types.RETRAINING_STATE_REQUESTED)

    await live.call("StartRetraining", name=retraining.name, run="job/7", actor="users/bob")
    await live.register(NEXT_VERSION, answers=retraining.name)
    (retraining,) = await retrainings(live, types.RETRAINING_STATE_ANSWERED)
    assert (retraining.answered_by, retraining.started_by) == (NEXT_VERSION, "users/bob")

    await source.window(0)
    await source.window(30)
    await retrainings(live, types.RETRAINING_STATE_ANSWERED, types.RETRAINING_STATE_REQUESTED)


async def test_what_follows_is_tied_to_its_cause(live: Station) -> None:
    source = await watching(live)
    await source.window(30)
    await retrainings(live, types.RETRAINING_STATE_REQUESTED)

    async def last(kind: Any, name: str) -> Fact:
        after, found = 0, None
        while entry := await live.live.rooms.log.next(kind.subject(name), after):
            found, after = Fact.FromString(entry.payload), entry.revision
        assert found is not None
        return found

    window = await last(MONITORS, MONITOR)
    alert = await last(ALERT, f"{MONITOR}/alerts/1")
    retraining = await last(RETRAINING, f"{MONITOR}/retrainings/1")
    assert (alert.causation_id, retraining.causation_id) == (window.id, alert.id)
    assert [read.resource for read in window.reads] == [ENDPOINT]


async def test_an_answer_that_names_nothing_known_is_passed_over(live: Station) -> None:
    source = await watching(live)
    await live.register(NEXT_VERSION, answers=f"{MONITOR}/retrainings/9")
    await live.register("projects/risk/models/fraud/versions/3", answers="nonsense")
    await source.window(30)
    await retrainings(live, types.RETRAINING_STATE_REQUESTED)


async def test_alerts_of_a_version_that_was_replaced_are_over_and_its_return_begins_anew(live: Station) -> None:
    source = await watching(live)
    await source.window(30)
    await alerts(live, types.ALERT_STATE_FIRING)
    await live.serve(NEXT_VERSION)
    (alert,) = await alerts(live, types.ALERT_STATE_RESOLVED)
    assert alert.resolution == types.RESOLUTION_VERSION_REPLACED
    await source.window(30)
    await live.monitor(lambda monitor: monitor.windows == 2)
    await alerts(live, types.ALERT_STATE_RESOLVED)
    await live.serve(VERSION)
    await source.window(30)
    await alerts(live, types.ALERT_STATE_RESOLVED, types.ALERT_STATE_FIRING)


async def test_the_alert_of_a_check_that_is_gone_is_over(live: Station) -> None:
    source = await watching(live)
    await source.window(30)
    await alerts(live, types.ALERT_STATE_FIRING)
    rows = check(types.METHOD_VOLUME, 1, id="rows")
    await live.call("UpdateMonitor", name=MONITOR, update_mask={"paths": ["checks"]}, checks=[rows])
    (alert,) = await alerts(live, types.ALERT_STATE_RESOLVED)
    assert alert.resolution == types.RESOLUTION_CHECK_REMOVED


async def test_a_canary_is_judged_beside_the_running_version(live: Station) -> None:
    running, canary = await watching(live), Drifting(live, NEXT_VERSION)
    await live.serve(VERSION, NEXT_VERSION)
    await running.window(0)
    await canary.window(30)
    (alert,) = await alerts(live, types.ALERT_STATE_FIRING)
    assert alert.version == NEXT_VERSION


async def test_the_end_of_an_endpoint_is_the_end_of_its_alerts(live: Station) -> None:
    source = await watching(live)
    await source.window(30)
    await alerts(live, types.ALERT_STATE_FIRING)
    await live.other(KNOWN_ENDPOINT, ENDPOINT, deployment.EndpointRemoved(versions=[VERSION]))
    await alerts(live, types.ALERT_STATE_RESOLVED)


async def test_a_rebuilt_schema_equals_the_live_one(
    live: Station, nats: NatsServer, postgres: PostgresServer, tmp_path: Any, schema: str
) -> None:
    source = await watching(live)
    for shift in (0, 30, 0, 30, 30):
        await source.window(shift)
    await alerts(live, types.ALERT_STATE_RESOLVED, types.ALERT_STATE_FIRING)
    await live.call("AcknowledgeAlert", name=f"{MONITOR}/alerts/2", note="on it")
    await live.monitor(lambda monitor: monitor.windows == 5)
    await retrainings(live, types.RETRAINING_STATE_REQUESTED)
    head = await live.live.rooms.resources.catch_up()
    again_schema = f"{schema}_again"
    async with station(nats, postgres, tmp_path, schema=again_schema, roles="rpc,projector") as again:
        await again.live.rooms.resources.wait(head)
        live_views = await views_digest(live.live.rooms.pool, schema)
        assert await views_digest(again.live.rooms.pool, again_schema) == live_views
        assert {"metric_point", "evaluated", "monitor_history", "alert", "open_retraining"} <= live_views.keys()


async def test_a_second_service_that_counts_the_same_stream_records_nothing_twice(
    live: Station, nats: NatsServer, postgres: PostgresServer, tmp_path: Any, schema: str
) -> None:
    """As when the tables of telemetry were lost: the stream is counted again, and every window is known already."""
    source = await watching(live)
    for shift in (0, 30, 30):
        await source.window(shift)
    await live.monitor(lambda monitor: monitor.windows == 3)
    await alerts(live, types.ALERT_STATE_FIRING)
    await retrainings(live, types.RETRAINING_STATE_REQUESTED)
    head = await live.live.rooms.log.head()
    async with station(nats, postgres, tmp_path, schema=f"{schema}_again") as again:
        await again.live.rooms.resources.wait(head)
        await again.counted()
        await eventually(lambda: _nothing_waits(again))
    assert await live.live.rooms.log.head() == head


async def _nothing_waits(live: Station) -> bool:
    return int(await live.live.rooms.kept.fetchval("select count(*) from open_window")) == 0
