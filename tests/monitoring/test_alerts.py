"""Alerts of rules, and silences: what is told to whom, and when it is not."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.access.v1.types_pb2 import KnownProject
from modelog.monitoring.v1 import alert_events_pb2 as later
from modelog.monitoring.v1 import alerts_pb2 as rpc
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import ALERT, SILENCE
from services.monitoring.domain import alert as alerts
from services.monitoring.domain import silence as silences
from testkit.scenario import START, Life, life
from tests.monitoring.build import MONITOR as NAME
from tests.monitoring.build import NEXT_VERSION, VERSION
from tests.monitoring.test_rules import MORE, ROWS, Watch, rule

ALERT_NAME = f"{NAME}/alerts/1"
PROJECT = "projects/risk"
HOUR = timedelta(hours=1)
CRITICAL = types.SEVERITY_CRITICAL
ESCALATING = rule(
    group_by=[], reopen_within_seconds=7200, actions=[types.ACTION_RETRAIN], escalate_after_seconds=60,
    escalate_to="groups/risk",
)  # fmt: skip


def silence(name: str = "1", **fields: Any) -> rpc.Silence:
    """One that holds for two hours from START on."""
    made = rpc.Silence(name=f"{PROJECT}/silences/{name}", **fields)
    made.start_time.FromDatetime(START)
    made.end_time.FromDatetime(START + 2 * HOUR)
    return made


def raised(watch: Watch, *held: rpc.Silence, now: datetime = START) -> Life:
    """The alert that the next window opens."""
    event = watch.record(0, 30)
    one = life(ALERT, ALERT_NAME)
    outcome = one.when(alerts.raise_, monitor=NAME, evaluated=event, episode=event.opened[0], silences=held, now=now)
    assert isinstance(outcome.event, facts.AlertRaised)
    return one.given(outcome.event)


def test_an_alert_of_a_rule_tells_its_members_and_what_is_to_follow() -> None:
    alert = raised(Watch(ESCALATING, checks=(ROWS, MORE))).state
    assert (alert.rule, alert.check, alert.severity) == ("rule", "more", types.SEVERITY_WARNING)
    assert [(one.check, one.statistic) for one in alert.members] == [("more", 30.0)]
    assert (list(alert.actions), alert.escalate_to) == ([types.ACTION_RETRAIN], "groups/risk")


def test_what_joins_is_told_once() -> None:
    watch = Watch(ESCALATING, checks=(ROWS, MORE))
    one, event = raised(watch), watch.record(1, 5)
    join = partial(alerts.join, evaluated=event, episode=event.joined[0], now=START)
    joined = later.AlertJoined(members=[types.AlertMember(check="rows", statistic=5.0)], window=2)
    one.when(join).then(joined)
    one.given(joined).when(join).then_nothing()
    assert [member.check for member in one.state.members] == ["more", "rows"]


def test_what_joins_an_alert_that_somebody_ended_opens_it_again() -> None:
    watch = Watch(ESCALATING, checks=(ROWS, MORE))
    one, event = raised(watch), watch.record(1, 5)
    one.given(facts.AlertResolved(resolution=types.RESOLUTION_BY_HAND))
    again = one.when(alerts.join, evaluated=event, episode=event.joined[0], now=START).event
    assert isinstance(again, later.AlertReopened)
    one.given(again)
    assert (one.state.state, one.state.resolved_by) == (types.ALERT_STATE_FIRING, "")


def test_an_alert_that_opens_again_is_nobodys_and_waits_anew() -> None:
    watch = Watch(ESCALATING, checks=(ROWS, MORE))
    one = raised(watch)
    one.given(facts.AlertAcknowledged(note="mine"), later.AlertEscalated(severity=CRITICAL, to="users/bob"))
    watch.record(1, 60)
    one.given(facts.AlertResolved(resolution=types.RESOLUTION_RECOVERED, window=2))
    event = watch.record(2, 5)
    reopen = partial(alerts.reopen, evaluated=event, episode=event.opened[0], now=START)
    again = one.when(reopen).event
    assert isinstance(again, later.AlertReopened)
    assert (again.version, again.check, again.severity) == (VERSION, "rows", CRITICAL)
    assert (again.window.number, again.escalate_after_seconds) == (3, 60)
    one.given(again).when(reopen).then_nothing()
    state = one.state
    assert (state.state, state.reopenings, state.reopen_window) == (types.ALERT_STATE_FIRING, 1, 3)
    assert (state.acknowledged_by, state.escalated_to, state.HasField("escalate_time")) == ("", "", False)
    assert state.resolution == types.RESOLUTION_UNSPECIFIED
    assert state.window.number == 1


def test_an_alert_is_escalated_upwards_only() -> None:
    one = raised(Watch(ESCALATING, checks=(ROWS, MORE)))
    escalate = partial(alerts.escalate, now=START)
    one.when(escalate, severity=0, to="").then_refused("INVALID_REQUEST")
    up = later.AlertEscalated(severity=CRITICAL, to="users/bob")
    one.when(escalate, severity=CRITICAL, to="users/bob").then(up)
    one.given(up).when(escalate, severity=0, to="users/bob").then_nothing()
    one.when(escalate, severity=types.SEVERITY_WARNING, to="").then_refused("SEVERITY_LOWERED")
    one.when(escalate, severity=0, to="users/eve").then(later.AlertEscalated(severity=CRITICAL, to="users/eve"))
    one.given(facts.AlertResolved()).when(escalate, severity=CRITICAL, to="").then_refused("ALERT_RESOLVED")
    life(ALERT, ALERT_NAME).when(escalate, severity=CRITICAL, to="").then_refused("ALERT_NOT_FOUND")


def test_what_nobody_acknowledges_is_escalated_once() -> None:
    one = raised(Watch(ESCALATING, checks=(ROWS, MORE)))
    overdue = partial(alerts.escalate_overdue, now=START)
    up = later.AlertEscalated(severity=CRITICAL, to="groups/risk")
    one.when(overdue).then(up)
    one.given(up).when(overdue).then_nothing()
    taken = raised(Watch(ESCALATING, checks=(ROWS, MORE))).given(facts.AlertAcknowledged())
    taken.when(overdue).then_nothing()


@pytest.mark.parametrize(
    ("fields", "matches"),
    [
        ({}, True),
        ({"monitor": NAME, "version": VERSION, "rule": "rule", "check": "more"}, True),
        ({"monitor": f"{PROJECT}/monitors/other"}, False),
        ({"version": NEXT_VERSION}, False),
        ({"rule": "other"}, False),
        ({"check": "rows"}, False),
        ({"most_severity": types.SEVERITY_WARNING}, True),
        ({"ended_by": "users/ada"}, False),
    ],
)
def test_a_silence_holds_for_what_it_matches(fields: dict[str, Any], matches: bool) -> None:
    event = raised(Watch(ESCALATING, checks=(ROWS, MORE)), silence(**fields)).facts[0]
    alert = facts.AlertRaised.FromString(event.event.value)
    assert (alert.silent, list(alert.silences)) == (matches, [f"{PROJECT}/silences/1"] * matches)
    # Nobody hears of it, yet what follows from it does, unless the silence wants otherwise.
    assert (alert.held, list(alert.actions)) == (False, [types.ACTION_RETRAIN])


def test_a_silence_holds_while_it_lasts_and_up_to_its_severity() -> None:
    def silent(now: datetime, **fields: Any) -> bool:
        return bool(raised(Watch(rule("value < 50.0")), silence(**fields), now=now).state.silences)

    assert [silent(START + hours * HOUR) for hours in (-1, 0, 1, 2)] == [False, True, True, False]
    assert not silent(START, most_severity=types.SEVERITY_WARNING)  # The check is critical.


def test_a_silence_may_hold_back_what_follows() -> None:
    one = raised(Watch(ESCALATING, checks=(ROWS, MORE)), silence(hold_actions=True))
    alert = facts.AlertRaised.FromString(one.facts[0].event.value)
    assert (alert.silent, alert.held, list(alert.actions)) == (True, True, [])


def test_whatever_happens_to_a_silenced_alert_is_silent() -> None:
    watch, held = Watch(ESCALATING, checks=(ROWS, MORE)), silence(most_severity=types.SEVERITY_WARNING)
    one = raised(watch, held)
    keywords: dict[str, Any] = {"silences": [held], "now": START}
    one.when(alerts.acknowledge, note="", **keywords).then(facts.AlertAcknowledged(silent=True))
    one.when(alerts.resolve, resolution=types.RESOLUTION_BY_HAND, **keywords).then(
        facts.AlertResolved(resolution=types.RESOLUTION_BY_HAND, silent=True)
    )
    one.when(alerts.escalate, severity=0, to="users/bob", **keywords).then(
        later.AlertEscalated(severity=types.SEVERITY_WARNING, to="users/bob", silent=True)
    )
    # What has become worse than the silence allows is told.
    one.when(alerts.escalate_overdue, **keywords).then(later.AlertEscalated(severity=CRITICAL, to="groups/risk"))
    event = watch.record(1, 5)
    joined = one.when(alerts.join, evaluated=event, episode=event.joined[0], **keywords).event
    assert isinstance(joined, later.AlertJoined)
    assert joined.silent


def test_an_alert_is_told_of_when_its_silences_are_over_unless_somebody_has_taken_it() -> None:
    held = silence()
    one = raised(Watch(ESCALATING, checks=(ROWS, MORE)), held)
    unsilence = partial(alerts.unsilence, silences=[held])
    one.when(unsilence, now=START).then_nothing()
    loud = later.AlertUnsilenced(severity=types.SEVERITY_WARNING, version=VERSION, check="more")
    one.when(unsilence, now=START + 2 * HOUR).then(loud)
    one.given(loud).when(unsilence, now=START + 2 * HOUR).then_nothing()
    assert not one.state.silences
    until = Timestamp()
    until.FromDatetime(START + 3 * HOUR)
    one.given(facts.AlertSilenced(until=until)).when(unsilence, now=START + 2 * HOUR).then_nothing()
    one.when(unsilence, now=START + 3 * HOUR).then(loud)
    one.given(facts.AlertAcknowledged()).when(unsilence, now=START + 3 * HOUR).then_nothing()
    raised(Watch(ESCALATING, checks=(ROWS, MORE))).when(unsilence, now=START + 3 * HOUR).then_nothing()


def request(until: datetime = START + HOUR, reason: str = "maintenance", **fields: Any) -> rpc.CreateSilenceRequest:
    made = rpc.CreateSilenceRequest(parent=PROJECT, reason=reason, **fields)
    made.end_time.FromDatetime(until)
    return made


def test_a_silence_has_an_end_a_reason_and_a_project() -> None:
    project = KnownProject(name=PROJECT)

    def create(state: rpc.Silence, asked: rpc.CreateSilenceRequest, known: KnownProject = project) -> Any:
        return silences.create(state, known, request=asked, now=START)

    one = life(SILENCE, f"{PROJECT}/silences/1")
    made = one.when(create, request(monitor=NAME, hold_actions=True)).event
    assert isinstance(made, later.SilenceCreated)
    assert made.start_time.ToDatetime() == START.replace(tzinfo=None)
    one.when(create, request(until=START)).then_refused("SILENCE_IN_THE_PAST")
    one.when(create, request(until=START + timedelta(days=91))).then_refused("SILENCE_TOO_LONG")
    one.when(create, request(reason="")).then_refused("INVALID_REQUEST")
    one.when(create, request(), KnownProject()).then_refused("PROJECT_NOT_FOUND")
    one.given(made)
    assert (one.state.monitor, one.state.created_by, one.state.hold_actions) == (NAME, "users/ada", True)


def test_a_silence_is_ended_once_and_not_after_its_end() -> None:
    created = later.SilenceCreated()
    created.end_time.FromDatetime(START + HOUR)
    one = life(SILENCE, f"{PROJECT}/silences/1").given(created)
    one.when(silences.end, now=START + HOUR).then_nothing()
    one.when(silences.end, now=START).then(later.SilenceEnded())
    one.given(later.SilenceEnded()).when(silences.end, now=START).then_nothing()
    assert one.state.ended_by == "users/ada"
    life(SILENCE, f"{PROJECT}/silences/2").when(silences.end, now=START).then_refused("SILENCE_NOT_FOUND")
