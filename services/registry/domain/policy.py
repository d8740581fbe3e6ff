"""Policies: which rules a transition must meet, and what makes a policy a sound one."""

from collections.abc import Container
from fnmatch import fnmatchcase

from access.matrix import ROLES
from kernel.errors import invalid_field
from kernel.expressions import fault
from modelog.registry.v1.types_pb2 import (
    ChecklistItem,
    Documentation,
    Lifecycle,
    Policy,
    ReviewKind,
    TransitionRule,
    Version,
)
from services.registry.domain.artifacts import check_globals
from services.registry.domain.card import check_card
from services.registry.domain.lifecycle import LAST_PHASES, leads, stage_in
from services.registry.domain.seen import NAMES

TEXTS = tuple(one.name for one in Documentation.DESCRIPTOR.fields if one.type == one.TYPE_STRING)


def rules_for(policy: Policy, version: Version, to_stage: str) -> list[TransitionRule]:
    """Every rule that matches a version's move from where it is; all of them apply."""
    model = model_of(version)
    return [
        rule
        for rule in policy.rules
        if rule.to_stage == to_stage and rule.from_stage in ("", version.stage) and governs(rule, model)
    ]


def governs(rule: TransitionRule, model: str) -> bool:
    """Whether a rule speaks of a model, given by its name."""
    id_ = model.rpartition("/")[2]
    return not rule.model_ids or any(fnmatchcase(id_, pattern) for pattern in rule.model_ids)


def model_of(version: Version) -> str:
    """`projects/risk/models/fraud` of a version of it."""
    return version.name.partition("/versions/")[0]


def kind_word(kind: ReviewKind) -> str:
    """`fairness` of REVIEW_KIND_FAIRNESS: so gates are called, and sources named."""
    return ReviewKind.Name(kind).removeprefix("REVIEW_KIND_").lower()


def check_policy(policy: Policy, lifecycle: Lifecycle) -> None:
    """Invalid, naming the part that is wrong, unless every rule can be judged on every version of this lifecycle."""
    check_globals(policy.allowed_globals)
    check_card(policy)
    names: set[str] = set()
    items: dict[str, ChecklistItem] = {}
    for index, rule in enumerate(policy.rules):
        field = f"policy.rules[{index}]"
        _check_stages(rule, lifecycle, field)
        _check_items(rule, items, field)
        _check_sources(rule, field)
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
    """Invalid, naming the review or the item, unless the roles are built in or defined in the project.

    `check_policy` does not ask this: a policy of former times may name others, and a lifecycle can be set all the same.
    """
    for index, rule in enumerate(policy.rules):
        for position, review in enumerate(rule.required_reviews):
            _check_role(review.role, defined, f"policy.rules[{index}].required_reviews[{position}].role")
        for position, item in enumerate(rule.checklist):
            _check_role(item.role, defined, f"policy.rules[{index}].checklist[{position}].role")


def _check_role(role: str, defined: Container[str], path: str) -> None:
    if role and role not in ROLES and role not in defined:
        known = ", ".join(ROLES)
        raise invalid_field(path, f"there is no role {role!r}; define it or take {known}", "NO_ROLE")


def _check_items(rule: TransitionRule, known: dict[str, ChecklistItem], field: str) -> None:
    """One answer is kept for an id, so it has to answer the same question wherever it is asked."""
    own: set[str] = set()
    for position, item in enumerate(rule.checklist):
        path = f"{field}.checklist[{position}]"
        if item.id in own:
            raise invalid_field(f"{path}.id", f"{item.id!r} is there twice", "DUPLICATE_ITEM")
        own.add(item.id)
        if known.setdefault(item.id, item) != item:
            raise invalid_field(path, f"{item.id!r} is another item in another rule; call it differently", "OTHER_ITEM")


def _check_sources(rule: TransitionRule, field: str) -> None:
    """A source of nothing would be a slip that nobody sees."""
    named = {*rule.required_documentation, *(gate.name for gate in rule.gates)}
    named |= {f"review.{kind_word(one.kind)}" for one in rule.required_reviews}
    for key in sorted(rule.sources):
        if key not in named:
            raise invalid_field(f"{field}.sources", f"{key!r} is nothing that this rule requires", "UNKNOWN_SOURCE")


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
