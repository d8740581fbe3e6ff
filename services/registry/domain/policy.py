"""Policies: which rules a transition must meet, and what makes a policy a sound one."""

from collections.abc import Container

from access.matrix import ROLES
from kernel.errors import invalid_field
from modelog.registry.v1.types_pb2 import Documentation, Lifecycle, Policy, TransitionRule
from services.registry.domain.card import check_card
from services.registry.domain.expressions import fault
from services.registry.domain.lifecycle import LAST_PHASES, leads, stage_in
from services.registry.domain.seen import NAMES

TEXTS = tuple(one.name for one in Documentation.DESCRIPTOR.fields if one.type == one.TYPE_STRING)


def rules_for(policy: Policy, from_stage: str, to_stage: str) -> list[TransitionRule]:
    """Every rule that matches a transition; all of them apply."""
    return [rule for rule in policy.rules if rule.to_stage == to_stage and rule.from_stage in ("", from_stage)]


def check_policy(policy: Policy, lifecycle: Lifecycle) -> None:
    """Invalid, naming the part that is wrong, unless every rule can be judged on every version of this lifecycle."""
    check_card(policy)
    names: set[str] = set()
    for index, rule in enumerate(policy.rules):
        field = f"policy.rules[{index}]"
        _check_stages(rule, lifecycle, field)
        for position, text in enumerate(rule.required_documentation):
            if text not in TEXTS:
                known = ", ".join(TEXTS)
                path = f"{field}.required_documentation[{position}]"
                raise invalid_field(path, f"{text!r} is no text of the documentation: {known}", "UNKNOWN_DOCUMENTATION")
        for position, gate in enumerate(rule.gates):
            path = f"{field}.gates[{position}]"
            if gate.name in names:
                raise invalid_field(f"{path}.name", f"{gate.name!r} is there twice", "DUPLICATE_GATE")
            names.add(gate.name)
            if wrong := fault(gate.expression, NAMES):
                raise invalid_field(f"{path}.expression", wrong, "GATE_EXPRESSION")


def check_roles(policy: Policy, defined: Container[str]) -> None:
    """Invalid, naming the review, unless the reviewers' roles are built in or defined in the project.

    `check_policy` does not ask this: a policy of former times may name others, and a lifecycle can be set all the same.
    """
    for index, rule in enumerate(policy.rules):
        for position, review in enumerate(rule.required_reviews):
            if review.role and review.role not in ROLES and review.role not in defined:
                path = f"policy.rules[{index}].required_reviews[{position}].role"
                known = ", ".join(ROLES)
                raise invalid_field(path, f"there is no role {review.role!r}; define it or take {known}", "NO_ROLE")


def _check_stages(rule: TransitionRule, lifecycle: Lifecycle, field: str) -> None:
    for part in ("from_stage", "to_stage"):
        stage_id = getattr(rule, part)
        if stage_id and stage_in(lifecycle, stage_id) is None:
            raise invalid_field(f"{field}.{part}", f"{stage_id!r} is no stage of the lifecycle", "UNKNOWN_STAGE")
    target = stage_in(lifecycle, rule.to_stage)
    if target is not None and target.phase in LAST_PHASES:
        raise invalid_field(f"{field}.to_stage", "retiring and archiving are not moves that a rule governs", "NO_MOVE")
    if rule.from_stage and not leads(lifecycle, rule.from_stage, rule.to_stage):
        raise invalid_field(
            field, f"{rule.from_stage} does not lead to {rule.to_stage}, so it would never apply", "NO_MOVE"
        )
