"""May somebody do something: default deny, whatever the roles are, and an explanation that names what allowed it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access.decision import decide, explained
from access.grants import by_configuration, grants_of
from access.matrix import (
    ADMINISTERING,
    ANYBODY,
    DEFINABLE,
    NEVER_IN_EMERGENCIES,
    OWN,
    PERMISSIONS,
    ROLES,
    UNPROTECTED,
)
from modelog.access.v1.types_pb2 import KnownProject
from modelog.registry.v1.types_pb2 import RoleBinding, RoleDefinition, ServiceAccount

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RISK, ALL = "projects/risk", "projects/all"
MODEL, VERSION = f"{RISK}/models/fraud", f"{RISK}/models/fraud/versions/3"
ADA, BEN, BOT = "users/ada", "users/ben", "serviceaccounts/bot"


def project(*bindings: RoleBinding, name: str = RISK, **accounts: str) -> KnownProject:
    state = KnownProject(name=name, revision=7, roles=bindings)
    state.role_definitions["curator"].CopyFrom(RoleDefinition(permissions=["registry.tags.set"]))
    for account, owner in accounts.items():
        state.service_accounts[f"serviceaccounts/{account}"].CopyFrom(ServiceAccount(owner=owner))
    return state


def held(role: str, principal: str = ADA, **more: Any) -> RoleBinding:
    return RoleBinding(principal=principal, role=role, granted_by=BEN, **more)


def asked(state: KnownProject, permission: str, where: str = VERSION, who: str = ADA, now: datetime = NOW) -> str:
    return decide(who, permission, where, [grants_of(state.name, state)], now).reason


principals = st.sampled_from([ADA, BEN, BOT, "serviceaccounts/ci", "services/deployment"])
models = st.sampled_from(["", MODEL, f"{MODEL}-2", f"{RISK}/models/churn"])
times = st.sampled_from([None, NOW - timedelta(seconds=1), NOW, NOW + timedelta(seconds=1)])
bindings = st.builds(
    lambda principal, role, model, expire: RoleBinding(
        principal=principal, role=role, model=model, expire_time=expire
    ),
    principals, st.sampled_from([*ROLES, "curator", "nobody-defined-this"]), models, times,
)  # fmt: skip
states = st.builds(
    lambda name, found, owned: project(*found, name=name, **({"bot": ADA} if owned else {})),
    st.sampled_from([RISK, ALL]), st.lists(bindings, max_size=6), st.booleans(),
)  # fmt: skip
places = st.sampled_from([VERSION, MODEL, RISK, f"{MODEL}-2/versions/1", f"{RISK}/endpoints/eu", ""])


def reason_to_allow(state: KnownProject, who: str, permission: str, where: str) -> bool:
    """Said anew here, in the words of the documentation: a role of theirs that holds now and reaches there."""
    for one in state.roles:
        permissions = ROLES.get(one.role, frozenset(state.role_definitions[one.role].permissions))
        reaches = not one.model or where == one.model or where.startswith(f"{one.model}/")
        holds = not one.HasField("expire_time") or one.expire_time.ToDatetime(UTC) > NOW
        if one.principal == who and permission in permissions and reaches and holds:
            return True
    return False


@settings(max_examples=1000, deadline=None)
@given(st.lists(states, max_size=3), principals, st.sampled_from([*sorted(PERMISSIONS), "registry.nothing"]), places)
def test_nothing_is_allowed_without_a_role_that_says_so(
    found: list[KnownProject], who: str, permission: str, where: str
) -> None:
    before = [one.SerializeToString(deterministic=True) for one in found]
    among = [grants_of(one.name, one) for one in found]
    outcome = decide(who, permission, where, among, NOW)
    registered = not who.startswith("serviceaccounts/") or any(who in one.service_accounts for one in found)
    expected = registered and any(
        reason_to_allow(KnownProject.FromString(one), who, permission, where) for one in before
    )
    assert outcome.allowed == (permission in ANYBODY or expected)
    told = explained(outcome, who, permission, where, among)
    assert told.explanation
    if outcome.allowed and permission not in ANYBODY:
        assert told.binding.principal == who
        assert told.project in {one.name for one in found}
        assert not outcome.own_only or (told.binding.role, permission) in OWN
        assert not outcome.unprotected_only or (told.binding.role, permission) in UNPROTECTED
    else:
        assert not told.HasField("binding")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_nobody_may_do_anything_where_nothing_was_granted(who: str, permission: str, where: str) -> None:
    outcome = decide(who, permission, where, [grants_of(RISK, KnownProject()), by_configuration([])], NOW)
    assert outcome.allowed == (permission in ANYBODY)


def test_a_role_reaches_as_far_as_it_was_granted() -> None:
    limited = project(held("validator", model=MODEL))
    assert asked(limited, "registry.reviews.submit") == "GRANTED"
    assert asked(limited, "registry.reviews.submit", MODEL) == "GRANTED"
    assert asked(limited, "registry.reviews.submit", f"{MODEL}-2/versions/1") == "NOT_GRANTED"
    assert asked(limited, "registry.reviews.submit", RISK) == "NOT_GRANTED"


def test_a_role_holds_until_the_very_moment_it_runs_out() -> None:
    ends = project(held("validator", expire_time=NOW))
    assert asked(ends, "registry.reviews.submit", now=NOW - timedelta(microseconds=1)) == "GRANTED"
    assert asked(ends, "registry.reviews.submit", now=NOW) == "GRANT_EXPIRED"


def test_what_is_held_on_own_makings_gives_way_to_what_holds_everywhere() -> None:
    both = project(held("author"), held("archivist"))
    assert asked(both, "registry.versions.deprecate") == "GRANTED"
    assert asked(project(held("author")), "registry.versions.deprecate") == "GRANTED_ON_OWN"


def test_an_operator_rolls_out_where_nothing_is_protected_and_a_deployer_everywhere() -> None:
    rollout = "deployment.rollouts.request"
    assert asked(project(held("operator")), rollout) == "GRANTED_ON_UNPROTECTED"
    assert asked(project(held("author"), held("operator")), rollout) == "GRANTED_ON_UNPROTECTED"
    assert asked(project(held("operator"), held("deployer")), rollout) == "GRANTED"
    assert asked(project(held("operator")), "deployment.rollouts.rollback") == "GRANTED"


def test_an_account_does_nothing_until_it_is_registered_and_after_it_was_removed() -> None:
    state = project(held("validator", BOT), bot=ADA)
    assert asked(state, "registry.reviews.submit", who=BOT) == "GRANTED"
    state.service_accounts[BOT].remove_time.FromDatetime(NOW)
    assert asked(state, "registry.reviews.submit", who=BOT) == "ACCOUNT_NOT_REGISTERED"
    assert asked(project(held("validator", BOT)), "registry.reviews.submit", who=BOT) == "ACCOUNT_NOT_REGISTERED"


@pytest.mark.parametrize(
    ("bindings_", "permission", "words"),
    [
        ([held("approver", confirmed_by="users/cat")], "registry.reviews.submit", "granted by users/ben and users/cat"),
        ([held("validator", model=MODEL)], "registry.reviews.submit", f"validator for {MODEL}"),
        ([held("author")], "registry.versions.update", "on what they made themselves"),
        ([], "registry.reviews.submit", "ask an administrator"),
        ([held("validator", expire_time=NOW)], "registry.reviews.submit", "has run out"),
        ([], "registry.projects.list", "needs no role"),
    ],
)
def test_the_explanation_says_by_which_role_or_what_to_do(
    bindings_: list[RoleBinding], permission: str, words: str
) -> None:
    among = [grants_of(RISK, project(*bindings_))]
    told = explained(decide(ADA, permission, VERSION, among, NOW), ADA, permission, VERSION, among)
    assert words in told.explanation
    assert dict(told.revisions) == {RISK: 7}


def test_the_settings_of_an_installation_make_administrators_of_all_projects() -> None:
    outcome = decide(ADA, "registry.roles.grant", RISK, [by_configuration([ADA])], NOW)
    assert (outcome.allowed, outcome.where) == (True, "configuration")
    assert not decide(BEN, "registry.roles.grant", RISK, [by_configuration([ADA])], NOW).allowed


def test_roles_of_ones_own_are_made_of_what_does_not_make_administrators() -> None:
    assert not DEFINABLE & ADMINISTERING
    assert {one for one in PERMISSIONS if one.startswith("registry.roles.")} <= ADMINISTERING
    assert "registry.projects.set_policy" in NEVER_IN_EMERGENCIES
    assert "registry.roles.grant" in NEVER_IN_EMERGENCIES
    assert not NEVER_IN_EMERGENCIES & ROLES["deployer"]
