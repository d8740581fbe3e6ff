"""Alerts and retrainings: raised once, taken by somebody, ended for a reason."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import ALERT, RETRAINING
from services.monitoring.domain import alert as alerts
from services.monitoring.domain import monitor as monitors
from services.monitoring.domain import retraining as retrainings
from testkit.scenario import START, Life, life
from tests.monitoring.build import ENDPOINT, NEXT_VERSION, VERSION, check
from tests.monitoring.build import MONITOR as NAME

ALERT_NAME = f"{NAME}/alerts/1"
RETRAINING_NAME = f"{NAME}/retrainings/1"


def evaluated() -> facts.WindowEvaluated:
    """A window of five rows where ten are wanted."""
    monitor = types.Monitor(
        name=NAME,
        endpoint=ENDPOINT,
        state=types.MONITOR_STATE_ACTIVE,
        checks=[check(types.METHOD_VOLUME, 10, id="rows")],
    )
    window = types.Window(version=VERSION, track=types.TRACK_PREDICTIONS, rows=5)
    event = monitors.evaluate(
        monitor,
        types.KnownEndpoint(versions=[VERSION]),
        window=window,
        profiles=types.ProfileSet(rows=5),
        baseline=None,
    )
    assert isinstance(event, facts.WindowEvaluated)
    return event


def raise_again(state: types.Alert) -> Message | None:
    event = evaluated()
    return alerts.raise_(state, monitor=NAME, evaluated=event, episode=event.opened[0], now=START)


def raised() -> facts.AlertRaised:
    event = raise_again(types.Alert())
    assert isinstance(event, facts.AlertRaised)
    return event


def test_an_alert_says_what_failed_where() -> None:
    one = life(ALERT, ALERT_NAME).given(raised())
    state = one.state
    assert (state.endpoint, state.version, state.check, state.method) == (
        ENDPOINT,
        VERSION,
        "rows",
        types.METHOD_VOLUME,
    )
    assert (state.statistic, state.threshold, state.state) == (5.0, 10.0, types.ALERT_STATE_FIRING)
    assert [(one.check, one.statistic) for one in state.members] == [("rows", 5.0)]
    one.when(raise_again).then_nothing()


def test_an_alert_is_acknowledged_silenced_and_resolved() -> None:
    one = life(ALERT, ALERT_NAME).given(raised())
    one.when(alerts.acknowledge, note="mine", now=START).then(facts.AlertAcknowledged(note="mine"))
    one.given(facts.AlertAcknowledged(note="mine"))
    assert (one.state.state, one.state.acknowledged_by) == (types.ALERT_STATE_ACKNOWLEDGED, "users/ada")
    one.when(alerts.acknowledge, note="mine", now=START).then_nothing()

    until = Timestamp()
    until.FromDatetime(START + timedelta(hours=1))
    one.when(alerts.silence, until=until, now=START).then(facts.AlertSilenced(until=until))
    one.when(alerts.silence, until=until, now=START + timedelta(hours=1)).then_refused("SILENCE_IN_THE_PAST")
    one.given(facts.AlertSilenced(until=until)).when(alerts.silence, until=until, now=START).then_nothing()

    by_hand = facts.AlertResolved(resolution=types.RESOLUTION_BY_HAND, silent=True)
    one.when(alerts.resolve, resolution=types.RESOLUTION_BY_HAND, now=START).then(by_hand)
    one.given(by_hand)
    assert (one.state.state, one.state.resolved_by) == (types.ALERT_STATE_RESOLVED, "users/ada")
    one.when(alerts.resolve, resolution=types.RESOLUTION_RECOVERED, window=3, now=START).then_nothing()
    one.when(alerts.acknowledge, note="late", now=START).then_refused("ALERT_RESOLVED")
    one.when(alerts.silence, until=until, now=START).then_refused("ALERT_RESOLVED")


@pytest.mark.parametrize(
    "verb",
    [
        partial(alerts.acknowledge, note="", now=START),
        partial(alerts.silence, until=Timestamp(), now=START),
        partial(alerts.resolve, resolution=types.RESOLUTION_BY_HAND, now=START),
    ],
)
def test_an_alert_that_is_not_there_is_not_found(verb: Any) -> None:
    life(ALERT, ALERT_NAME).when(verb).then_refused("ALERT_NOT_FOUND")


def requested() -> Life:
    fact = facts.RetrainingRequested(alert=ALERT_NAME, endpoint=ENDPOINT, version=VERSION)
    return life(RETRAINING, RETRAINING_NAME).given(fact)


def test_an_alert_requests_a_retraining_with_its_evidence() -> None:
    alert = life(ALERT, ALERT_NAME).given(raised()).state
    fact = life(RETRAINING, RETRAINING_NAME).when(
        partial(retrainings.request_for_alert, alert=alert, now=START), types.Monitor(name=NAME)
    )
    assert isinstance(fact.event, facts.RetrainingRequested)
    assert (fact.event.alert, fact.event.version, fact.event.evidence.check) == (ALERT_NAME, VERSION, "rows")


def test_a_retraining_by_hand_needs_a_version_that_is_there() -> None:
    verb = partial(retrainings.request_by_hand, version_name=VERSION, within_seconds=0, now=START)
    one = life(RETRAINING, RETRAINING_NAME)
    known, watched = types.KnownVersion(name=VERSION), types.Monitor(name=NAME, endpoint=ENDPOINT)
    one.when(verb, watched, known).then(facts.RetrainingRequested(endpoint=ENDPOINT, version=VERSION))
    one.when(verb, watched, types.KnownVersion()).then_refused("VERSION_NOT_FOUND")
    one.when(verb, types.Monitor(), known).then_refused("MONITOR_NOT_FOUND")


def test_a_retraining_is_taken_by_one_and_answered_by_a_version_of_the_same_model() -> None:
    one = requested()
    one.when(retrainings.start, run="job/7", by="users/ada").then(facts.RetrainingStarted(run="job/7"))
    one.given(facts.RetrainingStarted(run="job/7"))
    one.when(retrainings.start, run="job/7", by="users/ada").then_nothing()
    one.when(retrainings.start, run="job/8", by="users/ada").then(facts.RetrainingStarted(run="job/8"))
    one.when(retrainings.start, run="job/9", by="users/bob").then_refused("RETRAINING_TAKEN")
    stranger = "projects/risk/models/churn/versions/1"
    one.when(retrainings.answer, version=stranger).then_refused("ANSWER_OF_ANOTHER_MODEL")
    answered = facts.RetrainingAnswered(version=NEXT_VERSION)
    one.when(retrainings.answer, version=NEXT_VERSION).then(answered)
    one.given(answered).when(retrainings.answer, version=NEXT_VERSION).then_nothing()
    one.when(retrainings.answer, version="projects/risk/models/fraud/versions/3").then_refused("RETRAINING_ENDED")
    one.when(retrainings.start, run="", by="users/ada").then_refused("RETRAINING_ENDED")
    one.when(retrainings.abandon, reason="no").then_refused("RETRAINING_ENDED")


def test_a_retraining_is_given_up_with_a_reason() -> None:
    one = requested()
    one.when(retrainings.abandon, reason="").then_refused("INVALID_REQUEST")
    one.when(retrainings.abandon, reason="no data").then(facts.RetrainingAbandoned())
    one.given(facts.RetrainingAbandoned()).when(retrainings.abandon, reason="no data").then_nothing()
    life(RETRAINING, RETRAINING_NAME).when(retrainings.abandon, reason="x").then_refused("RETRAINING_NOT_FOUND")
