"""A transition request as a version carries it: whether it can still be answered, and how it is folded.

An approval binds to what was reviewed. So every request names the artifact's digest and the content's revision, and the
fold makes it VOID as soon as either is no longer what the version has.
"""

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, NotFound
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import (
    TRANSITION_STATE_APPROVED,
    TRANSITION_STATE_COMMITTED,
    TRANSITION_STATE_OPEN,
    TRANSITION_STATE_VOID,
    Project,
    Review,
    TransitionRequest,
    TransitionState,
    Version,
)
from services.registry.domain.lifecycle import LAST_PHASES
from services.registry.domain.project import present as project_present

LIVE = (TRANSITION_STATE_OPEN, TRANSITION_STATE_APPROVED)


def movable(version: Version, project: Project) -> None:
    if not version.name:
        raise NotFound("VERSION_NOT_FOUND", "there is no such version; register it first")
    project_present(project)
    if version.phase in LAST_PHASES:
        raise NotAllowedNow("VERSION_RETIRED", f"{version.name} is retired and does not change any more")


def live_transition(version: Version, project: Project, number: int) -> TransitionRequest:
    """The version's newest request if it has this number and may still be answered."""
    movable(version, project)
    current = version.transition
    if current.number != number:
        newest = f"the newest is {current.number}" if current.number else "there is none"
        raise NotAllowedNow("TRANSITION_NOT_OPEN", f"request {number} is not open; {newest}")
    if current.state == TRANSITION_STATE_VOID:
        raise NotAllowedNow(
            "TRANSITION_VOID", f"request {number} is void: {current.void_reason}; request the transition again"
        )
    if current.state not in LIVE:
        was = TransitionState.Name(current.state).removeprefix("TRANSITION_STATE_")
        raise NotAllowedNow("TRANSITION_NOT_OPEN", f"request {number} is {was}; request the transition again")
    return current


def place_review(transition: TransitionRequest, review: Review) -> None:
    """Puts a review at the end, in the place of what the same reviewer said about the same before."""
    for index, known in enumerate(transition.reviews):
        if (known.reviewer, known.kind) == (review.reviewer, review.kind):
            del transition.reviews[index]
            break
    transition.reviews.append(review)


def fold_void(version: Version, why: str) -> None:
    """A live request no longer stands, because `why`."""
    if version.transition.state in LIVE:
        version.transition.state = TRANSITION_STATE_VOID
        version.transition.void_reason = why


def evolve_transition(version: Version, event: Message, envelope: Fact) -> bool:
    """Folds the events of this module; False for any other."""
    match event:
        case facts.TransitionRequested():
            version.transition.CopyFrom(
                TransitionRequest(
                    number=event.number,
                    from_stage=event.from_stage,
                    to_stage=event.to_stage,
                    state=event.state,
                    artifact_sha256=event.artifact_sha256,
                    content_revision=event.content_revision,
                    requested_by=envelope.actor.id,
                    request_time=envelope.recorded_at,
                    gates=event.gates,
                )
            )
        case facts.ReviewSubmitted():
            review = Review(kind=event.kind, decision=event.decision, reviewer=envelope.actor.id)
            review.comment = event.comment
            review.evidence.extend(event.evidence)
            review.on_behalf_of.extend(one.id for one in envelope.on_behalf_of)
            review.delegated_by, review.delegation = event.delegated_by, event.delegation
            review.review_time.CopyFrom(envelope.recorded_at)
            place_review(version.transition, review)
            version.transition.state = event.state
        case facts.TransitionDecided():
            version.transition.state = event.state
        case facts.StageChanged():
            _fold_stage(version, event, envelope)
        case _:
            return False
    return True


def _fold_stage(version: Version, event: facts.StageChanged, envelope: Fact) -> None:
    version.stage, version.phase = event.to_stage, event.to_phase
    if event.verdict.transition and event.verdict.transition == version.transition.number:
        version.transition.state = TRANSITION_STATE_COMMITTED
    fold_void(version, f"it moved to {event.to_stage}")
    for index, known in enumerate(version.verdicts):
        if known.to_stage == event.to_stage:
            del version.verdicts[index]
            break
    verdict = version.verdicts.add()
    verdict.CopyFrom(event.verdict)
    verdict.decide_time.CopyFrom(envelope.recorded_at)
    verdict.decided_by = envelope.actor.id
    verdict.version_generation = envelope.generation
