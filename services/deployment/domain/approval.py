"""Approvals of a rollout, besides those of its version: whoever asked for it is not who lets it start."""

from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.message import Message

from access.people import PERSON
from kernel.errors import NotAllowedNow
from modelog.access.v1.types_pb2 import KnownProject
from modelog.deployment.v1 import environment_events_pb2 as facts
from modelog.deployment.v1.environments_pb2 import RolloutApproval
from modelog.deployment.v1.events_pb2 import RolloutRequested
from modelog.deployment.v1.types_pb2 import Rollout
from modelog.log.v1.fact_pb2 import Fact
from services.deployment.domain.rollout import present
from services.deployment.domain.states import FAILED, PENDING, words
from services.deployment.domain.version import Deployers

WAITING = (facts.RolloutApproved, facts.RolloutRejected, facts.RolloutExpired, facts.RolloutHeld)


def missing_approvals(rollout: Rollout) -> int:
    return max(rollout.approvals_needed - len(rollout.approvals), 0)


def has_expired(rollout: Rollout, now: datetime) -> bool:
    """Whether it has waited for approvals for too long."""
    return bool(missing_approvals(rollout)) and now >= rollout.approval_expire_time.ToDatetime(tzinfo=UTC)


def approve(
    rollout: Rollout, project: KnownProject, everywhere: KnownProject, *, by: Sequence[str], now: datetime
) -> facts.RolloutApproved | None:
    """One more approval. `by`: who approves, then for whom. People are compared, whatever accounts they use."""
    present(rollout)
    if by[0] in {one.approved_by for one in rollout.approvals}:
        return None
    _check_waiting(rollout)
    if not missing_approvals(rollout):
        raise NotAllowedNow("ROLLOUT_NOT_WAITING", f"{rollout.name} has the approvals it needs")
    if has_expired(rollout, now):
        raise NotAllowedNow("APPROVAL_EXPIRED", f"{rollout.name} has waited for too long; request it anew")
    who = Deployers(by, (project, everywhere))
    people = who.people(by)
    asking = who.people(rollout.deploying_people)
    if not people.isdisjoint(asking):
        raise NotAllowedNow(
            "APPROVER_ASKED_FOR_IT",
            f"{by[0]}, or who owns it, asked for {rollout.name}; somebody else has to approve it",
        )
    if not any(one.startswith(PERSON) for one in people):
        raise NotAllowedNow("APPROVER_IS_NO_PERSON", f"{by[0]} belongs to nobody; a person has to approve it")
    if any(not people.isdisjoint(one.people) for one in rollout.approvals):
        raise NotAllowedNow("APPROVED_ALREADY", f"{by[0]}, or who owns it, has approved {rollout.name} already")
    return facts.RolloutApproved(
        people=sorted(people), approvals=len(rollout.approvals) + 1, approvals_needed=rollout.approvals_needed
    )


def reject(rollout: Rollout, *, cause: str) -> facts.RolloutRejected | None:
    """It ends before it has begun."""
    present(rollout)
    if rollout.state == FAILED:
        return None
    _check_waiting(rollout)
    return facts.RolloutRejected(version=rollout.version, cause=cause)


def expire(rollout: Rollout, *, now: datetime) -> facts.RolloutExpired:
    """Nobody approved it in time."""
    present(rollout)
    _check_waiting(rollout)
    if not has_expired(rollout, now):
        raise NotAllowedNow("ROLLOUT_NOT_EXPIRED", f"{rollout.name} may still be approved")
    got = f"{len(rollout.approvals)} of {rollout.approvals_needed}"
    return facts.RolloutExpired(version=rollout.version, cause=f"{got} approvals came in time; request it anew")


def _check_waiting(rollout: Rollout) -> None:
    if rollout.state != PENDING:
        raise NotAllowedNow("ROLLOUT_NOT_WAITING", f"{rollout.name} is {words(rollout.state)}; it waits for nobody")
    if not rollout.approvals_needed:
        raise NotAllowedNow("ROLLOUT_NOT_WAITING", f"{rollout.name} needs no approval; it starts by itself")


def fold_waiting(rollout: Rollout, event: Message, envelope: Fact) -> None:
    match event:
        case facts.RolloutApproved():
            approval = RolloutApproval(approved_by=envelope.actor.id, people=event.people, comment=envelope.reason)
            approval.approve_time.CopyFrom(envelope.recorded_at)
            rollout.approvals.append(approval)
            rollout.cause = waiting_for(rollout)
        case facts.RolloutRejected() | facts.RolloutExpired():
            rollout.state, rollout.cause = FAILED, event.cause
        case facts.RolloutHeld():
            rollout.cause = event.cause


def waiting_for(rollout: Rollout) -> str:
    """The cause for which it waits, empty when it has its approvals."""
    missing = missing_approvals(rollout)
    return f"waits for {missing} more {'approval' if missing == 1 else 'approvals'}" if missing else ""


def fold_asked(rollout: Rollout, event: RolloutRequested, envelope: Fact) -> None:
    """What it has to wait for."""
    rollout.approvals_needed = event.approvals_needed
    rollout.deploying_people.extend(event.deploying_people)
    if event.HasField("freeze_lift"):
        rollout.freeze_lift.CopyFrom(event.freeze_lift)
    if event.approvals_needed:
        until = envelope.recorded_at.ToDatetime() + event.approvals_expire_after.ToTimedelta()
        rollout.approval_expire_time.FromDatetime(until)
        rollout.cause = waiting_for(rollout)
