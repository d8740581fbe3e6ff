"""Judging a transition: every condition it has to meet, with its outcome and what it was judged on."""

from collections.abc import Sequence
from typing import NamedTuple

from kernel.expressions import BUDGET_STEPS, evaluate
from modelog.registry.v1.types_pb2 import (
    FINDING_STATE_ACCEPTED,
    GATE_KIND_CARD,
    GATE_KIND_CHECKLIST,
    GATE_KIND_DOCUMENTATION,
    GATE_KIND_EMERGENCY,
    GATE_KIND_EXPRESSION,
    GATE_KIND_FINDING,
    GATE_KIND_LIFECYCLE,
    GATE_RESULT_PASSED,
    PHASE_PRODUCTION,
    ChecklistItem,
    ChecklistResult,
    GateKind,
    GateOutcome,
    Policy,
    Project,
    Review,
    Severity,
    TransitionRule,
    Version,
)
from services.registry.domain.access import Access
from services.registry.domain.approvals import review_gates
from services.registry.domain.card import missing_of, version_share
from services.registry.domain.checklists import items_of, why_unanswered
from services.registry.domain.emergencies import why_frozen
from services.registry.domain.findings import blocking_from, why_blocking
from services.registry.domain.lifecycle import LAST_PHASES, leads, stage_in
from services.registry.domain.outcomes import outcome
from services.registry.domain.policy import rules_for
from services.registry.domain.seen import values_of


class Judgement(NamedTuple):
    """What a transition has to meet. approvals: the approving reviews that count, one a person."""

    gates: list[GateOutcome]
    approvals: list[Review]

    def failed(self, *kinds: GateKind) -> list[GateOutcome]:
        return [one for one in self.gates if one.result != GATE_RESULT_PASSED and (not kinds or one.kind in kinds)]


def judge(version: Version, to_stage: str, access: Access) -> Judgement:
    """Every gate between the version's present stage and `to_stage`, under the project's lifecycle and policy.

    The same version, project, roles and moment give the same bytes: a verdict can be judged again from the log.
    """
    project = access.project
    rules = rules_for(project.policy, version, to_stage)
    reviews, approvals = review_gates(version, to_stage, rules, access)
    gates = [
        _lifecycle(version, project, to_stage),
        *_documentation(version, rules),
        *_card(version, rules, project.policy),
        *_expressions(version, rules, project),
        *_checklists(version, rules, access),
        *_findings(version, rules, access),
        *reviews,
        *_emergencies(to_stage, access),
    ]
    sources = {key: source for rule in rules for key, source in sorted(rule.sources.items())}
    for gate in gates:
        gate.source = gate.source or sources.get(gate.name) or sources.get(f"review.{gate.name}") or ""
    return Judgement(gates, approvals)


def _lifecycle(version: Version, project: Project, to_stage: str) -> GateOutcome:
    target = stage_in(project.lifecycle, to_stage)
    if target is None:
        reason = f"{to_stage!r} is no stage of the lifecycle"
    elif target.phase in LAST_PHASES:
        reason = "versions get there by retiring"
    elif not leads(project.lifecycle, version.stage, to_stage):
        reason = f"{version.stage} does not lead to {to_stage}"
    else:
        reason = ""
    condition = f"{version.stage} leads to {to_stage}"
    return outcome("lifecycle", GATE_KIND_LIFECYCLE, condition, reason, {"stage": version.stage})


def _documentation(version: Version, rules: Sequence[TransitionRule]) -> list[GateOutcome]:
    fields = dict.fromkeys(field for rule in rules for field in rule.required_documentation)
    return [
        outcome(
            field,
            GATE_KIND_DOCUMENTATION,
            f"documentation.{field} is filled in",
            "" if getattr(version.documentation, field).strip() else "it is empty",
            {"characters": str(len(getattr(version.documentation, field)))},
        )
        for field in fields
    ]


def _card(version: Version, rules: Sequence[TransitionRule], policy: Policy) -> list[GateOutcome]:
    """The model card says as much as the strictest rule asks; the outcome names what is missing."""
    wanted = max((rule.card_completeness for rule in rules), default=0.0)
    if not wanted:
        return []
    share, (_, missing) = version_share(version, policy), missing_of(version, policy)
    reason = "" if share >= wanted else f"it is {share:.2f}; missing: {', '.join(missing)}"
    evidence = {"completeness": f"{share:.6g}", "missing": ", ".join(missing)}
    return [outcome("card", GATE_KIND_CARD, f"the card's completeness is at least {wanted:g}", reason, evidence)]


def _expressions(version: Version, rules: Sequence[TransitionRule], project: Project) -> list[GateOutcome]:
    gates = [gate for rule in rules for gate in rule.gates]
    values = values_of(version, project.trusted_keys, project.policy) if gates else {}
    outcomes, budget_steps = [], BUDGET_STEPS
    for gate in gates:
        result = evaluate(gate.expression, values, budget_steps)
        budget_steps -= result.steps
        outcomes.append(outcome(gate.name, GATE_KIND_EXPRESSION, gate.expression, result.reason, result.evidence))
    return outcomes


def _checklists(version: Version, rules: Sequence[TransitionRule], access: Access) -> list[GateOutcome]:
    return [_item(version, item, why_unanswered(item, version, access)) for item in items_of(rules).values()]


def _item(version: Version, item: ChecklistItem, reason: str) -> GateOutcome:
    evidence: dict[str, str] = {}
    if item.id in version.checklist:
        answer = version.checklist[item.id]
        evidence = {
            "result": ChecklistResult.Name(answer.result).removeprefix("CHECKLIST_RESULT_"),
            "answered_by": answer.answered_by,
            "evidence": ", ".join(answer.evidence),
            "content_revision": str(answer.content_revision),
        }
    gate = outcome(f"checklist.{item.id}", GATE_KIND_CHECKLIST, item.text, reason, evidence)
    gate.source = item.source
    return gate


def _findings(version: Version, rules: Sequence[TransitionRule], access: Access) -> list[GateOutcome]:
    """A gate where something was found or a rule asks for it, so that verdicts do not speak of what never was."""
    if not rules or not (version.findings or any(rule.findings_block_from for rule in rules)):
        return []
    least = blocking_from(rules)
    blocking = [
        (one, why) for one in version.findings if one.severity >= least and (why := why_blocking(one, access.now))
    ]
    told = [f"finding {one.number} ({_severity(one.severity)}, {one.title!r}) is {why}" for one, why in blocking]
    more = f"; and {len(told) - 5} more" if len(told) > 5 else ""
    evidence = {
        "blocking": ", ".join(str(one.number) for one, _ in blocking),
        "accepted": ", ".join(str(one.number) for one in version.findings if one.state == FINDING_STATE_ACCEPTED),
        "raised": str(len(version.findings)),
    }
    condition = f"no finding of {_severity(least)} or above is unsettled"
    return [outcome("findings", GATE_KIND_FINDING, condition, "; ".join(told[:5]) + more, evidence)]


def _emergencies(to_stage: str, access: Access) -> list[GateOutcome]:
    """A gate only while it is closed, so that verdicts do not speak of what never was."""
    target = stage_in(access.project.lifecycle, to_stage)
    frozen = why_frozen(access) if target is not None and target.phase == PHASE_PRODUCTION else ""
    condition = "every emergency was reviewed within a day"
    return [outcome("emergencies", GATE_KIND_EMERGENCY, condition, frozen, {})] if frozen else []


def _severity(severity: Severity) -> str:
    return Severity.Name(severity).removeprefix("SEVERITY_")
