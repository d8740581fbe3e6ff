"""Whatever one person does, by whatever accounts: alone they never come to a role that leads into production."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from access.matrix import PRODUCTION_PERMISSIONS, PRODUCTION_ROLES, ROLES
from access.people import people
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import PROJECT
from services.registry.domain.accounts import register_service_account, remove_service_account
from services.registry.domain.roles import define_role, grant_role, remove_role, revoke_role
from testkit.scenario import Life, life
from tests.registry.build import ADA, BEN, CAT, NOW, PROJECT_NAME, project_created

BOT, CI, LONE = "serviceaccounts/bot", "serviceaccounts/ci", "serviceaccounts/lone"
PRINCIPALS = [ADA, BEN, CAT, BOT, CI, LONE]
OWN = ("helper", "curator")
PERMISSIONS = ["registry.tags.set", "registry.versions.get", "registry.reviews.submit", "deployment.rollouts.request"]

who = st.sampled_from(PRINCIPALS)
names = st.sampled_from([*OWN, "viewer", "approver", "deployer", "admin"])
# Ada tries it in every way she has: in person, by accounts, for others who did not ask her to, and as others do.
actors = st.sampled_from([[ADA], [ADA], [BOT], [BOT, ADA], [CI], [LONE], [BEN]])
steps = st.one_of(
    st.tuples(st.just("grant"), actors, who, names, st.booleans()),
    st.tuples(st.just("grant"), actors, who, names, st.just(False)),
    st.tuples(st.just("revoke"), actors, who, names),
    st.tuples(st.just("define"), actors, st.sampled_from(OWN), st.sets(st.sampled_from(PERMISSIONS), min_size=1)),
    st.tuples(st.just("remove"), actors, st.sampled_from(OWN)),
    st.tuples(st.just("own"), actors, st.sampled_from([BOT, CI]), st.sampled_from([ADA, BEN])),
    st.tuples(st.just("unregister"), actors, st.sampled_from([BOT, CI])),
)
# Most random orders lead to no grant, so stories are made of campaigns, disturbed by single steps.
seconds = st.sampled_from([[BEN], [BEN], [BEN, CAT], [ADA], [BOT], [CI, BEN]])
campaigns = st.tuples(
    actors, seconds, st.sampled_from([CAT, CAT, BOT, BEN]), names, st.one_of(st.just([]), st.lists(steps, max_size=2))
).map(lambda one: [("grant", one[0], one[2], one[3], False), *one[4], ("grant", one[1], one[2], one[3], False)])
stories = st.lists(st.one_of(campaigns, st.lists(steps, max_size=3)), max_size=8).map(
    lambda parts: [step for part in parts for step in part]
)
reached: list[str] = []


def take(project: Life, step: Any) -> Any:
    """The event a step leads to, None when it is refused or changes nothing."""
    match step:
        case ("grant", by, principal, role, ends):
            wanted = types.RoleBinding(principal=principal, role=role)
            if ends:
                wanted.expire_time.CopyFrom(Timestamp(seconds=int(NOW.timestamp()) + 60))
            return project.when(grant_role, wanted=wanted, actors=by, now=NOW).event
        case ("revoke", _, principal, role):
            return project.when(revoke_role, principal=principal, role=role).event
        case ("define", _, role, permissions):
            definition = types.RoleDefinition(permissions=sorted(permissions))
            return project.when(define_role, role=role, definition=definition).event
        case ("remove", _, role):
            return project.when(remove_role, role=role).event
        case ("own", _, account, owner):
            return project.when(register_service_account, account=account, owner=owner, description="").event
        case ("unregister", _, account):
            return project.when(remove_service_account, account=account).event
    raise AssertionError(step)


def leads_into_production(project: types.Project, role: str) -> bool:
    """Said anew here, so that the rule is not proved by itself."""
    permissions = ROLES.get(role) or frozenset(project.role_definitions[role].permissions)
    return role in PRODUCTION_ROLES or (role not in ROLES and bool(permissions & PRODUCTION_PERMISSIONS))


@settings(max_examples=400, deadline=None)
@given(stories)
def tell_no_one_person_comes_to_production(story: list[Any]) -> None:
    project = life(PROJECT, PROJECT_NAME).given(project_created)
    behind: dict[tuple[str, str], list[frozenset[str]]] = {}
    for step in story:
        before = types.Project()
        before.CopyFrom(project.state)
        event = take(project, step)
        if event is None:
            continue
        acting = people(step[1], before)
        match event:
            case facts.RoleProposed():
                behind[event.principal, event.role] = [acting]
                assert not acting & people([event.principal], before)
            case facts.RoleGranted():
                assert not acting & people([event.principal], before)
                if leads_into_production(before, event.role):
                    first = behind[event.principal, event.role][0]
                    assert not first & acting
                    assert any(one.startswith("users/") for one in first)
                    assert any(one.startswith("users/") for one in acting)
                    reached.append(event.role)
        project.given(event, by=step[1][0])
        held = {(one.principal, one.role): one for one in project.state.roles}
        for (principal, role), binding in held.items():
            if leads_into_production(project.state, role):
                assert binding.confirmed_by, f"{principal} holds {role} by {binding.granted_by} alone"
                assert binding.confirmed_by != binding.granted_by


def test_no_one_person_comes_to_a_role_that_leads_into_production() -> None:
    reached.clear()
    tell_no_one_person_comes_to_production()
    assert len(reached) >= 20, "the stories never come to a grant, so they prove nothing"
