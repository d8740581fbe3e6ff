"""What is known of access: the registry's own project and everybody else's KnownProject say the same of it."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from access.fold import HEARD, KNOWN_PROJECT
from access.grants import grants_of
from access.people import owners_of, people, persons, registered
from modelog.registry.v1 import events_pb2 as facts
from services.registry.domain import PROJECT
from testkit.scenario import Life, life

ADA, BEN, CAT, BOT, CI = "users/ada", "users/ben", "users/cat", "serviceaccounts/bot", "serviceaccounts/ci"
LATER = Timestamp(seconds=4_000_000_000)
STORY: list[Any] = [
    facts.ProjectCreated(title="Risk", administrators=[ADA, BEN]),
    facts.RoleDefined(role="curator", definition={"permissions": ["registry.tags.set"]}),
    facts.ServiceAccountRegistered(account=BOT, owner=BEN),
    facts.ServiceAccountRegistered(account=CI, owner=BEN),
    facts.RoleGranted(principal=BOT, role="curator"),
    facts.RoleGranted(principal=CI, role="author", model="projects/risk/models/fraud", expire_time=LATER),
    facts.RoleProposed(principal=CAT, role="approver", proposers=[ADA]),
    facts.RoleProposed(principal=BOT, role="deployer"),
    facts.RoleGranted(principal=CAT, role="approver", proposed_by=ADA),
    facts.RoleProposalWithdrawn(principal=BOT, role="deployer"),
    facts.EmergencyDeclared(number=1, role="operator", expire_time=LATER),
    facts.RoleRevoked(principal=BEN, role="admin"),
    facts.EmergencyReviewed(number=1, justified=True, comment="right"),
    facts.ServiceAccountRemoved(account=CI),
    facts.EmergencyDeclared(number=2, role="operator", expire_time=LATER),
    facts.RoleRevoked(principal=BOT, role="curator"),
    facts.RoleRemoved(role="curator"),
]
_SHARED = ("roles", "role_proposals", "role_definitions", "service_accounts", "emergencies")


def lives() -> tuple[Life, Life]:
    return life(PROJECT, "projects/risk"), life(KNOWN_PROJECT, "projects/risk")


@pytest.mark.parametrize("until", range(1, len(STORY) + 1))
def test_both_say_the_same_after_every_fact(until: int) -> None:
    own, known = (one.given(*STORY[:until]).state for one in lives())
    for field in _SHARED:
        assert getattr(own, field) == getattr(known, field), field


def test_the_story_has_all_there_is_to_hear() -> None:
    assert {type(event) for event in STORY} == set(HEARD)


def test_the_story_ends_as_it_should() -> None:
    state = lives()[1].given(*STORY).state
    assert [(one.principal, one.role, one.emergency) for one in state.roles] == [
        (ADA, "admin", 0), (CAT, "approver", 0), (ADA, "operator", 2),
    ]  # fmt: skip
    assert [(one.number, one.reviewed_by) for one in state.emergencies] == [(1, ADA), (2, "")]
    assert set(grants_of("projects/risk", state).owners) == {BOT}


def test_what_does_not_concern_access_leaves_it_as_it_is() -> None:
    known = lives()[1].given(*STORY)
    before = known.state.SerializeToString(deterministic=True)
    known.given(facts.PolicySet())
    known.state.generation -= 1
    known.state.revision -= 1
    known.state.update_time.CopyFrom(known.facts[-2].recorded_at)
    assert known.state.SerializeToString(deterministic=True) == before


def test_people_stand_behind_accounts_also_behind_those_that_were_removed() -> None:
    state = lives()[1].given(*STORY).state
    above = lives()[0].given(facts.ServiceAccountRegistered(account="serviceaccounts/all", owner=CAT)).state
    assert people([ADA, CI], state) == {ADA, CI, BEN}
    assert people(["serviceaccounts/all"], state, above) == {"serviceaccounts/all", CAT}
    assert people(["serviceaccounts/unknown", "services/deployment"], state) == {
        "serviceaccounts/unknown", "services/deployment",
    }  # fmt: skip
    assert owners_of([BOT, CI, ADA], state) == [BEN]
    assert persons([BOT, CAT, ADA]) == [CAT, ADA]
    assert registered(BOT, state)
    assert not registered(CI, state)
    assert registered("serviceaccounts/all", state, above)
