"""Aliases: assigning, removing, swapping, rolling back, and what a policy protects."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.registry.v1 import declare_events_pb2 as moves
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import MODEL, PROJECT
from services.registry.domain.access import NOWHERE
from services.registry.domain.alias_fold import MOST_FORMER
from services.registry.domain.aliases import (
    assign_alias,
    former_version,
    remove_alias,
    roll_back_alias,
    swap_aliases,
    swapped_versions,
)
from services.registry.domain.project import set_policy
from services.registry.domain.roles import remove_role
from testkit.scenario import Life, Outcome, life
from tests.registry.build import (
    ADA,
    BEN,
    MODEL_NAME,
    NOW,
    PROJECT_NAME,
    model_created,
    project_created,
    registered,
)

ACCOUNT = "serviceaccounts/ci"
PRODUCTION = facts.StageChanged(to_stage="production", to_phase=types.PHASE_PRODUCTION)
RETIRED = facts.VersionRetired(to_stage="retired")


def name(number: int) -> str:
    return f"{MODEL_NAME}/versions/{number}"


def version(number: int, *events: Any) -> types.Version:
    state: types.Version = registered(*events, name=name(number)).state
    return state


def assigned(number: int, before: int = 0, alias: str = "champion") -> facts.AliasAssigned:
    return facts.AliasAssigned(alias=alias, version=name(number), displaced_version=name(before) if before else "")


def fraud(*events: Any, by: str = "") -> Life:
    return life(MODEL, MODEL_NAME).given(model_created).given(*events, by=by)


def risk(*protected: types.ProtectedAlias, granted: str = "") -> types.Project:
    """A project that protects these aliases, in which `granted` holds the role of an approver."""
    one = life(PROJECT, PROJECT_NAME).given(project_created)
    one.given(facts.PolicySet(policy=types.Policy(protected_aliases=protected)))
    if granted:
        one.given(facts.RoleGranted(principal=granted, role="approver"))
    state: types.Project = one.state
    return state


def doing(*actors: str, **more: Any) -> dict[str, Any]:
    return {"actors": list(actors) or [ADA], "now": NOW, "alias": "champion", **more}


def assign(one: Life, target: types.Version, where: types.Project | None = None, **more: Any) -> Outcome:
    return one.when(assign_alias, target, where or risk(), NOWHERE, **doing(**more))


def roll_back(one: Life, *events: Any, where: types.Project | None = None, **more: Any) -> Outcome:
    """Rolls back to the version that the model names, with these events in that version's life."""
    asked = doing(**more)
    targets = [version(int(one.rpartition("/")[2]), *events) for one in former_version(one.state, asked["alias"])]
    return one.when(roll_back_alias, where or risk(), NOWHERE, *targets, **asked)


def swap(one: Life, other: str = "challenger", where: types.Project | None = None, **lives: Any) -> Outcome:
    """`lives`: further events of version 1, 2, ... as v1, v2."""
    numbers = [int(one.rpartition("/")[2]) for one in swapped_versions(one.state, "champion", other)]
    targets = [version(number, *lives.get(f"v{number}", ())) for number in numbers]
    return one.when(swap_aliases, where or risk(), NOWHERE, *targets, **doing(other_alias=other))


def test_an_alias_is_displaced_in_one_fact_that_names_both_versions() -> None:
    assign(fraud(), version(1)).then(assigned(1))
    assign(fraud(assigned(1)), version(1)).then_nothing()
    assign(fraud(assigned(1)), version(2)).then(assigned(2, 1))
    alias = fraud(assigned(1), assigned(2, 1), by=BEN).state.aliases["champion"]
    assert (alias.version, alias.previous_version, alias.assigned_by) == (name(2), name(1), BEN)
    assert alias.assign_time.ToSeconds() > 0


def test_an_alias_points_only_to_a_living_version_of_its_model() -> None:
    assign(fraud(), types.Version()).then_refused("VERSION_NOT_FOUND")
    other = registered(name=f"{PROJECT_NAME}/models/churn/versions/1").state
    assign(fraud(), other).then_refused("INVALID_REQUEST")
    assign(fraud(), version(1, RETIRED)).then_refused("VERSION_RETIRED")
    assign(life(MODEL, MODEL_NAME), version(1)).then_refused("MODEL_NOT_FOUND")


def test_a_model_has_a_bounded_number_of_aliases() -> None:
    full = fraud(*(assigned(2, alias=f"a{n}") for n in range(64)))
    assign(full, version(1), alias="one-more").then_refused("TOO_MANY_ALIASES")


