"""The life of a record."""

from hypothesis import given
from hypothesis import strategies as st

from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import types_pb2 as types
from services.archive.domain import RECORD
from services.archive.domain.record import fail, record_name, retry, seal, start
from testkit.scenario import life

NAME = "projects/risk/records/fraud-3"
VERSION = "projects/risk/models/fraud/versions/3"
STARTED = facts.ArchivingStarted(
    version=VERSION, retired_revision=41, artifact_sha256="ab" * 32, artifact_uri="cas:sha256/" + "ab" * 32
)
SEALED = facts.RecordSealed(
    version=VERSION,
    manifest_sha256="cd" * 32,
    artifact_sha256="ab" * 32,
    size_bytes=1000,
    file_count=7,
    fact_count=5,
    checkpoint=types.TreeHead(size=50, root_hash=b"r" * 32),
    cut_revision=42,
)
FAILED = facts.ArchivingFailed(version=VERSION, failure_reason="ARTIFACT_MISSING", failure_message="gone")
BEGIN = {
    "version": VERSION,
    "retired_revision": 41,
    "artifact_sha256": "ab" * 32,
    "artifact_uri": "cas:sha256/" + "ab" * 32,
}


def test_a_retired_version_is_archived_once() -> None:
    life(RECORD, NAME).when(start, **BEGIN).then(STARTED)
    life(RECORD, NAME).given(STARTED).when(start, **BEGIN).then_nothing()
    life(RECORD, NAME).given(STARTED, SEALED).when(start, **BEGIN).then_nothing()
    life(RECORD, NAME).given(STARTED, FAILED).when(start, **BEGIN).then_nothing()


def test_only_the_attempt_the_log_waits_for_seals() -> None:
    life(RECORD, NAME).given(STARTED).when(seal, attempt=1, sealed=SEALED).then(SEALED)
    life(RECORD, NAME).when(seal, attempt=1, sealed=SEALED).then_refused("RECORD_NOT_SEALING")
    failed = life(RECORD, NAME).given(STARTED, FAILED)
    failed.when(seal, attempt=1, sealed=SEALED).then_refused("RECORD_NOT_SEALING")
    again = failed.given(STARTED)
    again.when(seal, attempt=1, sealed=SEALED).then_refused("RECORD_NOT_SEALING")
    again.when(seal, attempt=3, sealed=SEALED).then(SEALED)


def test_a_sealed_record_is_never_sealed_with_another_content() -> None:
    sealed = life(RECORD, NAME).given(STARTED, SEALED)
    sealed.when(seal, attempt=1, sealed=SEALED).then_nothing()
    other = facts.RecordSealed(version=VERSION, manifest_sha256="ee" * 32)
    sealed.when(seal, attempt=1, sealed=other).then_refused("RECORD_SEALED_ALREADY")


def test_a_failed_record_says_why_and_can_be_retried() -> None:
    started = life(RECORD, NAME).given(STARTED)
    started.when(fail, attempt=1, reason="ARTIFACT_MISSING", message="gone").then(FAILED)
    failed = started.given(FAILED)
    assert failed.state.state == types.RECORD_STATE_FAILED
    assert (failed.state.failure_reason, failed.state.failure_message) == ("ARTIFACT_MISSING", "gone")
    failed.when(fail, attempt=1, reason="ARTIFACT_MISSING", message="gone").then_nothing()
    failed.when(retry).then(STARTED)
    again = failed.given(STARTED)
    again.when(retry).then_nothing()
    again.when(fail, attempt=1, reason="ARTIFACT_MISSING", message="gone").then_refused("RECORD_NOT_SEALING")
    assert again.given(SEALED).state.failure_reason == ""


def test_only_failed_records_are_retried() -> None:
    life(RECORD, NAME).when(retry).then_refused("RECORD_NOT_FOUND")
    life(RECORD, NAME).given(STARTED, SEALED).when(retry).then_refused("RECORD_NOT_FAILED")


def test_a_record_keeps_what_its_facts_say() -> None:
    state = life(RECORD, NAME).given(STARTED, SEALED).state
    assert (state.version, state.state, state.retired_revision) == (VERSION, types.RECORD_STATE_SEALED, 41)
    assert (state.manifest_sha256, state.artifact_sha256) == ("cd" * 32, "ab" * 32)
    assert (state.size_bytes, state.file_count, state.fact_count, state.cut_revision) == (1000, 7, 5, 42)
    assert state.checkpoint == SEALED.checkpoint
    assert state.seal_time == state.update_time


def test_restoring_is_counted_and_expiry_ends_a_record() -> None:
    restored = facts.RecordRestored(target="cas:sha256/" + "ab" * 32, approvers=["users/a", "users/b"])
    expired = facts.RecordExpired(rule="five-years", erased_paths=["artifact"])
    state = life(RECORD, NAME).given(STARTED, SEALED, restored, restored, expired).state
    assert state.restore_count == 2
    assert (state.state, state.expiry_rule) == (types.RECORD_STATE_EXPIRED, "five-years")
    assert state.expire_time == state.update_time
    assert state.restore_time.seconds < state.expire_time.seconds


def test_names_of_records() -> None:
    assert record_name(VERSION) == NAME
    assert record_name("projects/p/models/a-1/versions/2") == "projects/p/records/a-1-2"
    long = record_name(f"projects/p/models/{'m' * 63}/versions/12")
    RECORD.pattern.ids(long)
    assert long != record_name(f"projects/p/models/{'m' * 62}n/versions/12")


ids = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
versions = st.builds("projects/p/models/{}/versions/{}".format, ids, st.integers(1, 10**12 - 1))


@given(versions, versions)
def test_records_of_different_versions_have_different_valid_names(one: str, other: str) -> None:
    RECORD.pattern.ids(record_name(one))
    assert (record_name(one) == record_name(other)) == (one == other)
