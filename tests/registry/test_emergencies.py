"""Emergencies: a role taken for an hour, in person, with a reason; reviewed by somebody else, or approvals freeze."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from access.decision import decide
from access.grants import grants_of
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import PROJECT
from services.registry.domain.access import NOWHERE
from services.registry.domain.emergencies import declare_emergency, review_emergency
from services.registry.domain.gates import judge
from services.registry.domain.transition import change_stage, request_transition, submit_review
from testkit.scenario import START, Life, Outcome, life
from tests.registry.build import ADA, BEN, CAT, PROJECT_NAME, at, project_created, registered

BOT = "serviceaccounts/bot"
HOUR = timedelta(hours=1)
# The first fact of a life comes an hour after its start, and each next one an hour later.
NOW = START + 3 * HOUR


def stamp(time: Any) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(time)
    return made


def risk(*events: Any) -> Life:
    return life(PROJECT, PROJECT_NAME).given(project_created, *events)


def taken(number: int = 1, role: str = "operator", until: Any = NOW + HOUR) -> facts.EmergencyDeclared:
    return facts.EmergencyDeclared(number=number, role=role, expire_time=stamp(until))


def declare(project: Life, *actors: str, **words: Any) -> Outcome:
    given = {"role": "operator", "duration": HOUR, "reason": "it burns", "now": NOW, **words}
    return project.when(declare_emergency, actors=actors, **given)


def review(project: Life, *actors: str, **words: Any) -> Outcome:
    given = {"emergency": 1, "justified": True, "comment": "", **words}
    return project.when(review_emergency, actors=actors, **given)


def test_a_person_takes_a_role_until_its_time_is_over() -> None:
    declare(risk(), CAT).then(taken())
    own = facts.RoleDefined(role="firefighter", definition={"permissions": ["deployment.rollouts.rollback"]})
    declare(risk(own), CAT, role="firefighter").then(taken(role="firefighter"))
    start = risk().given(taken(), by=CAT)
    declare(start, BEN).then(taken(2))
    permission, among = "deployment.rollouts.rollback", [grants_of(PROJECT_NAME, start.state)]
    assert decide(CAT, permission, PROJECT_NAME, among, NOW).allowed
    assert decide(CAT, permission, PROJECT_NAME, among, NOW + HOUR).reason == "GRANT_EXPIRED"


@pytest.mark.parametrize("role", ["validator", "approver", "auditor", "admin", "rules", "looks"])
def test_some_roles_are_never_taken(role: str) -> None:
    rules = facts.RoleDefined(role="rules", definition={"permissions": ["registry.projects.set_policy"]})
    looks = facts.RoleDefined(role="looks", definition={"permissions": ["registry.reviews.submit"]})
    declare(risk(rules, looks), CAT, role=role).then_refused("NOT_IN_EMERGENCIES")


@pytest.mark.parametrize("actors", [[BOT], [CAT, BEN], ["services/deployment"], [BOT, CAT]])
def test_an_emergency_is_declared_in_person(actors: list[str]) -> None:
    declare(risk(facts.ServiceAccountRegistered(account=BOT, owner=CAT)), *actors).then_refused("EMERGENCY_IN_PERSON")


@pytest.mark.parametrize("words", [{"reason": "  "}, {"duration": HOUR * 1.01}, {"duration": timedelta()}])
def test_an_emergency_is_short_and_says_why(words: dict[str, Any]) -> None:
    declare(risk(), CAT, **words).then_refused("INVALID_REQUEST")


def test_one_emergency_runs_at_a_time() -> None:
    start = risk().given(taken(), by=CAT)
    declare(start, CAT, role="deployer").then_refused("EMERGENCY_RUNNING")
    over = risk().given(taken(until=NOW), by=CAT)
    declare(over, CAT).then(taken(2))
    reviewed = start.given(facts.EmergencyReviewed(number=1, justified=True), by=BEN)
    declare(reviewed, CAT).then(taken(2))
    declare(risk(), CAT, role="king").then_refused("ROLE_NOT_FOUND")
    declare(life(PROJECT, PROJECT_NAME), CAT).then_refused("PROJECT_NOT_FOUND")


def test_emergencies_that_nobody_reviewed_are_not_forgotten_and_not_without_limit() -> None:
    start = risk()
    for number in range(1, 51):
        start.given(taken(number), by=f"users/u{number}")
    declare(start, CAT).then_refused("TOO_MANY_EMERGENCIES")
    start.given(facts.EmergencyReviewed(number=7), by=BEN)
    declare(start, CAT).then(taken(51))
    state = start.given(taken(51), by=CAT).state
    assert [one.number for one in state.emergencies] == [*range(1, 7), *range(8, 52)]


def test_somebody_else_reviews_it_and_a_role_that_runs_ends() -> None:
    said = facts.EmergencyReviewed(number=1, justified=True, comment="right")
    start = risk().given(taken(), by=CAT)
    review(start, BEN, comment="right").then(said)
    state = start.given(said, by=BEN).state
    assert not state.roles
    assert (state.emergencies[0].reviewed_by, state.emergencies[0].justified) == (BEN, True)
    review(start, BEN, comment="right").then_nothing()
    review(start, BEN, justified=False, comment="right").then_refused("EMERGENCY_REVIEWED")
    review(start, ADA).then_refused("EMERGENCY_REVIEWED")
    review(start, BEN, emergency=2).then_refused("EMERGENCY_NOT_FOUND")
    review(life(PROJECT, PROJECT_NAME), BEN).then_refused("PROJECT_NOT_FOUND")


@pytest.mark.parametrize("actors", [[CAT], [BOT], [BEN, CAT], [BEN, BOT], ["serviceaccounts/above"]])
def test_nobody_reviews_their_own_by_whatever_account(actors: list[str]) -> None:
    start = risk(facts.ServiceAccountRegistered(account=BOT, owner=CAT)).given(taken(), by=CAT)
    above = life(PROJECT, "projects/all").given(
        project_created, facts.ServiceAccountRegistered(account="serviceaccounts/above", owner=CAT)
    )
    outcome = start.when(review_emergency, above.state, actors=actors, emergency=1, justified=True, comment="")
    outcome.then_refused("SEPARATION_OF_DUTIES")


def approve(version: Life, within: Any, now: Any, above: Any = NOWHERE, decision: Any = 1) -> Outcome:
    return version.when(
        submit_review, within, above, transition=1, reviewers=[BEN], kind=types.REVIEW_KIND_GENERAL,
        decision=decision, comment="", evidence=[], now=now,
    )  # fmt: skip


def test_an_emergency_that_nobody_reviewed_freezes_approvals_after_a_day() -> None:
    start = risk().given(taken(), by=CAT)
    declared = start.state.emergencies[0].start_time.ToDatetime(START.tzinfo)
    soon, late = declared + timedelta(hours=23, minutes=59), declared + timedelta(hours=24)
    version = registered()
    for stage, phase in (("testing", types.PHASE_TESTING), ("staging", types.PHASE_STAGING)):
        version.given(facts.StageChanged(to_stage=stage, to_phase=phase))
    asked = version.when(request_transition, start.state, now=late, to_stage="production").event
    assert asked is not None
    version.given(asked)
    assert approve(version, start.state, soon).event is not None
    assert version.when(change_stage, start.state, now=soon, to_stage="production").event is not None
    refused = approve(version, start.state, late)
    refused.then_refused("EMERGENCY_NOT_REVIEWED")
    assert refused.refusal is not None
    assert refused.refusal.metadata == {"project": PROJECT_NAME, "emergency": "1"}
    assert approve(version, start.state, late, decision=types.REVIEW_DECISION_REJECT).event is not None
    version.when(change_stage, start.state, now=late, to_stage="production").then_refused("EMERGENCY_NOT_REVIEWED")
    assert version.when(change_stage, start.state, now=late, to_stage="development").event is not None
    told = judge(version.state, "production", at(start.state, now=late)).failed(types.GATE_KIND_EMERGENCY)
    assert [one.name for one in told] == ["emergencies"]
    start.given(facts.EmergencyReviewed(number=1, justified=False), by=BEN)
    assert version.when(change_stage, start.state, now=late, to_stage="production").event is not None


def test_an_emergency_of_all_projects_freezes_each() -> None:
    above = life(PROJECT, "projects/all").given(project_created).given(taken(), by=CAT).state
    version = registered().given(facts.StageChanged(to_stage="staging", to_phase=types.PHASE_STAGING))
    late = START + timedelta(days=3)
    version.when(change_stage, risk().state, above, now=late, to_stage="production").then_refused(
        "EMERGENCY_NOT_REVIEWED"
    )
