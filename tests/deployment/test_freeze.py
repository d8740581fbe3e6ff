"""Freezes: when they hold by the clocks of a place, what lifts them, which cannot be defined."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernel.errors import Refusal
from modelog.deployment.v1 import environments_pb2 as terms
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.environment_events_pb2 import FreezeLifted
from services.deployment.domain import ENVIRONMENT
from services.deployment.domain.environment import define
from services.deployment.domain.freeze import check_freeze, frozen, lift, used_lift
from testkit.scenario import life
from tests.deployment.build import ENDPOINT_NAME, ENVIRONMENT_NAME, environment

DAYS = {name: number for number, name in enumerate("mon tue wed thu fri sat sun".split(), 1)}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weekly(begin: str, end: str, zone: str = "Europe/Berlin", **more: Any) -> terms.Freeze:
    """`fri 17:00`."""
    from_day, from_time = begin.split()
    to_day, to_time = end.split()
    return terms.Freeze(
        **{"id": "weekends"} | more,
        weekly=terms.WeeklyFreeze(
            time_zone=zone,
            from_day=DAYS[from_day],  # type: ignore[arg-type]
            from_time=from_time,
            to_day=DAYS[to_day],  # type: ignore[arg-type]
            to_time=to_time,
        ),
    )


def once(begin: str, end: str, id_: str = "audit") -> terms.Freeze:
    freeze = terms.Freeze(id=id_, reason="the auditors are here")
    freeze.once.from_time.FromDatetime(at(begin))
    freeze.once.to_time.FromDatetime(at(end))
    return freeze


WEEKEND = weekly("fri 17:00", "mon 08:00", reason="nobody is here")


@pytest.mark.parametrize(
    ("freeze", "moment", "until"),
    [
        # In winter Berlin is one hour ahead, in summer two.
        (WEEKEND, "2026-01-16T15:59:59", ""),
        (WEEKEND, "2026-01-16T16:00", "2026-01-19T07:00"),
        (WEEKEND, "2026-01-19T06:59:59", "2026-01-19T07:00"),
        (WEEKEND, "2026-01-19T07:00", ""),
        (WEEKEND, "2026-07-17T14:59:59", ""),
        (WEEKEND, "2026-07-17T15:00", "2026-07-20T06:00"),
        # The weekend in which the clocks change begins in the one time and ends in the other.
        (WEEKEND, "2026-03-27T16:00", "2026-03-30T06:00"),
        (WEEKEND, "2026-03-30T06:00", ""),
        (WEEKEND, "2026-10-23T15:00", "2026-10-26T07:00"),
        (WEEKEND, "2026-10-26T06:30", "2026-10-26T07:00"),
        # It begins or ends in the hour that is skipped (02:00-03:00 on 29 March): longer rather than shorter.
        (weekly("sun 02:30", "sun 06:00"), "2026-03-29T00:30", "2026-03-29T04:00"),
        (weekly("sun 02:30", "sun 06:00"), "2026-03-29T00:29", ""),
        (weekly("sat 20:00", "sun 02:30"), "2026-03-29T01:29", "2026-03-29T01:30"),
        # And in the hour that comes twice (02:00-03:00 on 25 October): from the first time to the last.
        (weekly("sun 02:30", "sun 06:00"), "2026-10-25T00:30", "2026-10-25T05:00"),
        (weekly("sat 20:00", "sun 02:30"), "2026-10-25T00:45", "2026-10-25T01:30"),
        (weekly("sat 20:00", "sun 02:30"), "2026-10-25T01:30", ""),
        # Within one day, and over almost a whole week.
        (weekly("wed 12:00", "wed 13:00", "UTC"), "2026-07-15T12:30", "2026-07-15T13:00"),
        (weekly("wed 12:00", "wed 13:00", "UTC"), "2026-07-16T12:30", ""),
        (weekly("wed 13:00", "wed 12:00", "UTC"), "2026-07-15T12:30", ""),
        (weekly("wed 13:00", "wed 12:00", "UTC"), "2026-07-22T11:59", "2026-07-22T12:00"),
        # Where it is a day later or earlier than in Greenwich.
        (weekly("mon 00:00", "mon 06:00", "Pacific/Kiritimati"), "2026-07-19T10:00", "2026-07-19T16:00"),
        (weekly("sun 20:00", "sun 23:00", "Pacific/Honolulu"), "2026-07-20T06:30", "2026-07-20T09:00"),
        (once("2026-05-01T00:00", "2026-05-02T00:00"), "2026-04-30T23:59:59", ""),
        (once("2026-05-01T00:00", "2026-05-02T00:00"), "2026-05-01T00:00", "2026-05-02T00:00"),
        (once("2026-05-01T00:00", "2026-05-02T00:00"), "2026-05-02T00:00", ""),
    ],
)
def test_when_a_freeze_holds(freeze: terms.Freeze, moment: str, until: str) -> None:
    held = frozen(environment(freezes=[freeze]).state, at(moment))
    assert (held.until if held else None) == (at(until) if until else None)


def test_freezes_that_follow_each_other_are_told_as_one() -> None:
    both = environment(freezes=[WEEKEND, once("2026-01-19T06:00", "2026-01-21T00:00")])
    held = frozen(both.state, at("2026-01-17T12:00"))
    assert held is not None
    assert (held.freeze.id, held.until) == ("weekends", at("2026-01-21T00:00"))
    always = environment(freezes=[weekly("mon 00:00", "thu 00:00", "UTC"), weekly("thu 00:00", "mon 00:00", id="rest")])
    assert frozen(always.state, at("2026-01-17T12:00")) is not None


def test_a_refusal_says_until_when_and_why() -> None:
    with pytest.raises(Refusal, match=r"by weekends until 2026-01-19 07:00Z: nobody is here"):
        check_freeze(environment(freezes=[WEEKEND]).state, ENDPOINT_NAME, at("2026-01-17T12:00"))


def lifted(until: str, endpoint: str = "") -> FreezeLifted:
    event = FreezeLifted(lift=terms.FreezeLift(endpoint=endpoint, lifted_by="users/olga", reason="money is lost"))
    event.lift.until_time.FromDatetime(at(until))
    return event


def test_a_lift_opens_for_its_endpoint_and_its_time_only() -> None:
    now = at("2026-03-07T12:00")  # A Saturday; facts of tests are recorded from 1 March on.
    known = environment(freezes=[WEEKEND]).given(lifted("2026-03-07T13:00", ENDPOINT_NAME))
    check_freeze(known.state, ENDPOINT_NAME, now)
    assert used_lift(known.state, ENDPOINT_NAME, now) == known.state.freeze_lifts[0]
    assert used_lift(known.state, ENDPOINT_NAME, at("2026-03-06T12:00")) is None, "nothing is frozen on that Friday"
    for endpoint, moment in (("projects/risk/endpoints/other", now), (ENDPOINT_NAME, at("2026-03-07T13:00"))):
        with pytest.raises(Refusal):
            check_freeze(known.state, endpoint, moment)
    everywhere = environment(freezes=[WEEKEND]).given(lifted("2026-03-07T13:00"))
    check_freeze(everywhere.state, "projects/risk/endpoints/other", now)


def test_lifts_that_have_ended_go_with_the_next_one_and_one_stands_for_each_endpoint() -> None:
    ended, first, second = lifted("2026-03-01T10:00", "e1"), lifted("2026-03-07T13:00"), lifted("2026-03-08T13:00")
    known = environment().given(ended, first, second)
    assert [one.until_time.ToDatetime().day for one in known.state.freeze_lifts] == [8]


def test_lifting_takes_a_reason_and_an_environment() -> None:
    given = {"endpoint": "", "by": "users/olga", "now": at("2026-03-07T12:00"), "duration": timedelta()}
    expected = lifted("2026-03-07T13:00")
    environment().when(lift, reason="money is lost", **given).then(expected)
    environment().when(lift, reason="  ", **given).then_refused("INVALID_REQUEST")
    life(ENVIRONMENT, ENVIRONMENT_NAME).when(lift, reason="x", **given).then_refused("ENVIRONMENT_NOT_FOUND")
    gone = environment().given(facts.EnvironmentRemoved())
    gone.when(lift, reason="x", **given).then_refused("ENVIRONMENT_REMOVED")


@pytest.mark.parametrize(
    "freezes",
    [
        [weekly("fri 17:00", "mon 08:00", "Europe/Atlantis")],
        [weekly("fri 17:00", "mon 08:00", "../../etc/passwd")],
        [weekly("fri 17:00", "fri 17:00")],
        [WEEKEND, WEEKEND],
        [once("2026-05-02T00:00", "2026-05-01T00:00")],
        [once("2026-05-01T00:00", "2026-05-01T00:00")],
    ],
)
def test_freezes_that_make_no_sense_are_refused(freezes: list[terms.Freeze]) -> None:
    wanted = facts.EnvironmentChanged(freezes=freezes)
    environment().when(define, driver="", terms=wanted, drivers={"process": {}}).then_refused("INVALID_REQUEST")