def test_an_alias_is_removed_once_and_its_way_back_with_it() -> None:
    removed = facts.AliasRemoved(alias="champion", displaced_version=name(2))
    there = fraud(assigned(1), assigned(2, 1))
    there.when(remove_alias, risk(), NOWHERE, **doing()).then(removed)
    there.given(removed).when(remove_alias, risk(), NOWHERE, **doing()).then_refused("ALIAS_NOT_FOUND")
    roll_back(there).then_refused("ALIAS_NOT_FOUND")
    roll_back(there.given(assigned(3))).then_refused("NOTHING_TO_ROLL_BACK")


def test_rolling_back_twice_goes_further_back_and_not_to_and_fro() -> None:
    there = fraud(assigned(1), assigned(2, 1), assigned(3, 2))
    for back, displaced in ((2, 3), (1, 2)):
        event = moves.AliasRolledBack(alias="champion", version=name(back), displaced_version=name(displaced))
        roll_back(there).then(event)
        there.given(event)
        alias = there.state.aliases["champion"]
        assert (alias.version, alias.previous_version) == (name(back), name(displaced))
    roll_back(there).then_refused("NOTHING_TO_ROLL_BACK")


def test_a_move_after_a_rollback_is_taken_back_to_where_the_rollback_led() -> None:
    back = moves.AliasRolledBack(alias="champion", version=name(1), displaced_version=name(2))
    there = fraud(assigned(1), assigned(2, 1), back, assigned(3, 1))
    assert list(there.state.aliases["champion"].former_versions) == [1]
    roll_back(there).then(moves.AliasRolledBack(alias="champion", version=name(1), displaced_version=name(3)))


def test_nothing_goes_back_to_a_retired_version() -> None:
    there = fraud(assigned(1), assigned(2, 1))
    roll_back(there, RETIRED).then_refused("VERSION_RETIRED")
    roll_back(fraud()).then_refused("ALIAS_NOT_FOUND")


def test_only_so_many_former_versions_are_kept() -> None:
    there = fraud(*(assigned(n, n - 1) for n in range(1, MOST_FORMER + 3)))
    former = list(there.state.aliases["champion"].former_versions)
    assert former == list(range(2, MOST_FORMER + 2))


def test_two_aliases_change_places_in_one_fact_and_each_finds_back() -> None:
    there = fraud(assigned(1), assigned(2, alias="challenger"))
    swapped = moves.AliasesSwapped(alias="champion", version=name(2), other_alias="challenger", other_version=name(1))
    swap(there).then(swapped)
    there.given(swapped)
    aliases = there.state.aliases
    assert (aliases["champion"].version, aliases["challenger"].version) == (name(2), name(1))
    assert (aliases["champion"].previous_version, aliases["challenger"].previous_version) == (name(1), name(2))
    roll_back(there).then(moves.AliasRolledBack(alias="champion", version=name(1), displaced_version=name(2)))


def test_what_cannot_be_swapped() -> None:
    there = fraud(assigned(1), assigned(2, alias="challenger"))
    swap(there, "nobody").then_refused("ALIAS_NOT_FOUND")
    swap(there, "champion").then_refused("INVALID_REQUEST")
    swap(there, v2=(RETIRED,)).then_refused("VERSION_RETIRED")
    swap(there, v1=(RETIRED,)).then_refused("VERSION_RETIRED")
    swap(fraud(assigned(1), assigned(1, alias="challenger"))).then_nothing()


def test_a_protected_alias_is_moved_by_holders_of_its_role_alone() -> None:
    guarded = types.ProtectedAlias(alias="champion", role="approver")
    nobody, ada = risk(guarded), risk(guarded, granted=ADA)
    there = fraud(assigned(1), assigned(2, 1), assigned(3, alias="challenger"))
    assign(there, version(4), nobody).then_refused("ALIAS_PROTECTED")
    assign(there, version(4), nobody, alias="shadow").then(assigned(4, alias="shadow"))
    assign(there, version(4), ada).then(assigned(4, 2))
    # Whoever acts for others: all of them need the role.
    assign(there, version(4), ada, actors=[ACCOUNT, ADA]).then_refused("ALIAS_PROTECTED")
    roll_back(there, where=nobody).then_refused("ALIAS_PROTECTED")
    swap(there, where=nobody).then_refused("ALIAS_PROTECTED")
    there.when(remove_alias, nobody, NOWHERE, **doing()).then_refused("ALIAS_PROTECTED")
    # The other side of a swap is guarded as well.
    behind = risk(types.ProtectedAlias(alias="challenger", role="approver"))
    swap(there, where=behind).then_refused("ALIAS_PROTECTED")


