"""What is known of delegated reviews: their fold, and which of them lets somebody review in whose place."""

from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import Denied
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import governance_events_pb2 as facts
from modelog.registry.v1.types_pb2 import Project, ReviewDelegation, ReviewKind


def over(one: ReviewDelegation, now: datetime) -> bool:
    return one.expire_time.ToDatetime(now.tzinfo) <= now


def delegation_for(
    project: Project, *, delegated_by: str, reviewer: str, kind: ReviewKind, model: str, now: datetime
) -> ReviewDelegation:
    """The delegation by which somebody may review in somebody's place now; Denied when there is none."""
    for one in project.delegations:
        parties = (one.delegated_by, one.delegate) == (delegated_by, reviewer)
        if parties and one.kind in (0, kind) and one.model in ("", model) and not over(one, now):
            return one
    raise Denied(
        "NOT_DELEGATED",
        f"{delegated_by} has delegated no such review to {reviewer} for now; review for yourself, or ask them to",
        metadata={"principal": delegated_by},
    )


def evolve_delegation(project: Project, event: Message, envelope: Fact) -> bool:
    """Folds the events of this module; False for any other."""
    match event:
        case facts.ReviewDelegated():
            _forget_over(project, envelope.recorded_at)
            one = project.delegations.add(number=event.number, delegate=event.delegate, kind=event.kind)
            one.delegated_by, one.model = envelope.actor.id, event.model
            one.start_time.CopyFrom(envelope.recorded_at)
            one.expire_time.CopyFrom(event.expire_time)
            project.delegation_count = event.number
        case facts.DelegationEnded():
            kept = [one for one in project.delegations if one.number != event.number]
            del project.delegations[:]
            project.delegations.extend(kept)
        case _:
            return False
    return True


def _forget_over(project: Project, now: Timestamp) -> None:
    """Those that ran out are of the past, which the history keeps."""
    kept = [one for one in project.delegations if one.expire_time.ToMicroseconds() > now.ToMicroseconds()]
    del project.delegations[:]
    project.delegations.extend(kept)
