"""Judging a transition: every condition it has to meet, with its outcome and what it was judged on."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from modelog.registry.v1.types_pb2 import (
    GATE_KIND_CARD,
    GATE_KIND_DOCUMENTATION,
    GATE_KIND_EMERGENCY,
    GATE_KIND_EXPRESSION,
    GATE_KIND_LIFECYCLE,
    GATE_KIND_REVIEW,
    GATE_RESULT_FAILED,
    GATE_RESULT_PASSED,
    PHASE_PRODUCTION,
    REVIEW_DECISION_APPROVE,
    TRANSITION_STATE_REJECTED,
    TRANSITION_STATE_UNSPECIFIED,
    GateKind,
    GateOutcome,
    Policy,
    Project,
    RequiredReview,
    Review,
    ReviewKind,
    TransitionRequest,
    TransitionRule,
    TransitionState,
    Version,
)
from services.registry.domain.access import Access
from services.registry.domain.card import missing_of, version_share
from services.registry.domain.emergencies import why_frozen
from services.registry.domain.expressions import BUDGET_STEPS, evaluate
from services.registry.domain.lifecycle import LAST_PHASES, leads, stage_in
from services.registry.domain.policy import rules_for
from services.registry.domain.requests import LIVE
from services.registry.domain.seen import values_of


class Judgement(NamedTuple):
    """What a transition has to meet. approvals: the approving reviews that count, one a person."""

    gates: list[GateOutcome]
    approvals: list[Review]

    def failed(self, *kinds: GateKind) -> list[GateOutcome]:
        return [one for one in self.gates if one.result != GATE_RESULT_PASSED and (not kinds or one.kind in kinds)]


def judge(version: Version, to_stage: str, access: Access) -> Judgement:
    """Every gate between the version's present stage and `to_stage`, under the project's lifecycle and policy."""
    project = access.project
    rules = rules_for(project.policy, version.stage, to_stage)
    reviews, approvals = _reviews(version, to_stage, rules, access)
    gates = [_lifecycle(version, project, to_stage), *_documentation(version, rules)]
    gates += [*_card(version, rules, project.policy), *_expressions(version, rules, project.policy)]
    return Judgement([*gates, *reviews, *_emergencies(to_stage, access)], approvals)


def required_reviews(rules: Sequence[TransitionRule]) -> list[RequiredReview]:
    """What all the rules require together: of the same kind and role the larger count."""
    most: dict[tuple[ReviewKind, str], RequiredReview] = {}
    for rule in rules:
        for one in rule.required_reviews:
            known = most.get((one.kind, one.role))
            if known is None or known.count < one.count:
                most[one.kind, one.role] = one
    return list(most.values())


def reviewers_of(
    transition: TransitionRequest, required: RequiredReview, model: str, barred: Collection[str], access: Access
) -> list[str]:
    """Who approves in a way that counts, in the order of their reviews. Who answers for others: all need the role."""

    def wanted(review: Review) -> bool:
        answering = (review.reviewer, *review.on_behalf_of)
        return review.kind == required.kind and (
            not required.role or all(access.holds(one, required.role, model) for one in answering)
        )

    return [review.reviewer for review in _counting(transition, barred, access, wanted)]


def _counting(
    transition: TransitionRequest, barred: Collection[str], access: Access, wanted: Callable[[Review], bool]
) -> list[Review]:
    """Approvals that are wanted, of nobody who is barred, and one only of whatever accounts the same person uses."""
    counting: list[Review] = []
    seen = set(barred)
    for review in transition.reviews:
        behind = people_behind(review, access)
        if review.decision == REVIEW_DECISION_APPROVE and seen.isdisjoint(behind) and wanted(review):
            counting.append(review)
            seen |= behind
    return counting


def people_behind(review: Review, access: Access) -> frozenset[str]:
    return access.people((review.reviewer, *review.on_behalf_of))


def barred_from(version: Version, rules: Sequence[TransitionRule], access: Access) -> Collection[str]:
    """Who may not review this version under these rules. Without any rule separation of duties holds as well."""
    waived = bool(rules) and all(rule.author_may_review for rule in rules)
    return () if waived else access.people(version.makers)


def bound(transition: TransitionRequest, version: Version, to_stage: str) -> bool:
    """Whether a request speaks of this move of this very artifact and content."""
    return (
        transition.to_stage == to_stage
        and transition.from_stage == version.stage
        and transition.artifact_sha256 == version.artifact.sha256
        and transition.content_revision == version.content_revision
    )


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
    return _outcome("lifecycle", GATE_KIND_LIFECYCLE, condition, reason, {"stage": version.stage})


def _documentation(version: Version, rules: Sequence[TransitionRule]) -> list[GateOutcome]:
    fields = dict.fromkeys(field for rule in rules for field in rule.required_documentation)
    return [
        _outcome(
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
    return [_outcome("card", GATE_KIND_CARD, f"the card's completeness is at least {wanted:g}", reason, evidence)]


def _expressions(version: Version, rules: Sequence[TransitionRule], policy: Policy) -> list[GateOutcome]:
    gates = [gate for rule in rules for gate in rule.gates]
    values = values_of(version, policy) if gates else {}
    outcomes, budget_steps = [], BUDGET_STEPS
    for gate in gates:
        result = evaluate(gate.expression, values, budget_steps)
        budget_steps -= result.steps
        outcomes.append(_outcome(gate.name, GATE_KIND_EXPRESSION, gate.expression, result.reason, result.evidence))
    return outcomes


def _emergencies(to_stage: str, access: Access) -> list[GateOutcome]:
    """A gate only while it is closed, so that verdicts do not speak of what never was."""
    target = stage_in(access.project.lifecycle, to_stage)
    frozen = why_frozen(access) if target is not None and target.phase == PHASE_PRODUCTION else ""
    condition = "every emergency was reviewed within a day"
    return [_outcome("emergencies", GATE_KIND_EMERGENCY, condition, frozen, {})] if frozen else []


def _reviews(
    version: Version, to_stage: str, rules: Sequence[TransitionRule], access: Access
) -> tuple[list[GateOutcome], list[Review]]:
    transition = version.transition
    about = bound(transition, version, to_stage)
    if about and transition.state == TRANSITION_STATE_REJECTED:
        who = ", ".join(_rejecting(transition.reviews))
        reason = f"rejected by {who}; request the transition again once that is answered"
        return [_outcome("rejection", GATE_KIND_REVIEW, "no review rejects", reason, {"reviewers": who})], []
    live = transition if about and transition.state in LIVE else TransitionRequest()
    barred = barred_from(version, rules, access)
    outcomes, model = [], model_of(version)
    for required in required_reviews(rules):
        who_approves = reviewers_of(live, required, model, barred, access)
        missing = required.count - len(who_approves)
        outcomes.append(
            _outcome(
                ReviewKind.Name(required.kind).removeprefix("REVIEW_KIND_").lower(),
                GATE_KIND_REVIEW,
                f"approved by {required.count}" + (f" holding {required.role}" if required.role else ""),
                "" if missing <= 0 else _missing(missing, version, live),
                {"reviewers": ", ".join(who_approves), "transition": str(live.number)},
            )
        )
    return outcomes, _counting(live, barred, access, lambda _: True)


def model_of(version: Version) -> str:
    """`projects/risk/models/fraud` of a version of it."""
    return version.name.partition("/versions/")[0]


def _rejecting(reviews: Sequence[Review]) -> list[str]:
    return list(dict.fromkeys(review.reviewer for review in reviews if review.decision != REVIEW_DECISION_APPROVE))


def _missing(missing: int, version: Version, live: TransitionRequest) -> str:
    if live.number:
        return f"{missing} more needed on transition request {live.number}"
    state = version.transition.state
    if state == TRANSITION_STATE_UNSPECIFIED:
        return "no transition was requested; request it, then have it reviewed"
    was = TransitionState.Name(state).removeprefix("TRANSITION_STATE_")
    return f"transition request {version.transition.number} to {version.transition.to_stage} is {was}; request it again"


def _outcome(name: str, kind: GateKind, condition: str, reason: str, evidence: dict[str, str]) -> GateOutcome:
    result = GATE_RESULT_FAILED if reason else GATE_RESULT_PASSED
    return GateOutcome(name=name, kind=kind, result=result, condition=condition, reason=reason, evidence=evidence)