def test_a_role_for_another_model_or_taken_in_an_emergency_moves_no_protected_alias() -> None:
    where = risk(types.ProtectedAlias(alias="champion", role="approver"))
    where.roles.add(principal=ADA, role="approver", model=f"{PROJECT_NAME}/models/churn")
    where.roles.add(principal=ADA, role="approver", emergency=1)
    assign(fraud(), version(1), where).then_refused("ALIAS_PROTECTED")
    where.roles.add(principal=ADA, role="approver", model=MODEL_NAME)
    assign(fraud(), version(1), where).then(assigned(1))


def test_a_protected_alias_points_only_to_versions_in_its_phases() -> None:
    where = risk(types.ProtectedAlias(alias="champion", phases=[types.PHASE_PRODUCTION]))
    assign(fraud(), version(1), where).then_refused("PHASE_NOT_ADMITTED")
    assign(fraud(), version(1, PRODUCTION), where).then(assigned(1))
    there = fraud(assigned(1), assigned(2, 1), assigned(3, alias="challenger"))
    roll_back(there, where=where).then_refused("PHASE_NOT_ADMITTED")
    roll_back(there, PRODUCTION, where=where).then(
        moves.AliasRolledBack(alias="champion", version=name(1), displaced_version=name(2))
    )
    swap(there, where=where).then_refused("PHASE_NOT_ADMITTED")
    # It is always taken away from a version that is not fit for it.
    there.when(remove_alias, where, NOWHERE, **doing()).then(
        facts.AliasRemoved(alias="champion", displaced_version=name(2))
    )


@pytest.mark.parametrize(
    "protected",
    [
        [types.ProtectedAlias(alias="champion"), types.ProtectedAlias(alias="champion")],
        [types.ProtectedAlias(alias="champion", role="nobody-knows")],
    ],
)
def test_a_policy_protects_each_alias_once_and_by_a_role_that_exists(protected: list[types.ProtectedAlias]) -> None:
    outcome = (
        life(PROJECT, PROJECT_NAME)
        .given(project_created)
        .when(set_policy, policy=types.Policy(protected_aliases=protected))
    )
    outcome.then_refused("INVALID_REQUEST")


def test_a_role_that_guards_an_alias_stays() -> None:
    one = life(PROJECT, PROJECT_NAME).given(
        project_created,
        facts.RoleDefined(role="owner", definition={"permissions": ["registry.models.get"]}),
        facts.PolicySet(policy={"protected_aliases": [{"alias": "champion", "role": "owner"}]}),
    )
    one.when(remove_role, role="owner").then_refused("ROLE_IN_USE")


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.sampled_from(["champion", "challenger"]), st.integers(1, 5)),
        st.tuples(st.just("back"), st.sampled_from(["champion", "challenger"]), st.none()),
        st.tuples(st.just("swap"), st.none(), st.none()),
        st.tuples(st.just("remove"), st.sampled_from(["champion", "challenger"]), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(_STEPS)
def test_an_alias_is_a_stack_of_versions_whatever_happens_to_it(steps: list[tuple[str, str, int]]) -> None:
    """Against the plainest thing that could be meant: lists, to which moves append and from which rollbacks take."""
    one, stacks = fraud(), dict[str, list[int]]()
    for step, alias, number in steps:
        if step == "assign":
            outcome = assign(one, version(number), alias=alias)
            if stacks.get(alias, [0])[-1] != number:
                stacks.setdefault(alias, []).append(number)
        elif step == "back":
            outcome = roll_back(one, alias=alias)
            if len(stacks.get(alias, ())) > 1:
                stacks[alias].pop()
        elif step == "swap":
            outcome = swap(one)
            if len(stacks) == 2 and stacks["champion"][-1] != stacks["challenger"][-1]:
                ours, theirs = stacks["champion"][-1], stacks["challenger"][-1]
                stacks["champion"].append(theirs)
                stacks["challenger"].append(ours)
        else:
            outcome = one.when(remove_alias, risk(), NOWHERE, **doing(alias=alias))
            stacks.pop(alias, None)
        if outcome.event is not None:
            one.given(outcome.event)
    folded = {
        alias: [*state.former_versions, int(state.version.rpartition("/")[2])]
        for alias, state in one.state.aliases.items()
    }
    assert folded == stacks
