"""Projects: creating, lifecycles, policies, roles."""

from typing import Any

import pytest

from kernel.errors import Invalid
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import PROJECT
from services.registry.domain.lifecycle import BUILT_IN
from services.registry.domain.project import create_project, set_lifecycle, set_policy
from testkit.scenario import Life, life
from tests.registry.build import ADA, PROJECT_NAME, policy, project_created, rule


def risk(*events: Any) -> Life:
    return life(PROJECT, PROJECT_NAME).given(project_created, *events)


def stages(*shape: tuple[str, types.Phase, tuple[str, ...]]) -> types.Lifecycle:
    return types.Lifecycle(stages=[types.Stage(id=id_, phase=phase, next=next_) for id_, phase, next_ in shape])


SHORT = stages(
    ("draft", types.PHASE_DEVELOPMENT, ("live",)),
    ("live", types.PHASE_PRODUCTION, ("draft",)),
    ("gone", types.PHASE_RETIRED, ()),
    ("kept", types.PHASE_ARCHIVED, ()),
)


def test_a_project_starts_with_the_built_in_lifecycle_written_into_its_first_fact() -> None:
    life(PROJECT, PROJECT_NAME).when(create_project, title="Risk", description="d", actors=[ADA]).then(
        facts.ProjectCreated(title="Risk", description="d", lifecycle=BUILT_IN, administrators=[ADA])
    )
    assert risk().state.lifecycle == BUILT_IN


def test_a_project_is_created_once() -> None:
    risk().when(create_project, title="Risk", description="", actors=[ADA]).then_refused("PROJECT_EXISTS")


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        (set_lifecycle, {"lifecycle": SHORT}),
        (set_policy, {"policy": policy()}),
    ],
)
def test_nothing_happens_to_a_project_that_does_not_exist(verb: Any, arguments: Any) -> None:
    life(PROJECT, PROJECT_NAME).when(verb, **arguments).then_refused("PROJECT_NOT_FOUND")


def test_a_lifecycle_of_ones_own_replaces_the_built_in_one() -> None:
    risk().when(set_lifecycle, lifecycle=SHORT).then(facts.LifecycleSet(lifecycle=SHORT))
    set_already = risk(facts.LifecycleSet(lifecycle=SHORT))
    assert set_already.state.lifecycle == SHORT
    set_already.when(set_lifecycle, lifecycle=SHORT).then_nothing()


def broken(index: int, **changes: Any) -> types.Lifecycle:
    lifecycle = types.Lifecycle()
    lifecycle.CopyFrom(SHORT)
    for name, value in changes.items():
        if name == "next":
            del lifecycle.stages[index].next[:]
            lifecycle.stages[index].next.extend(value)
        else:
            setattr(lifecycle.stages[index], name, value)
    return lifecycle


@pytest.mark.parametrize(
    ("lifecycle", "field"),
    [
        (broken(1, id="draft"), "lifecycle.stages[0].next[0]"),
        (broken(3, id="gone"), "lifecycle.stages[3].id"),
        (broken(0, next=["nowhere"]), "lifecycle.stages[0].next[0]"),
        (broken(0, next=["draft"]), "lifecycle.stages[0].next[0]"),
        (broken(0, next=["live", "gone"]), "lifecycle.stages[0].next[1]"),
        (broken(2, next=["live"]), "lifecycle.stages[2].next[0]"),
        (broken(2, phase=types.PHASE_PRODUCTION), "lifecycle.stages"),
        (broken(2, phase=types.PHASE_ARCHIVED), "lifecycle.stages"),
        (
            stages(
                ("gone", types.PHASE_RETIRED, ()), ("kept", types.PHASE_ARCHIVED, ()), ("a", types.PHASE_TESTING, ())
            ),
            "lifecycle.stages[0].phase",
        ),
    ],
)
def test_a_lifecycle_that_no_version_could_live_by_is_refused_by_its_field(
    lifecycle: types.Lifecycle, field: str
) -> None:
    outcome = risk().when(set_lifecycle, lifecycle=lifecycle)
    assert isinstance(outcome.refusal, Invalid)
    assert [violation.field for violation in outcome.refusal.violations] == [field]


def test_a_lifecycle_does_not_drop_a_move_that_the_policy_guards() -> None:
    guarded = risk(facts.PolicySet(policy=policy(rule("production", reviews=2))))
    guarded.when(set_lifecycle, lifecycle=SHORT).then_refused("POLICY_NAMES_STAGE")
    guarded.given(facts.PolicySet()).when(set_lifecycle, lifecycle=SHORT).then(facts.LifecycleSet(lifecycle=SHORT))


def test_a_policy_is_set_whole_and_only_when_it_differs() -> None:
    wanted = policy(rule("testing", gates=("evaluations.holdout.metrics.auc > 0.8",), reviews=1))
    risk().when(set_policy, policy=wanted).then(facts.PolicySet(policy=wanted))
    risk(facts.PolicySet(policy=wanted)).when(set_policy, policy=wanted).then_nothing()
    assert not risk(facts.PolicySet(policy=wanted), facts.PolicySet()).state.policy.rules


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (rule("nowhere"), "policy.rules[1].to_stage"),
        (rule("testing", from_stage="nowhere"), "policy.rules[1].from_stage"),
        (rule("production", from_stage="development"), "policy.rules[1]"),
        (rule("retired"), "policy.rules[1].to_stage"),
        (rule(required_documentation=["limitations", "poems"]), "policy.rules[1].required_documentation[1]"),
        (rule(required_documentation=["properties"]), "policy.rules[1].required_documentation[0]"),
        (rule(gates=("true", "1 +")), "policy.rules[1].gates[1].expression"),
        (rule(gates=("metrics.auc > 1.0",)), "policy.rules[1].gates[0].expression"),
        (
            types.TransitionRule(to_stage="testing", gates=[{"name": "first", "expression": "true"}]),
            "policy.rules[1].gates[0].name",
        ),
    ],
)
def test_a_policy_that_could_not_be_judged_is_refused_by_its_field(wrong: types.TransitionRule, field: str) -> None:
    sound = types.TransitionRule(to_stage="staging", gates=[{"name": "first", "expression": "true"}])
    outcome = risk().when(set_policy, policy=policy(sound, wrong))
    assert isinstance(outcome.refusal, Invalid)
    assert [violation.field for violation in outcome.refusal.violations] == [field]
