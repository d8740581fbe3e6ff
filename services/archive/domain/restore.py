"""Putting the artifact of a record back where artifacts lie: one person asks, another one agrees."""

from collections.abc import Sequence

from google.protobuf.message import Message

from access.people import PERSON, people
from kernel.errors import Denied, NotAllowedNow, NotFound
from modelog.access.v1.types_pb2 import KnownProject
from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import types_pb2 as types
from modelog.log.v1.fact_pb2 import Fact


def request(
    record: types.Record, project: KnownProject, everywhere: KnownProject, *, by: Sequence[str]
) -> Message | None:
    """`by`: who asks, then for whom. Asking again replaces what was asked before, unless somebody has agreed."""
    _check_sealed(record)
    if is_going_on(record):
        raise NotAllowedNow("RESTORE_GOES_ON", f"{record.name} is being put back; wait for it")
    if record.HasField("restore") and record.restore.requested_by == by[0] and not record.restore.failure_reason:
        return None
    return facts.RecordRestoreRequested(people=sorted(people(by, project, everywhere)))


def approve(
    record: types.Record, project: KnownProject, everywhere: KnownProject, *, by: Sequence[str]
) -> Message | None:
    """`by`: who agrees, then for whom. People are compared, whatever accounts they use."""
    _check_sealed(record)
    if record.HasField("restore") and record.restore.approved_by == by[0]:
        return None
    if not record.HasField("restore") or record.restore.approved_by or record.restore.failure_reason:
        raise NotAllowedNow("NO_RESTORE_REQUESTED", f"nobody waits for the artifact of {record.name}; request it first")
    who = people(by, project, everywhere)
    if not who.isdisjoint(people(record.restore.people, project, everywhere)):
        raise Denied("SEPARATION_OF_DUTIES", f"{by[0]}, or who owns it, asked for it; somebody else has to agree")
    if not any(one.startswith(PERSON) for one in who):
        raise Denied("APPROVER_IS_NO_PERSON", f"{by[0]} belongs to nobody; a person has to agree")
    return facts.RecordRestoreApproved(people=sorted(who))


def restored(record: types.Record, *, attempt: int, target: str) -> Message | None:
    """The artifact is there. `attempt`: generation of the RecordRestoreApproved that this answers."""
    if record.generation != attempt:
        return None  # What came of this attempt is in the log already.
    return facts.RecordRestored(target=target, approvers=[record.restore.requested_by, record.restore.approved_by])


def failed(record: types.Record, *, attempt: int, reason: str, message: str) -> Message | None:
    """It cannot be put back."""
    if record.generation != attempt:
        return None
    return facts.RecordRestoreFailed(failure_reason=reason, failure_message=message)


def _check_sealed(record: types.Record) -> None:
    if not record.name:
        raise NotFound("RECORD_NOT_FOUND", "there is no such record")
    if record.state != types.RECORD_STATE_SEALED:
        raise NotAllowedNow("RECORD_NOT_SEALED", f"{record.name} holds no artifact that could be put back")


def is_going_on(record: types.Record) -> bool:
    """Whether somebody has agreed, and what came of it is not known yet."""
    return bool(record.restore.approved_by) and not record.restore.failure_reason


def evolve_restore(record: types.Record, fact: Message, envelope: Fact) -> None:
    """Folds what happens to a request."""
    match fact:
        case facts.RecordRestoreRequested():
            record.restore.Clear()
            record.restore.requested_by = envelope.actor.id
            record.restore.request_time.CopyFrom(envelope.recorded_at)
            record.restore.people[:] = fact.people
        case facts.RecordRestoreApproved():
            record.restore.approved_by = envelope.actor.id
            record.restore.approve_time.CopyFrom(envelope.recorded_at)
        case facts.RecordRestoreFailed():
            record.restore.failure_reason = fact.failure_reason
            record.restore.failure_message = fact.failure_message
        case facts.RecordRestored():
            record.ClearField("restore")
            record.restore_count += 1
            record.restore_time.CopyFrom(envelope.recorded_at)
