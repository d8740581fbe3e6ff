"""Which reviews of a request count, for whom, and until when: one a person, of nobody who made the version."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from modelog.registry.v1.types_pb2 import (
    GATE_KIND_REVIEW,
    REVIEW_DECISION_APPROVE,
    TRANSITION_STATE_REJECTED,
    TRANSITION_STATE_UNSPECIFIED,
    GateOutcome,
    RequiredReview,
    Review,
    ReviewKind,
    TransitionRequest,
    TransitionRule,
    TransitionState,
    Version,
)
from services.registry.domain.access import Access
from services.registry.domain.outcomes import outcome
from services.registry.domain.policy import kind_word, model_of
from services.registry.domain.requests import LIVE


class Terms(NamedTuple):
    """On which terms reviews count. barred: whose do not; valid_seconds: for how long, 0 for ever."""

    model: str
    barred: Collection[str]
    valid_seconds: int


def terms_of(version: Version, rules: Sequence[TransitionRule], access: Access) -> Terms:
    named = [rule.approval_valid_seconds for rule in rules if rule.approval_valid_seconds]
    return Terms(model_of(version), barred_from(version, rules, access), min(named, default=0))


def barred_from(version: Version, rules: Sequence[TransitionRule], access: Access) -> Collection[str]:
    """Who may not review this version under these rules. Without any rule separation of duties holds as well."""
    waived = bool(rules) and all(rule.author_may_review for rule in rules)
    return () if waived else access.people(version.makers)


def required_reviews(rules: Sequence[TransitionRule]) -> list[RequiredReview]:
    """What all the rules require together: of the same kind and role the larger count."""
    most: dict[tuple[ReviewKind, str], RequiredReview] = {}
    for rule in rules:
        for one in rule.required_reviews:
            known = most.get((one.kind, one.role))
            if known is None or known.count < one.count:
                most[one.kind, one.role] = one
    return list(most.values())


def wants(required: RequiredReview) -> str:
    """What is required, in words: the condition of its gate."""
    return f"approved by {required.count}" + (f" holding {required.role}" if required.role else "")


def reviews_of(transition: TransitionRequest, required: RequiredReview, terms: Terms, access: Access) -> list[Review]:
    """The approvals that count towards a requirement, in the order of the reviews.

    Who answers for others: all need the role. Who answers in somebody's place: that one needs it.
    """

    def wanted(review: Review) -> bool:
        answering = (review.delegated_by or review.reviewer, *review.on_behalf_of)
        return review.kind == required.kind and (
            not required.role or all(access.holds(one, required.role, terms.model) for one in answering)
        )

    return counting(transition, terms, access, wanted)


def counting(
    transition: TransitionRequest, terms: Terms, access: Access, wanted: Callable[[Review], bool] = lambda _: True
) -> list[Review]:
    """Approvals that are wanted and still hold, of nobody who is barred, and one only of whatever accounts the same
    person uses."""
    found: list[Review] = []
    seen = set(terms.barred)
    for review in transition.reviews:
        behind = people_behind(review, access)
        holds = review.decision == REVIEW_DECISION_APPROVE and not expired(review, terms.valid_seconds, access.now)
        if holds and seen.isdisjoint(behind) and wanted(review):
            found.append(review)
            seen |= behind
    return found


def people_behind(review: Review, access: Access) -> frozenset[str]:
    """Who gave it, for whom and in whose place, and who owns their accounts."""
    return access.people(filter(None, (review.reviewer, review.delegated_by, *review.on_behalf_of)))


def expires(review: Review, valid_seconds: int) -> datetime:
    """When an approval ceases to count, as UTC without zone."""
    return review.review_time.ToDatetime() + timedelta(seconds=valid_seconds)


def expired(review: Review, valid_seconds: int, now: datetime) -> bool:
    return bool(valid_seconds) and expires(review, valid_seconds) <= now.replace(tzinfo=None)


def bound(transition: TransitionRequest, version: Version, to_stage: str) -> bool:
    """Whether a request speaks of this move of this very artifact and content."""
    return (
        transition.to_stage == to_stage
        and transition.from_stage == version.stage
        and transition.artifact_sha256 == version.artifact.sha256
        and transition.content_revision == version.content_revision
    )


def review_gates(
    version: Version, to_stage: str, rules: Sequence[TransitionRule], access: Access
) -> tuple[list[GateOutcome], list[Review]]:
    """The gates of the required reviews, and every approval that counts."""
    transition = version.transition
    about = bound(transition, version, to_stage)
    if about and transition.state == TRANSITION_STATE_REJECTED:
        who = ", ".join(_rejecting(transition.reviews))
        reason = f"rejected by {who}; request the transition again once that is answered"
        return [outcome("rejection", GATE_KIND_REVIEW, "no review rejects", reason, {"reviewers": who})], []
    live = transition if about and transition.state in LIVE else TransitionRequest()
    terms = terms_of(version, rules, access)
    gates = [_gate(version, live, one, terms, access) for one in required_reviews(rules)]
    return gates, counting(live, terms, access)


def _gate(
    version: Version, live: TransitionRequest, required: RequiredReview, terms: Terms, access: Access
) -> GateOutcome:
    approving = reviews_of(live, required, terms, access)
    missing = required.count - len(approving)
    lapsed = [one for one in live.reviews if one.kind == required.kind and _lapsed(one, terms, access)]
    evidence = {"reviewers": ", ".join(map(_who, approving)), "transition": str(live.number)}
    reason = ""
    if missing > 0:
        reason = _missing(missing, version, live)
        reason += "".join(f"; {_who(one)}'s approval expired {_moment(one, terms)}" for one in lapsed)
    if lapsed:
        evidence["expired"] = ", ".join(f"{_who(one)} {_moment(one, terms)}" for one in lapsed)
    return outcome(
        kind_word(required.kind),
        GATE_KIND_REVIEW,
        wants(required),
        reason,
        evidence,
    )


def _lapsed(review: Review, terms: Terms, access: Access) -> bool:
    return review.decision == REVIEW_DECISION_APPROVE and expired(review, terms.valid_seconds, access.now)


def _moment(review: Review, terms: Terms) -> str:
    return f"{expires(review, terms.valid_seconds):%Y-%m-%dT%H:%M:%SZ}"


def _who(review: Review) -> str:
    return f"{review.reviewer} for {review.delegated_by}" if review.delegated_by else str(review.reviewer)


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
