"""Approvals that run out, and reviews in somebody else's place."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import PROJECT
from services.registry.domain.delegations import MOST_DELEGATIONS, delegate_reviews, end_delegation
from services.registry.domain.gates import judge
from testkit.scenario import START, Life, Outcome, life
from tests.registry.build import (
    ADA,
    BEN,
    CAT,
    MODEL_NAME,
    NOW,
    PROJECT_NAME,
    at,
    policy,
    project,
    project_created,
    registered,
    rule,
)
from tests.registry.governing import after, moving, requested, reviewed

DAN = "users/dan"
DAY = timedelta(days=1)
SHORT = project(rule(reviews=1, approval_valid_seconds=86_400))
BY_ROLE = types.TransitionRule(
    to_stage="testing",
    required_reviews=[types.RequiredReview(kind=types.REVIEW_KIND_GENERAL, count=1, role="approver")],
)


def stamp(moment: Any) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(moment)
    return time


def delegated(
    within: Life, by: str = BEN, to: str = CAT, *, until: Any = NOW + DAY, now: Any = NOW, **words: Any
) -> Outcome:
    given: dict[str, Any] = {"kind": types.REVIEW_KIND_UNSPECIFIED, "model": "", "actors": [by], **words}
    return within.when(delegate_reviews, delegate=to, expire_time=stamp(until), now=now, **given)


def office(**words: Any) -> Life:
    """A project whose approver is ben, and who lets cat review in his place."""
    one = life(PROJECT, PROJECT_NAME).given(
        project_created,
        facts.PolicySet(policy=policy(BY_ROLE)),
        facts.RoleGranted(principal=BEN, role="approver"),
    )
    return after(one, delegated(one, **words), by=BEN)


def test_an_approval_counts_until_it_runs_out() -> None:
    version = requested(registered(), SHORT)
    after(version, reviewed(version, SHORT, BEN), by=BEN)
    given = version.state.transition.reviews[0].review_time.ToDatetime(NOW.tzinfo)
    assert moving(version, SHORT, now=given + DAY - timedelta(microseconds=1)).event is not None
    outcome = moving(version, SHORT, now=given + DAY)
    outcome.then_refused("APPROVAL_REQUIRED")
    assert outcome.refusal is not None
    assert f"{given + DAY:%Y-%m-%dT%H:%M:%SZ}" in outcome.refusal.metadata["general"]
    gates = judge(version.state, "testing", at(SHORT, now=given + DAY)).gates
    assert BEN in next(one for one in gates if one.name == "general").evidence["expired"]


def test_who_approved_before_can_approve_once_more_when_it_ran_out() -> None:
    version = requested(registered(), SHORT)
    after(version, reviewed(version, SHORT, BEN, now=START), by=BEN)
    given = version.state.transition.reviews[0].review_time.ToDatetime(NOW.tzinfo)
    reviewed(version, SHORT, BEN, now=given + DAY / 2).then_nothing()
    renewed = reviewed(version, SHORT, BEN, now=given + DAY).event
    assert isinstance(renewed, facts.ReviewSubmitted)
    assert renewed.state == types.TRANSITION_STATE_APPROVED


def test_of_several_rules_the_shortest_time_counts() -> None:
    both = project(rule(reviews=1, approval_valid_seconds=10 * 86_400), rule(approval_valid_seconds=3600), rule())
    version = requested(registered(), both)
    after(version, reviewed(version, both, BEN), by=BEN)
    given = version.state.transition.reviews[0].review_time.ToDatetime(NOW.tzinfo)
    moving(version, both, now=given + timedelta(hours=1)).then_refused("APPROVAL_REQUIRED")


def test_a_delegate_reviews_in_the_place_of_who_holds_the_role() -> None:
    within = office().state
    version = requested(registered(), within)
    own = reviewed(version, within, CAT)
    assert isinstance(own.event, facts.ReviewSubmitted)
    assert own.event.state == types.TRANSITION_STATE_OPEN
    after(version, reviewed(version, within, CAT, delegated_by=BEN), by=CAT)
    (review,) = version.state.transition.reviews
    assert (review.reviewer, review.delegated_by, review.delegation) == (CAT, BEN, 1)
    event = moving(version, within).event
    assert isinstance(event, facts.StageChanged)
    assert dict(event.verdict.answered_for) == {CAT: BEN}
    assert next(one for one in event.verdict.gates if one.name == "general").evidence["reviewers"] == f"{CAT} for {BEN}"
    assert set(event.approving_people) == {BEN, CAT}
    del within.roles[:]
    moving(version, within).then_refused("APPROVAL_REQUIRED")


def test_who_delegated_and_who_answered_are_one_review() -> None:
    two = project(rule(reviews=2))
    two.delegations.add(number=1, delegated_by=BEN, delegate=CAT, expire_time=stamp(NOW + DAY))
    version = requested(registered(), two)
    after(version, reviewed(version, two, BEN), by=BEN)
    after(version, reviewed(version, two, CAT, delegated_by=BEN), by=CAT)
    moving(version, two).then_refused("APPROVAL_REQUIRED")
    after(version, reviewed(version, two, DAN), by=DAN)
    assert moving(version, two).event is not None


@pytest.mark.parametrize(("by", "to"), [(BEN, ADA), (ADA, CAT)])
def test_neither_side_may_have_made_the_version(by: str, to: str) -> None:
    within = project(rule(reviews=1))
    within.delegations.add(number=1, delegated_by=by, delegate=to, expire_time=stamp(NOW + DAY))
    version = requested(registered(), within)
    reviewed(version, within, to, delegated_by=by).then_refused("SEPARATION_OF_DUTIES")


def test_only_what_was_delegated_and_while_it_lasts() -> None:
    for words, reviewer, seat in (
        ({"kind": types.REVIEW_KIND_FAIRNESS}, CAT, BEN),
        ({"model": f"{MODEL_NAME}-2"}, CAT, BEN),
        ({"to": DAN}, CAT, BEN),
        ({}, CAT, DAN),
        ({}, BEN, CAT),
    ):
        within = office(**words).state
        version = requested(registered(), within)
        reviewed(version, within, reviewer, delegated_by=seat).then_refused("NOT_DELEGATED")
    within = office(model=MODEL_NAME, kind=types.REVIEW_KIND_GENERAL).state
    version = requested(registered(), within)
    reviewed(version, within, CAT, delegated_by=BEN, now=NOW + DAY).then_refused("NOT_DELEGATED")
    assert reviewed(version, within, CAT, delegated_by=BEN, now=NOW + DAY - timedelta(seconds=1)).event is not None


def test_what_was_delegated_is_not_passed_on() -> None:
    one = office()
    within = after(one, delegated(one, by=CAT, to=DAN), by=CAT).state
    version = requested(registered(), within)
    reviewed(version, within, DAN, delegated_by=BEN).then_refused("NOT_DELEGATED")
    after(version, reviewed(version, within, DAN, delegated_by=CAT), by=DAN)
    moving(version, within).then_refused("APPROVAL_REQUIRED")


def test_people_delegate_in_person_to_people_for_some_time() -> None:
    one = life(PROJECT, PROJECT_NAME).given(project_created)
    delegated(one, actors=[BEN, CAT], to=DAN).then_refused("DELEGATE_IN_PERSON")
    delegated(one, by="serviceaccounts/bot").then_refused("DELEGATE_IN_PERSON")
    delegated(one, to="serviceaccounts/bot").then_refused("DELEGATE_IN_PERSON")
    delegated(one, to=BEN).then_refused("SELF_DELEGATION")
    delegated(one, model="projects/other/models/m").then_refused("INVALID_REQUEST")
    delegated(one, until=NOW).then_refused("INVALID_REQUEST")
    delegated(one, until=NOW + 91 * DAY).then_refused("INVALID_REQUEST")
    after(one, delegated(one), by=BEN)
    delegated(one).then_nothing()


def test_either_side_ends_a_delegation_and_its_number_is_not_used_again() -> None:
    one = office()
    one.when(end_delegation, delegation=1, actors=[DAN]).then_refused("NOT_YOUR_OWN")
    one.when(end_delegation, delegation=2, actors=[BEN]).then_refused("DELEGATION_NOT_FOUND")
    after(one, one.when(end_delegation, delegation=1, actors=[CAT]), by=CAT)
    assert not one.state.delegations
    one.when(end_delegation, delegation=1, actors=[CAT]).then_nothing()
    after(one, delegated(one), by=BEN)
    assert [kept.number for kept in one.state.delegations] == [2]


def test_delegations_that_ran_out_make_room() -> None:
    one = life(PROJECT, PROJECT_NAME).given(project_created)
    for number in range(MOST_DELEGATIONS):
        after(one, delegated(one, to=f"users/u{number}", until=START + 80 * DAY, now=START), by=BEN)
    delegated(one, now=START).then_refused("INVALID_REQUEST")
    delegated(one, until=START + DAY, now=START).then_refused("TOO_MANY_DELEGATIONS")
    assert delegated(one).event is not None
    one.revision += 24 * 100
    after(one, delegated(one), by=BEN)
    assert [(kept.number, kept.delegate) for kept in one.state.delegations] == [(MOST_DELEGATIONS + 1, CAT)]
