"""Moving a version through its stages: a request, the reviews that answer it, and the verdict."""

from collections.abc import Collection, Sequence
from datetime import datetime

from kernel.errors import Denied, NotAllowedNow
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import (
    GATE_KIND_CHECKLIST,
    GATE_KIND_DOCUMENTATION,
    GATE_KIND_EXPRESSION,
    GATE_KIND_FINDING,
    GATE_KIND_REVIEW,
    PHASE_PRODUCTION,
    REVIEW_DECISION_APPROVE,
    REVIEW_DECISION_REJECT,
    TRANSITION_STATE_APPROVED,
    TRANSITION_STATE_OPEN,
    TRANSITION_STATE_REJECTED,
    TRANSITION_STATE_VOID,
    TRANSITION_STATE_WITHDRAWN,
    GateOutcome,
    Project,
    Review,
    ReviewDecision,
    ReviewKind,
    TransitionRequest,
    TransitionState,
    Verdict,
    Version,
)
from services.registry.domain.access import NOWHERE, Access
from services.registry.domain.approvals import (
    bound,
    expired,
    people_behind,
    required_reviews,
    reviews_of,
    terms_of,
)
from services.registry.domain.delegated import delegation_for
from services.registry.domain.emergencies import check_reviewed
from services.registry.domain.gates import Judgement, judge
from services.registry.domain.lifecycle import step
from services.registry.domain.policy import model_of, rules_for
from services.registry.domain.requests import LIVE, live_transition, movable, place_review

_MOST_REVIEWS = 64
# Gates that no review opens: something about the version itself has to change.
_OF_THE_VERSION = (GATE_KIND_DOCUMENTATION, GATE_KIND_EXPRESSION, GATE_KIND_CHECKLIST, GATE_KIND_FINDING)


def request_transition(
    version: Version, project: Project, everywhere: Project = NOWHERE, *, to_stage: str, now: datetime
) -> facts.TransitionRequested:
    """Opens a request for reviews. Gates that fail do not hinder it: reviewers see them, and the move needs them."""
    movable(version, project)
    step(project.lifecycle, version.stage, to_stage)
    current = version.transition
    if current.state in LIVE:
        raise NotAllowedNow(
            "TRANSITION_OPEN",
            f"request {current.number} to {current.to_stage} is open; withdraw it first",
            metadata={"transition": str(current.number)},
        )
    rules = rules_for(project.policy, version, to_stage)
    judgement = judge(version, to_stage, Access(project, everywhere, now))
    return facts.TransitionRequested(
        number=current.number + 1,
        from_stage=version.stage,
        to_stage=to_stage,
        artifact_sha256=version.artifact.sha256,
        content_revision=version.content_revision,
        gates=[gate for gate in judgement.gates if gate.kind != GATE_KIND_REVIEW],
        policy_revision=project.revision,
        state=TRANSITION_STATE_OPEN if required_reviews(rules) else TRANSITION_STATE_APPROVED,
    )


def submit_review(
    version: Version,
    project: Project,
    everywhere: Project = NOWHERE,
    *,
    transition: int,
    reviewers: Sequence[str],
    kind: ReviewKind,
    decision: ReviewDecision,
    comment: str,
    evidence: Sequence[str],
    now: datetime,
    delegated_by: str = "",
) -> facts.ReviewSubmitted | None:
    """`reviewers`: who reviews, then for whom; `delegated_by`: in whose place. Nobody behind them may have made the
    version."""
    current = live_transition(version, project, transition)
    access = Access(project, everywhere, now)
    rules = rules_for(project.policy, version, current.to_stage)
    terms = terms_of(version, rules, access)
    _check_other_people(version, [*reviewers, delegated_by], terms.barred, access)
    if decision == REVIEW_DECISION_APPROVE:
        check_reviewed(access)
    given = Review(kind=kind, decision=decision, reviewer=reviewers[0], comment=comment, evidence=evidence)
    given.on_behalf_of.extend(reviewers[1:])
    given.review_time.FromDatetime(now)
    if delegated_by:
        given.delegated_by, given.delegation = delegated_by, _delegation(version, project, given, delegated_by, now)
    if any(_same_review(one, given) and not expired(one, terms.valid_seconds, now) for one in current.reviews):
        return None
    if len(current.reviews) >= _MOST_REVIEWS:
        raise NotAllowedNow("TOO_MANY_REVIEWS", f"request {transition} has {_MOST_REVIEWS} reviews already")
    after = TransitionRequest()
    after.CopyFrom(current)
    place_review(after, given)
    satisfied = all(len(reviews_of(after, one, terms, access)) >= one.count for one in required_reviews(rules))
    return facts.ReviewSubmitted(
        transition=transition,
        kind=kind,
        decision=decision,
        comment=comment,
        evidence=evidence,
        artifact_sha256=version.artifact.sha256,
        content_revision=version.content_revision,
        state=_state_after(decision, satisfied=satisfied),
        policy_revision=project.revision,
        delegated_by=given.delegated_by,
        delegation=given.delegation,
    )


