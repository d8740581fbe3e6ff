"""The sealed record of a retired version."""

import hashlib

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, NotFound, UnknownFact
from kernel.names import child, project_of
from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import retention_events_pb2 as erasing
from modelog.archive.v1 import types_pb2 as types
from modelog.log.v1.fact_pb2 import Fact
from services.archive.domain.restore import evolve_restore

_MOST_ID_CHARACTERS = 63
_KEPT_CHARACTERS = 50


def record_name(version: str, life: int = 1) -> str:
    """`projects/risk/records/fraud-3` for `projects/risk/models/fraud/versions/3`; `fraud-3-02` for its second life,
    after it was restored and retired again.

    Different versions have different names, for the number behind the last hyphen holds none itself; and no version's
    number begins with a zero.
    """
    parts = version.split("/")
    record_id = f"{parts[3]}-{parts[5]}" + (f"-0{life}" if life > 1 else "")
    if len(record_id) > _MOST_ID_CHARACTERS:
        record_id = f"{record_id[:_KEPT_CHARACTERS].rstrip('-')}-{_digest(version, life)}"
    return child(project_of(version), "records", record_id)


def _digest(version: str, life: int) -> str:
    return hashlib.sha256((version if life == 1 else f"{version} {life}").encode()).hexdigest()[:12]


def start(
    record: types.Record, *, version: str, retired_revision: int, artifact_sha256: str, artifact_uri: str
) -> Message | None:
    """A version was retired: its record is to be made, unless it has been begun already."""
    if record.name:
        return None
    return facts.ArchivingStarted(
        version=version,
        retired_revision=retired_revision,
        artifact_sha256=artifact_sha256,
        artifact_uri=artifact_uri,
    )


def retry(record: types.Record) -> Message | None:
    """Makes a failed record again, from what the log says by then."""
    if not record.name:
        raise NotFound("RECORD_NOT_FOUND", "there is no such record")
    if record.state == types.RECORD_STATE_SEALING:
        return None
    if record.state != types.RECORD_STATE_FAILED:
        raise NotAllowedNow("RECORD_NOT_FAILED", f"{record.name} is not one that failed, so there is nothing to retry")
    return facts.ArchivingStarted(
        version=record.version,
        retired_revision=record.retired_revision,
        artifact_sha256=record.artifact_sha256,
        artifact_uri=record.artifact_uri,
    )


def seal(record: types.Record, *, attempt: int, sealed: facts.RecordSealed) -> Message | None:
    """The record lies complete in the store. `attempt` is the generation of the ArchivingStarted this answers."""
    if record.state == types.RECORD_STATE_SEALED:
        if record.manifest_sha256 != sealed.manifest_sha256:
            raise NotAllowedNow("RECORD_SEALED_ALREADY", f"{record.name} is sealed with another content")
        return None
    _wants(record, attempt)
    return sealed


def fail(record: types.Record, *, attempt: int, reason: str, message: str) -> Message | None:
    """The record cannot be made; `reason` is UPPER_SNAKE and stable."""
    if record.state == types.RECORD_STATE_FAILED and record.generation == attempt + 1:
        return None
    _wants(record, attempt)
    return facts.ArchivingFailed(version=record.version, failure_reason=reason, failure_message=message)


def _wants(record: types.Record, attempt: int) -> None:
    if record.state != types.RECORD_STATE_SEALING or record.generation != attempt:
        raise NotAllowedNow(
            "RECORD_NOT_SEALING", f"{record.name} does not wait for the attempt of generation {attempt}"
        )


def evolve_record(record: types.Record, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.ArchivingStarted():
            _started(record, fact)
        case facts.RecordSealed():
            record.state = types.RECORD_STATE_SEALED
            record.manifest_sha256, record.image_sha256 = fact.manifest_sha256, fact.image_sha256
            record.cut_revision = fact.cut_revision
            record.size_bytes = fact.size_bytes
            record.file_count = fact.file_count
            record.fact_count = fact.fact_count
            record.checkpoint.CopyFrom(fact.checkpoint)
            record.seal_time.CopyFrom(envelope.recorded_at)
            record.failure_reason = record.failure_message = ""
        case facts.ArchivingFailed():
            record.state = types.RECORD_STATE_FAILED
            record.failure_reason = fact.failure_reason
            record.failure_message = fact.failure_message
        case (
            facts.RecordRestoreRequested()
            | facts.RecordRestoreApproved()
            | facts.RecordRestoreFailed()
            | facts.RecordRestored()
        ):
            evolve_restore(record, fact, envelope)
        case facts.RecordExpired():
            record.state = types.RECORD_STATE_EXPIRED
            record.expire_time.CopyFrom(envelope.recorded_at)
            record.expiry_rule = fact.rule
            record.erased_paths[:] = fact.erased_paths
            record.erased_bytes = fact.erased_bytes
        case erasing.RecordExpiryWithdrawn():
            record.state = types.RECORD_STATE_SEALED
            for field in ("expire_time", "expiry_rule", "erased_paths", "erased_bytes"):
                record.ClearField(field)
        case erasing.RecordErased():
            record.erase_time.CopyFrom(envelope.recorded_at)
            record.artifact_outcome = fact.artifact
        case _:
            raise UnknownFact(fact)


def _started(record: types.Record, fact: facts.ArchivingStarted) -> None:
    record.version = fact.version
    record.state = types.RECORD_STATE_SEALING
    record.retired_revision = fact.retired_revision
    record.artifact_sha256 = fact.artifact_sha256
    record.artifact_uri = fact.artifact_uri
