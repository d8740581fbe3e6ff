"""What to do about a gate that failed, and who could: the second half of "why can this version not move?"."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from access.matrix import OWN, ROLES
from access.people import ACCOUNT
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1.governance_pb2 import NextStep
from modelog.registry.v1.types_pb2 import (
    FINDING_STATE_ANSWERED,
    Finding,
    GateOutcome,
    Project,
    RequiredReview,
    RoleBinding,
    TransitionRule,
    Version,
)
from services.registry.domain.access import Access, ran_out
from services.registry.domain.approvals import (
    barred_from,
    bound,
    counting,
    people_behind,
    required_reviews,
    terms_of,
    wants,
)
from services.registry.domain.checklists import items_of
from services.registry.domain.findings import blocking_from, why_blocking
from services.registry.domain.lifecycle import stage_in
from services.registry.domain.policy import kind_word, model_of, rules_for
from services.registry.domain.requests import LIVE

_MOST_NAMED = 20
_WORD = re.compile(r"[a-z_]+")
_METHODS = {
    "UpdateVersion": "registry.versions.update",
    "SetTag": "registry.tags.set",
    "RecordEvaluation": "registry.evaluations.record",
    "AnswerChecklist": "registry.checklists.answer",
    "ResolveFinding": "registry.findings.resolve",
    "ConfirmFinding": "registry.findings.confirm",
    "RequestTransition": "registry.transitions.request",
    "SubmitReview": "registry.reviews.submit",
    "ReviewEmergency": "registry.emergencies.review",
    "ChangeStage": "registry.versions.change_stage",
}


class _Advice(NamedTuple):
    """A step before it is known who could take it: none of `barred`, and only holders of `role` where one is named."""

    step: NextStep
    barred: Collection[str] = ()
    role: str = ""


def next_steps(version: Version, to_stage: str, failed: Sequence[GateOutcome], access: Access) -> list[NextStep]:
    """At least one step for every failed gate, in their order."""
    rules = rules_for(access.project.policy, version, to_stage)
    holders: dict[str, list[str]] = {}
    found: list[NextStep] = []
    for gate in failed:
        for advice in _steps(version, to_stage, gate, rules, access):
            permission = advice.step.permission
            if permission not in holders:
                holders[permission] = _holders(version, permission, access)
            _name(advice, holders[permission], model_of(version), access)
            advice.step.condition = gate.condition  # Several gates may have one name.
            found.append(advice.step)
    return found


def _name(advice: _Advice, holders: Sequence[str], model: str, access: Access) -> None:
    """Writes into the step who could take it."""
    could = [
        one
        for one in holders
        if not _stands_behind(one, advice.barred, access) and (not advice.role or access.holds(one, advice.role, model))
    ]
    advice.step.principals.extend(could[:_MOST_NAMED])
    advice.step.more = len(could) > _MOST_NAMED


def _steps(
    version: Version, to_stage: str, gate: GateOutcome, rules: Sequence[TransitionRule], access: Access
) -> Iterator[_Advice]:
    match gate.kind:
        case types.GATE_KIND_LIFECYCLE:
            yield _step(gate, "", _way(version, to_stage, access))
        case types.GATE_KIND_DOCUMENTATION:
            yield _step(gate, "UpdateVersion", f"write documentation.{gate.name}")
        case types.GATE_KIND_EXPRESSION:
            yield _step(gate, *_mend(gate))
        case types.GATE_KIND_CHECKLIST:
            yield _checklist(version, gate, rules, access)
        case types.GATE_KIND_FINDING:
            yield from _findings(version, gate, rules, access)
        case types.GATE_KIND_REVIEW:
            yield _review(version, to_stage, gate, rules, access)
        case types.GATE_KIND_EMERGENCY:
            yield _step(gate, "ReviewEmergency", "say whether taking the role was right")
        case _:
            yield _step(gate, "", "have the policy looked at")


def _way(version: Version, to_stage: str, access: Access) -> str:
    lifecycle = access.project.lifecycle
    here, there = stage_in(lifecycle, version.stage), stage_in(lifecycle, to_stage)
    if there is None:
        return f"name a stage of the lifecycle: {', '.join(one.id for one in lifecycle.stages)}"
    via = next((one for one in (here.next if here else ()) if to_stage in _onward(one, access)), "")
    if via:
        return f"move it to {via} first, which leads to {to_stage}"
    ways = ", ".join(here.next) if here is not None and here.next else "nowhere"
    return f"{version.stage} leads to {ways}; go from there, or have the lifecycle changed"


def _onward(stage_id: str, access: Access) -> Collection[str]:
    """Every stage that can be reached from one, so that the way named first is a way at all."""
    reached: dict[str, None] = {}
    waiting = [stage_id]
    while waiting:
        stage = stage_in(access.project.lifecycle, waiting.pop())
        new = [one for one in (stage.next if stage else ()) if one not in reached]
        reached |= dict.fromkeys(new)
        waiting += new
    return reached


def _mend(gate: GateOutcome) -> tuple[str, str]:
    """The method and the words for an expression, by what it speaks of."""
    paths = ", ".join(f"{path} is {value}" for path, value in sorted(gate.evidence.items())[:3])
    told = f"make it hold ({paths})" if paths else "make it hold"
    named = set(_WORD.findall(gate.condition))
    if named & {"evaluations", "fairness"}:
        return "RecordEvaluation", f"{told}: record an evaluation, or register a better version"
    if "documentation" in named:
        return "UpdateVersion", told
    if "tags" in named:
        return "SetTag", told
    return "", f"{told}; what it speaks of was fixed when the version was registered, so register another"


def _checklist(version: Version, gate: GateOutcome, rules: Sequence[TransitionRule], access: Access) -> _Advice:
    item = items_of(rules)[gate.name.removeprefix("checklist.")]
    shown = ", with the address of something that shows it" if item.evidence_required else ""
    barred = access.people(version.makers) if item.not_by_makers else ()
    return _step(gate, "AnswerChecklist", f"answer {item.id}{shown}", barred=barred, role=item.role)


def _findings(
    version: Version, gate: GateOutcome, rules: Sequence[TransitionRule], access: Access
) -> Iterator[_Advice]:
    least = blocking_from(rules)
    for one in version.findings:
        if one.severity >= least and why_blocking(one, access.now):
            yield _finding(version, gate, one, access)


def _finding(version: Version, gate: GateOutcome, one: Finding, access: Access) -> _Advice:
    if one.state == FINDING_STATE_ANSWERED:
        barred = access.people(version.makers) | frozenset(one.answer.people)
        text = f"confirm that finding {one.number} is resolved, or open it again"
        return _step(gate, "ConfirmFinding", text, barred=barred, number=one.number)
    text = f"resolve finding {one.number}, or have it accepted"
    return _step(gate, "ResolveFinding", text, number=one.number)


def _review(
    version: Version, to_stage: str, gate: GateOutcome, rules: Sequence[TransitionRule], access: Access
) -> _Advice:
    transition = version.transition
    if not (transition.state in LIVE and bound(transition, version, to_stage)):
        return _step(gate, "RequestTransition", f"request the move to {to_stage}")
    asked = (one for one in required_reviews(rules) if kind_word(one.kind) == gate.name)
    required = next((one for one in asked if wants(one) == gate.condition), RequiredReview())
    terms = terms_of(version, rules, access)
    given = [one for one in counting(transition, terms, access) if one.kind == required.kind]
    barred = access.people(barred_from(version, rules, access)).union(*(people_behind(one, access) for one in given))
    text = f"submit {_an(gate.name)} review of request {transition.number}"
    return _step(gate, "SubmitReview", text, barred=barred, role=required.role, number=transition.number)


def _an(word: str) -> str:
    return f"an {word}" if word[:1] in "aeiou" else f"a {word}"


def _step(
    gate: GateOutcome, method: str, text: str, *, barred: Collection[str] = (), role: str = "", number: int = 0
) -> _Advice:
    permission = _METHODS.get(method, "")
    step = NextStep(gate=gate.name, kind=gate.kind, text=text, method=method, permission=permission, number=number)
    return _Advice(step, barred, role)


def _stands_behind(principal: str, barred: Collection[str], access: Access) -> bool:
    """Whether a principal, or who owns it, is barred. Only accounts have owners, and most principals are people."""
    if principal.startswith(ACCOUNT):
        return not access.people([principal]).isdisjoint(barred)
    return principal in barred


def _holders(version: Version, permission: str, access: Access) -> list[str]:
    """Who holds a permission on the version now by a role that was granted, each once, in the order of granting."""
    model = model_of(version)
    found = (
        binding.principal
        for state in (access.project, access.everywhere)
        for binding in state.roles
        if permission and binding.model in ("", model) and not ran_out(binding, access.now)
        if _allows(version, state, binding, permission)
    )
    return list(dict.fromkeys(found))


def _allows(version: Version, state: Project, binding: RoleBinding, permission: str) -> bool:
    """Whether a role, as the project defines it that granted it, allows something on this version."""
    permissions: Collection[str] = ROLES.get(binding.role, ())
    if binding.role not in ROLES and binding.role in state.role_definitions:
        permissions = state.role_definitions[binding.role].permissions
    if permission not in permissions:
        return False
    return (binding.role, permission) not in OWN or binding.principal in version.makers