def _delegation(version: Version, project: Project, given: Review, delegated_by: str, now: datetime) -> int:
    """Number of the delegation by which the review is given in somebody's place; Denied when there is none."""
    model = model_of(version)
    found = delegation_for(
        project, delegated_by=delegated_by, reviewer=given.reviewer, kind=given.kind, model=model, now=now
    )
    return int(found.number)


def _check_other_people(version: Version, reviewers: Sequence[str], barred: Collection[str], access: Access) -> None:
    involved = next((one for one in reviewers if one and not access.people([one]).isdisjoint(barred)), "")
    if involved:
        raise Denied(
            "SEPARATION_OF_DUTIES",
            f"{involved}, or who owns it, made {version.name}; somebody else has to review it",
            metadata={"principal": involved},
        )


def _state_after(decision: ReviewDecision, *, satisfied: bool) -> TransitionState:
    if decision == REVIEW_DECISION_REJECT:
        return TRANSITION_STATE_REJECTED
    return TRANSITION_STATE_APPROVED if satisfied else TRANSITION_STATE_OPEN


def withdraw_transition(version: Version, project: Project, *, transition: int) -> facts.TransitionDecided | None:
    movable(version, project)
    current = version.transition
    if current.number == transition and current.state == TRANSITION_STATE_WITHDRAWN:
        return None
    live_transition(version, project, transition)
    return facts.TransitionDecided(transition=transition, state=TRANSITION_STATE_WITHDRAWN)


def change_stage(
    version: Version, project: Project, everywhere: Project = NOWHERE, *, to_stage: str, now: datetime
) -> facts.StageChanged | None:
    """Moves the version if every gate passes; a live request for this very move is committed with it."""
    movable(version, project)
    if version.stage == to_stage:
        return None
    target = step(project.lifecycle, version.stage, to_stage)
    access = Access(project, everywhere, now)
    if target.phase == PHASE_PRODUCTION:
        check_reviewed(access)
    judgement = judge(version, to_stage, access)
    _refuse_failed(version, judgement, to_stage)
    current = version.transition
    approvers = [one.reviewer for one in judgement.approvals]
    committed = current.state in LIVE and bound(current, version, to_stage)
    verdict = Verdict(
        from_stage=version.stage,
        to_stage=to_stage,
        transition=current.number if committed else 0,
        policy_revision=project.revision,
        gates=judgement.gates,
        approvers=approvers,
        artifact_sha256=version.artifact.sha256,
        content_revision=version.content_revision,
        answered_for={one.reviewer: one.delegated_by for one in judgement.approvals if one.delegated_by},
    )
    verdict.judge_time.FromDatetime(now)
    return facts.StageChanged(
        from_stage=version.stage,
        to_stage=to_stage,
        from_phase=version.phase,
        to_phase=target.phase,
        artifact_sha256=version.artifact.sha256,
        approvers=approvers,
        verdict=verdict,
        approving_people=sorted(frozenset().union(*(people_behind(one, access) for one in judgement.approvals))),
    )


def _refuse_failed(version: Version, judgement: Judgement, to_stage: str) -> None:
    if failed := judgement.failed(*_OF_THE_VERSION):
        raise NotAllowedNow("GATES_FAILED", f"{version.name} may not move: {_told(failed)}", metadata=_reasons(failed))
    if failed := judgement.failed():
        current = version.transition
        void = current.state == TRANSITION_STATE_VOID and current.to_stage == to_stage
        text = f"request {current.number} is void: {current.void_reason}" if void else _told(failed)
        reason = "TRANSITION_VOID" if void else "APPROVAL_REQUIRED"
        raise NotAllowedNow(reason, f"{version.name} may not move: {text}", metadata=_reasons(failed))


def _told(failed: Sequence[GateOutcome]) -> str:
    return "; ".join(f"{one.name} ({one.condition}): {one.reason}" for one in failed[:5])


def _reasons(failed: Sequence[GateOutcome]) -> dict[str, str]:
    return {one.name: one.reason for one in failed[:32]}


def _same_review(known: Review, given: Review) -> bool:
    return (
        (known.kind, known.decision, known.reviewer) == (given.kind, given.decision, given.reviewer)
        and known.comment == given.comment
        and list(known.evidence) == list(given.evidence)
        and list(known.on_behalf_of) == list(given.on_behalf_of)
        and known.delegated_by == given.delegated_by
    )
