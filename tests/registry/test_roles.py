"""Roles: granted by others only, by two people where they lead into production; a project's own ones; accounts."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import Invalid
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import PROJECT
from services.registry.domain.access import NOWHERE
from services.registry.domain.accounts import register_service_account, remove_service_account
from services.registry.domain.project import create_project, set_policy
from services.registry.domain.roles import define_role, grant_role, remove_role, revoke_role
from testkit.scenario import Life, Outcome, life
from tests.registry.build import ADA, BEN, CAT, MODEL_NAME, NOW, PROJECT_NAME, policy, project_created

DAN = "users/dan"
BOT, CI = "serviceaccounts/bot", "serviceaccounts/ci"


def risk(*events: Any, by: str = ADA) -> Life:
    return life(PROJECT, PROJECT_NAME, actor=by).given(project_created, *events)


def everywhere(*events: Any) -> types.Project:
    state: types.Project = life(PROJECT, "projects/all").given(project_created, *events).state
    return state


def owned(account: str, owner: str) -> facts.ServiceAccountRegistered:
    return facts.ServiceAccountRegistered(account=account, owner=owner)


def granted(principal: str, role: str, **more: Any) -> facts.RoleGranted:
    return facts.RoleGranted(principal=principal, role=role, **more)


def proposed(principal: str, role: str, *proposers: str, **more: Any) -> facts.RoleProposed:
    return facts.RoleProposed(principal=principal, role=role, proposers=proposers, **more)


def grant(
    project: Life, principal: str, role: str, *actors: str, above: types.Project = NOWHERE, **more: Any
) -> Outcome:
    wanted = types.RoleBinding(principal=principal, role=role, **more)
    return project.when(grant_role, above, wanted=wanted, actors=actors, now=NOW)


def later(**time: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(NOW + timedelta(**time))
    return stamp


def defined(role: str, *permissions: str) -> facts.RoleDefined:
    return facts.RoleDefined(role=role, definition={"permissions": permissions})


def test_a_role_that_leads_nowhere_is_granted_by_one_administrator() -> None:
    grant(risk(), CAT, "validator", ADA).then(granted(CAT, "validator"))
    grant(risk(granted(CAT, "validator")), CAT, "validator", ADA).then_nothing()
    limited = grant(risk(granted(CAT, "author")), CAT, "author", ADA, model=MODEL_NAME, expire_time=later(days=1))
    limited.then(granted(CAT, "author", model=MODEL_NAME, expire_time=later(days=1)))


@pytest.mark.parametrize("role", ["approver", "deployer", "admin", "helper"])
def test_a_role_that_leads_into_production_takes_two_people(role: str) -> None:
    start = risk(defined("helper", "registry.versions.get", "deployment.rollouts.request"))
    grant(start, CAT, role, ADA).then(proposed(CAT, role, ADA))
    start.given(proposed(CAT, role, ADA))
    assert not start.state.roles
    grant(start, CAT, role, ADA).then_nothing()
    grant(start, CAT, role, BEN).then(granted(CAT, role, proposed_by=ADA))
    state = start.given(granted(CAT, role, proposed_by=ADA), by=BEN).state
    assert [(one.granted_by, one.confirmed_by) for one in state.roles] == [(ADA, BEN)]
    assert not state.role_proposals


def test_what_is_confirmed_is_exactly_what_was_proposed() -> None:
    start = risk(proposed(CAT, "approver", ADA, expire_time=later(days=9)))
    grant(start, CAT, "approver", BEN).then(proposed(CAT, "approver", BEN))
    grant(start, CAT, "approver", BEN, expire_time=later(days=8)).then(
        proposed(CAT, "approver", BEN, expire_time=later(days=8))
    )
    grant(start, CAT, "approver", BEN, model=MODEL_NAME).then(proposed(CAT, "approver", BEN, model=MODEL_NAME))
    start.given(proposed(CAT, "approver", BEN), by=BEN)
    assert [one.proposed_by for one in start.state.role_proposals] == [BEN]
    grant(start, CAT, "approver", BEN).then_nothing()
    grant(start, CAT, "approver", ADA).then(granted(CAT, "approver", proposed_by=BEN))


@pytest.mark.parametrize(
    ("principal", "actors"),
    [
        (ADA, [ADA]),
        (ADA, [BOT]),
        (BOT, [ADA]),
        (CI, [BOT]),
        (BOT, [BOT]),
        (BEN, [ADA, BEN]),
        (BEN, ["serviceaccounts/other", BEN]),
        (CI, [BEN, ADA]),
    ],
)
@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_nobody_grants_to_themselves_by_whatever_account(principal: str, actors: list[str], role: str) -> None:
    start = risk(owned(BOT, ADA), owned(CI, ADA))
    grant(start, principal, role, *actors).then_refused("SELF_GRANT")


def test_an_account_of_all_projects_has_its_owner_in_each() -> None:
    above = everywhere(owned(BOT, ADA))
    grant(risk(), BOT, "viewer", ADA, above=above).then_refused("SELF_GRANT")
    grant(risk(), ADA, "viewer", BOT, above=above).then_refused("SELF_GRANT")
    start = risk(proposed(CAT, "approver", ADA))
    grant(start, CAT, "approver", BOT, above=above).then_refused("SEPARATION_OF_DUTIES")


@pytest.mark.parametrize("actors", [[BOT], [CI], [BEN, ADA], [BEN, BOT], ["serviceaccounts/of-ben", ADA]])
def test_who_proposed_does_not_confirm_by_whatever_account(actors: list[str]) -> None:
    accounts = (owned(BOT, ADA), owned(CI, ADA), owned("serviceaccounts/of-ben", BEN))
    start = risk(*accounts, proposed(CAT, "deployer", ADA))
    grant(start, CAT, "deployer", *actors).then_refused("SEPARATION_OF_DUTIES")


@pytest.mark.parametrize("actors", [[ADA], [DAN], [CI]])
def test_who_stood_behind_a_proposal_by_an_account_does_not_confirm(actors: list[str]) -> None:
    start = risk(owned(BOT, ADA), owned(CI, DAN))
    grant(start, CAT, "deployer", BOT, DAN).then(proposed(CAT, "deployer", BOT, ADA, DAN))
    start.given(proposed(CAT, "deployer", BOT, ADA, DAN), by=BOT)
    grant(start, CAT, "deployer", *actors).then_refused("SEPARATION_OF_DUTIES")
    grant(start, CAT, "deployer", BEN).then(granted(CAT, "deployer", proposed_by=BOT))


def test_the_person_it_is_for_does_not_confirm() -> None:
    start = risk(owned(BOT, CAT), proposed(CAT, "admin", ADA))
    grant(start, CAT, "admin", CAT).then_refused("SELF_GRANT")
    grant(start, CAT, "admin", BOT).then_refused("SELF_GRANT")


def test_people_grant_what_leads_into_production() -> None:
    grant(risk(), CAT, "admin", "services/deployment").then_refused("PERSON_UNKNOWN")
    grant(risk(), CAT, "admin", BOT).then_refused("PERSON_UNKNOWN")
    grant(risk(owned(BOT, BEN)), CAT, "admin", BOT).then(proposed(CAT, "admin", BOT, BEN))


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"principal": "cat"}, "principal"),
        ({"principal": "users/"}, "principal"),
        ({"principal": "groups/all"}, "principal"),
        ({"principal": "users/a b"}, "principal"),
        ({"model": "projects/other/models/fraud"}, "model"),
        ({"model": PROJECT_NAME}, "model"),
        ({"expire_time": later(seconds=0)}, "expire_time"),
    ],
)
def test_what_cannot_be_granted_is_refused_by_its_field(wanted: dict[str, Any], field: str) -> None:
    binding = types.RoleBinding(role="viewer", **{"principal": CAT, **wanted})
    outcome = risk().when(grant_role, wanted=binding, actors=[ADA], now=NOW)
    assert isinstance(outcome.refusal, Invalid)
    assert [one.field for one in outcome.refusal.violations] == [field]


def test_only_roles_and_accounts_that_exist_are_granted() -> None:
    grant(risk(), CAT, "reviewer", ADA).then_refused("ROLE_NOT_FOUND")
    grant(risk(defined("reviewer", "registry.versions.get")), CAT, "reviewer", ADA).then(granted(CAT, "reviewer"))
    grant(risk(), BOT, "viewer", ADA).then_refused("ACCOUNT_NOT_REGISTERED")
    removed = risk(owned(BOT, BEN), facts.ServiceAccountRemoved(account=BOT))
    grant(removed, BOT, "viewer", ADA).then_refused("ACCOUNT_NOT_REGISTERED")
    grant(life(PROJECT, PROJECT_NAME), CAT, "viewer", ADA).then_refused("PROJECT_NOT_FOUND")


def test_a_project_holds_a_bounded_number_of_roles() -> None:
    full = risk(*(granted(f"users/u{n}", "author") for n in range(499)), proposed(DAN, "admin", ADA))
    grant(full, CAT, "author", ADA).then_refused("TOO_MANY_ROLES")
    grant(full, CAT, "admin", ADA).then_refused("TOO_MANY_ROLES")
    grant(full, DAN, "admin", BEN).then(granted(DAN, "admin", proposed_by=ADA))


def revoke(project: Life, principal: str, role: str, **more: Any) -> Outcome:
    return project.when(revoke_role, principal=principal, role=role, **more)


def test_a_role_is_revoked_and_a_proposal_withdrawn() -> None:
    revoked = facts.RoleRevoked(principal=CAT, role="author")
    revoke(risk(granted(CAT, "author")), CAT, "author").then(revoked)
    revoke(risk(granted(CAT, "author"), revoked), CAT, "author").then_refused("ROLE_NOT_GRANTED")
    revoke(risk(granted(CAT, "author", model=MODEL_NAME)), CAT, "author").then_refused("ROLE_NOT_GRANTED")
    withdrawn = facts.RoleProposalWithdrawn(principal=CAT, role="admin")
    revoke(risk(proposed(CAT, "admin", ADA)), CAT, "admin").then(withdrawn)
    assert not risk(proposed(CAT, "admin", ADA), withdrawn).state.role_proposals
    revoke(life(PROJECT, PROJECT_NAME), CAT, "admin").then_refused("PROJECT_NOT_FOUND")


def test_revoking_ends_the_wish_to_extend_it_as_well() -> None:
    start = risk(granted(CAT, "admin"), proposed(CAT, "admin", ADA, expire_time=later(days=1)))
    revoked = facts.RoleRevoked(principal=CAT, role="admin")
    revoke(start, CAT, "admin").then(revoked)
    state = start.given(revoked).state
    assert (len(state.roles), len(state.role_proposals)) == (0, 0)


def test_what_was_taken_in_an_emergency_ends_by_its_review() -> None:
    start = risk().given(facts.EmergencyDeclared(number=1, role="operator", expire_time=later(hours=1)), by=CAT)
    outcome = revoke(start, CAT, "operator")
    outcome.then_refused("ROLE_NOT_GRANTED")
    assert "emergency 1" in str(outcome.refusal)
    grant(start, CAT, "operator", ADA, expire_time=later(hours=1)).then(
        granted(CAT, "operator", expire_time=later(hours=1))
    )


def define(project: Life, role: str, *permissions: str, description: str = "") -> Outcome:
    definition = types.RoleDefinition(permissions=permissions, description=description)
    return project.when(define_role, role=role, definition=definition)


def test_a_role_of_ones_own_is_defined_changed_and_removed() -> None:
    define(risk(), "curator", "registry.tags.set", "registry.models.get").then(
        defined("curator", "registry.models.get", "registry.tags.set")
    )
    start = risk(defined("curator", "registry.tags.set"))
    define(start, "curator", "registry.tags.set").then_nothing()
    define(start, "curator", "registry.tags.remove").then(defined("curator", "registry.tags.remove"))
    start.when(remove_role, role="curator").then(facts.RoleRemoved(role="curator"))
    start.given(facts.RoleRemoved(role="curator"))
    start.when(remove_role, role="curator").then_refused("ROLE_NOT_FOUND")
    define(life(PROJECT, PROJECT_NAME), "curator", "registry.tags.set").then_refused("PROJECT_NOT_FOUND")
    life(PROJECT, PROJECT_NAME).when(remove_role, role="curator").then_refused("PROJECT_NOT_FOUND")


@pytest.mark.parametrize(
    "permission",
    ["registry.nothing", "registry.roles.grant", "registry.roles.define", "registry.service_accounts.register",
     "registry.emergencies.review", "registry.projects.create", "registry.access.check", ""],
)  # fmt: skip
def test_no_role_of_ones_own_makes_administrators(permission: str) -> None:
    outcome = define(risk(), "curator", "registry.tags.set", permission)
    assert isinstance(outcome.refusal, Invalid)
    assert [one.field for one in outcome.refusal.violations] == ["definition.permissions[1]"]


def test_built_in_roles_stay_what_they_are() -> None:
    define(risk(), "viewer", "registry.tags.set").then_refused("BUILT_IN_ROLE")
    risk().when(remove_role, role="viewer").then_refused("BUILT_IN_ROLE")


@pytest.mark.parametrize("use", [granted(CAT, "curator"), proposed(CAT, "curator", ADA)])
def test_a_role_in_use_loses_permissions_only(use: Any) -> None:
    start = risk(defined("curator", "registry.tags.set", "registry.tags.remove"), use)
    define(start, "curator", "registry.tags.set", "registry.tags.remove", "registry.models.create").then_refused(
        "ROLE_IN_USE"
    )
    define(start, "curator", "registry.tags.set").then(defined("curator", "registry.tags.set"))
    start.when(remove_role, role="curator").then_refused("ROLE_IN_USE")


def test_a_role_that_the_policy_names_is_there() -> None:
    needed = types.RequiredReview(kind=types.REVIEW_KIND_GENERAL, count=1, role="curator")
    wanted = policy(types.TransitionRule(to_stage="testing", required_reviews=[needed]))
    outcome = risk().when(set_policy, policy=wanted)
    assert isinstance(outcome.refusal, Invalid)
    assert [one.field for one in outcome.refusal.violations] == ["policy.rules[0].required_reviews[0].role"]
    start = risk(defined("curator", "registry.reviews.submit"))
    start.when(set_policy, policy=wanted).then(facts.PolicySet(policy=wanted))
    start.given(facts.PolicySet(policy=wanted)).when(remove_role, role="curator").then_refused("ROLE_IN_USE")


def test_a_project_defines_a_bounded_number_of_roles() -> None:
    names = [f"r-{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(50)]
    full = risk(*(defined(name, "registry.tags.set") for name in names))
    define(full, "curator", "registry.tags.set").then_refused("TOO_MANY_ROLES")
    define(full, names[0], "registry.tags.remove").then(defined(names[0], "registry.tags.remove"))


def register(project: Life, account: str, owner: str, description: str = "") -> Outcome:
    return project.when(register_service_account, account=account, owner=owner, description=description)


def test_an_account_is_registered_with_a_person_who_owns_it() -> None:
    register(risk(), BOT, ADA).then(owned(BOT, ADA))
    start = risk(owned(BOT, ADA))
    register(start, BOT, ADA).then_nothing()
    register(start, BOT, BEN).then(owned(BOT, BEN))
    register(start, BOT, ADA, "builds").then(
        facts.ServiceAccountRegistered(account=BOT, owner=ADA, description="builds")
    )
    since = start.state.service_accounts[BOT].register_time
    assert start.given(owned(BOT, BEN)).state.service_accounts[BOT].register_time == since
    for owner in (CI, "users/", "services/deployment"):
        assert isinstance(register(risk(), BOT, owner).refusal, Invalid)
    register(life(PROJECT, PROJECT_NAME), BOT, ADA).then_refused("PROJECT_NOT_FOUND")


@pytest.mark.parametrize("held", [granted(BOT, "viewer"), proposed(BOT, "deployer", ADA)])
def test_an_account_that_holds_roles_keeps_its_owner(held: Any) -> None:
    start = risk(owned(BOT, BEN), held)
    register(start, BOT, ADA).then_refused("ACCOUNT_HOLDS_ROLES")
    assert register(start, BOT, BEN, "builds").event is not None


def test_an_account_of_all_projects_keeps_its_owner() -> None:
    above = life(PROJECT, "projects/all").given(project_created, owned(BOT, BEN))
    register(above, BOT, ADA).then_refused("ACCOUNT_HOLDS_ROLES")


def test_an_account_is_removed_with_its_roles_and_for_good() -> None:
    removed = facts.ServiceAccountRemoved(account=BOT)
    start = risk(owned(BOT, BEN), granted(BOT, "viewer"), granted(CAT, "viewer"), proposed(BOT, "admin", ADA))
    start.when(remove_service_account, account=BOT).then(removed)
    state = start.given(removed).state
    assert ([one.principal for one in state.roles], len(state.role_proposals)) == ([CAT], 0)
    start.when(remove_service_account, account=BOT).then_nothing()
    register(start, BOT, BEN).then_refused("ACCOUNT_REMOVED")
    start.when(remove_service_account, account=CI).then_refused("ACCOUNT_NOT_REGISTERED")
    life(PROJECT, PROJECT_NAME).when(remove_service_account, account=CI).then_refused("PROJECT_NOT_FOUND")
    grant(start, CAT, "viewer", BOT).then_nothing()
    grant(start, BEN, "viewer", BOT).then_refused("SELF_GRANT")


def test_a_project_has_a_bounded_number_of_accounts() -> None:
    full = risk(*(owned(f"serviceaccounts/a{n}", ADA) for n in range(1000)))
    register(full, BOT, ADA).then_refused("TOO_MANY_ACCOUNTS")


@pytest.mark.parametrize(
    ("actors", "administrator"),
    [([ADA], ADA), ([BOT, CAT], CAT), ([BOT], BEN), (["services/deployment", BOT], BEN), ([ADA, BEN], ADA)],
)
def test_who_creates_a_project_administers_it(actors: list[str], administrator: str) -> None:
    above = everywhere(owned(BOT, BEN))
    new = life(PROJECT, PROJECT_NAME)
    event = new.when(create_project, above, title="Risk", description="", actors=actors).event
    assert isinstance(event, facts.ProjectCreated)
    assert [(one.principal, one.role) for one in new.given(event).state.roles] == [(administrator, "admin")]


def test_no_project_is_created_by_nobody() -> None:
    for actor in (BOT, "services/deployment"):
        new = life(PROJECT, PROJECT_NAME)
        new.when(create_project, title="Risk", description="", actors=[actor]).then_refused("CREATOR_UNKNOWN")
