"""The queue of retrainings and the proposals to retire: one worker each, in order, by the clock, once."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from kernel.errors import Conflict, Invalid, NotAllowedNow
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import retraining_events_pb2 as later
from modelog.monitoring.v1 import retrainings_pb2 as messages
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import RETIREMENT, RETRAINING, retirement, retraining
from testkit.scenario import START, life
from tests.monitoring.build import ENDPOINT, MONITOR, VERSION, batch, check
from tests.monitoring.station import Station, eventually

NAME = f"{MONITOR}/retrainings/1"
BY_10 = types.WindowSpec(size_rows=10)


def requested(**fields: Any) -> facts.RetrainingRequested:
    return facts.RetrainingRequested(endpoint=ENDPOINT, version=VERSION, **fields)


def claimed(hours: float) -> later.RetrainingClaimed:
    event = later.RetrainingClaimed()
    event.expire_time.FromDatetime(START + timedelta(hours=hours))
    return event


def test_one_worker_has_it_until_the_lease_is_over() -> None:
    one = life(RETRAINING, NAME).given(requested())
    one.when(retraining.claim, lease_seconds=7200, now=START).then(claimed(2))
    one.given(claimed(2), by="services/ada")
    assert one.state.claimed_by == "services/ada"
    one.when(retraining.claim, lease_seconds=60, now=START).then_refused("RETRAINING_TAKEN")
    one.when(retraining.start, run="r", by="services/bob").then_refused("RETRAINING_TAKEN")
    one.when(retraining.extend, by="services/bob", lease_seconds=60, now=START).then_refused("RETRAINING_TAKEN")
    one.when(retraining.extend, by="services/ada", lease_seconds=10_800, now=START).then(claimed(3))
    one.when(retraining.expire, now=START + timedelta(hours=1)).then_nothing()
    one.when(retraining.expire, now=START + timedelta(hours=2)).then(later.RetrainingReleased(expired=True))
    one.when(retraining.release, by="services/bob", reason="r").then_refused("RETRAINING_TAKEN")
    one.when(retraining.start, run="r", by="services/ada").then(facts.RetrainingStarted(run="r"))
    one.given(facts.RetrainingStarted(run="r"), by="services/ada")
    one.when(retraining.expire, now=START + timedelta(days=9)).then_nothing()
    one.when(retraining.release, by="services/ada", reason="crashed").then(later.RetrainingReleased())
    one.given(later.RetrainingReleased())
    assert (one.state.state, one.state.claimed_by, one.state.started_by) == (types.RETRAINING_STATE_REQUESTED, "", "")


def test_a_missed_deadline_is_said_once_and_the_retraining_stays_open() -> None:
    event = requested()
    event.deadline_time.FromDatetime(START + timedelta(hours=5))
    one = life(RETRAINING, NAME).given(event)
    one.when(retraining.miss, now=START + timedelta(hours=4)).then_nothing()
    one.when(retraining.miss, now=START + timedelta(hours=5)).then(later.RetrainingDeadlineMissed())
    one.given(later.RetrainingDeadlineMissed())
    one.when(retraining.miss, now=START + timedelta(hours=6)).then_nothing()
    one.when(retraining.claim, lease_seconds=0, now=START).then(claimed(retraining.LEASE_SECONDS / 3600))
    assert one.state.deadline_missed


def test_an_alert_gives_its_deadline_and_its_severity() -> None:
    rule = types.AlertRule(id="r", when="failed", retrain_within_seconds=3600)
    monitor = types.Monitor(name=MONITOR, checks=[check(types.METHOD_VOLUME, 1, id="rows")], rules=[rule])
    alert = types.Alert(name=f"{MONITOR}/alerts/1", rule="r", check="rows", version=VERSION)
    alert.severity = types.SEVERITY_CRITICAL
    event = retraining.request_for_alert(types.Retraining(), monitor, alert=alert, now=START)
    assert isinstance(event, facts.RetrainingRequested)
    assert event.deadline_time.ToDatetime(tzinfo=START.tzinfo) == START + timedelta(hours=1)
    assert event.severity == types.SEVERITY_CRITICAL


def open_alert(**fields: Any) -> types.Alert:
    alert = types.Alert(name=f"{MONITOR}/alerts/1", check="floor", version=VERSION, state=types.ALERT_STATE_FIRING)
    alert.create_time.FromDatetime(START)
    alert.MergeFrom(types.Alert(**fields))
    return alert


def watching(after_seconds: int = 3600) -> types.Monitor:
    floor = check(
        types.METHOD_ACCURACY,
        0.8,
        id="floor",
        actions=[types.ACTION_PROPOSE_RETIREMENT],
        retire_after_seconds=after_seconds,
    )
    return types.Monitor(name=MONITOR, checks=[floor])


def test_a_version_below_its_floor_for_long_is_proposed_once_and_people_decide() -> None:
    one = life(RETIREMENT, f"{MONITOR}/retirements/1")
    propose = partial(retirement.propose, now=START + timedelta(minutes=59))
    one.when(propose, open_alert(), watching()).then_refused("NOT_DUE")
    due = partial(retirement.propose, now=START + timedelta(hours=1))
    one.when(due, open_alert(state=types.ALERT_STATE_RESOLVED), watching()).then_refused("NOT_DUE")
    one.when(due, open_alert(), types.Monitor(name=MONITOR)).then_refused("NOT_DUE")
    event = one.when(due, open_alert(), watching()).event
    assert isinstance(event, later.RetirementProposed)
    assert (event.version, event.evidence.check) == (VERSION, "floor")
    one.given(event)
    with pytest.raises(Invalid, match="why the version stays"):
        retirement.decline(one.state, reason="")
    one.when(retirement.decline, reason="season").then(later.RetirementDeclined())
    one.given(later.RetirementAccepted(), by="users/eva")
    assert (one.state.state, one.state.decided_by) == (messages.RETIREMENT_STATE_ACCEPTED, "users/eva")
    one.when(retirement.accept).then_nothing()
    with pytest.raises(NotAllowedNow, match="users/eva has decided"):
        retirement.decline(one.state, reason="late")


async def test_many_workers_get_each_retraining_once_the_severest_first(live: Station) -> None:
    await live.register(VERSION)
    severe = check(
        types.METHOD_VOLUME, 100, id="rows", severity=types.SEVERITY_CRITICAL, actions=[types.ACTION_RETRAIN]
    )
    names = [f"projects/risk/monitors/m{at}" for at in range(4)]
    for name in names:
        await live.create(severe, window=BY_10, name=name)
    for name in names[:3]:
        made = await live.call("RequestRetraining", parent=name, version=VERSION)
        await live.live.rooms.resources.wait(made.revision)
    await live.send(batch("b1", [1.0] * 10))

    async def all_open() -> bool:
        reply = await live.call("ListRetrainings", parent="projects/risk/monitors/-")
        return len(reply.retrainings) == 4

    await eventually(all_open)
    ask = partial(live.call, "ClaimRetraining", parent="projects/risk")
    first = await ask(request_id="a")
    assert first.name == f"{names[3]}/retrainings/1"  # An alert's, while the others were asked for by hand.
    await live.live.rooms.resources.wait(first.revision)
    assert await ask(request_id="a") == first
    others = await asyncio.gather(*(ask(request_id=f"w{at}", actor=f"users/w{at}") for at in range(6)))
    got = [one.name for one in others if one.name]
    assert sorted(got) == [f"{name}/retrainings/1" for name in names[:3]]


async def test_the_clock_gives_claims_back_tells_deadlines_and_proposes(live: Station) -> None:
    await live.register(VERSION)
    floor = check(
        types.METHOD_VOLUME,
        100,
        id="floor",
        actions=[types.ACTION_RETRAIN, types.ACTION_PROPOSE_RETIREMENT],
        retrain_within_seconds=1,
        retire_after_seconds=1,
    )
    await live.create(floor, window=BY_10)
    await live.send(batch("b1", [1.0] * 10))

    async def claim() -> Any:
        reply = await live.call("ClaimRetraining", parent="projects/risk", lease_seconds=1)
        return reply if reply.name else None

    first = await eventually(claim)

    async def late() -> Any:
        found = await live.call("GetRetraining", name=first.name, read={"at_least": first.revision})
        return found if found.deadline_missed and found.state == types.RETRAINING_STATE_REQUESTED else None

    assert (await eventually(late)).claimed_by == ""

    async def proposed() -> Any:
        return (await live.call("ListRetirements", parent=MONITOR)).retirements

    (proposal,) = await eventually(proposed)
    assert (proposal.version, proposal.alert) == (VERSION, f"{MONITOR}/alerts/1")
    declined = await live.call("DeclineRetirement", name=proposal.name, reason="season")
    await asyncio.sleep(1.5)
    (proposal,) = (await live.call("ListRetirements", parent=MONITOR, read={"at_least": declined.revision})).retirements
    assert proposal.state == messages.RETIREMENT_STATE_DECLINED


def test_claiming_is_refused_when_it_has_ended() -> None:
    one = life(RETRAINING, NAME).given(requested(), facts.RetrainingAbandoned())
    with pytest.raises(NotAllowedNow, match="request another"):
        retraining.claim(one.state, lease_seconds=1, now=START)
    started = life(RETRAINING, NAME).given(requested(), facts.RetrainingStarted(run="r"))
    with pytest.raises(Conflict, match="does not wait"):
        retraining.claim(started.state, lease_seconds=1, now=START)
