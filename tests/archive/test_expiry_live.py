"""Expiry over a running archive: what is looked through, held, withdrawn, erased, told, and still verifies."""

import asyncio
from pathlib import Path

import pytest

from kernel.cause import Cause
from modelog.archive.v1 import archive_service_pb2 as archive_rpc
from modelog.archive.v1 import events_pb2 as events
from modelog.archive.v1 import retention_service_pb2 as rpc
from modelog.archive.v1.record_erasures_pb2 import (
    ARTIFACT_OUTCOME_GONE,
    ARTIFACT_OUTCOME_READ_ONLY,
    ARTIFACT_OUTCOME_SHARED,
)
from modelog.archive.v1.types_pb2 import RECORD_STATE_SEALED
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from modelog.type.v1.principal_pb2 import Principal
from services.archive.domain import RECORD
from services.archive.sealing.objects import Objects
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive
from tests.archive.expiring import (
    CASE,
    OTHER_RECORDED,
    RECORDED,
    RULE,
    SHA256,
    TEXTS,
    artifact,
    erased,
    files,
    folder_of,
    later,
    look,
    place,
    retentions,
    retire_other,
    scrubbed,
    set_rule,
    store_artifact,
    verify,
)
from tests.archive.sealed import damage
from tests.archive.stories import MODEL, PROJECT, VERSION, Chronicle, life_of_version


async def test_a_record_goes_after_its_days_and_what_is_left_still_verifies(up: Archive) -> None:
    await set_rule(up, filter="stages:production", days=30)
    whole = await verify(up)
    assert (whole.intact, list(whole.erased_paths)) == (True, [])
    before = files(up, await up.sealed(RECORDED))
    assert await look(up, 29.9) == 0
    assert await look(up, 30.1) == 1
    record = await erased(up)
    assert (record.expiry_rule, list(record.erased_paths)) == (RULE, TEXTS)
    assert before - files(up, record) == set(TEXTS)
    left = await verify(up)
    assert (left.intact, list(left.erased_paths), list(left.findings)) == (True, TEXTS, [])
    assert left.file_count == whole.file_count - len(TEXTS)
    assert left.proof_count == whole.proof_count > 10
    assert record.artifact_outcome == ARTIFACT_OUTCOME_SHARED
    assert artifact(up).exists(), "another version has these bytes and lives"
    assert await look(up, 60) == 0
    assert await scrubbed(up) == []


async def test_a_file_with_the_same_bytes_as_one_that_stays_is_not_erased(up: Archive) -> None:
    """The lists of where it served and what was raised are both empty, and an image holds equal files once."""
    story, version = Chronicle(), f"{MODEL}/versions/50"
    same = registry_types.Artifact(uri=f"cas:sha256/{SHA256}", sha256=SHA256, size_bytes=9, format="onnx")
    story.add("registry", version, registry.VersionRegistered(artifact=same))
    story.add("registry", version, registry.VersionRetired(artifact=same))
    await up.tell(story)
    name = f"{PROJECT}/records/fraud-50"
    await up.sealed(name)
    await set_rule(up, filter="number = 50", days=30)
    assert await look(up, 31) == 1
    record = await erased(up, name)
    assert list(record.erased_paths) == [one for one in TEXTS if one != "alerts.json"]
    left = await verify(up, name)
    assert (left.intact, list(left.findings)) == (True, [])


async def test_what_was_erased_and_is_there_again_is_found(up: Archive) -> None:
    await set_rule(up, days=30)
    await look(up, 31)
    record = await erased(up)
    damage(folder_of(up, record), "model-card.md", b"back again")
    found = await verify(up)
    assert not found.intact
    assert {(one.reason, one.path) for one in found.findings} >= {("FILE_NOT_ERASED", "model-card.md")}


async def test_a_hold_by_query_holds_until_it_is_released(up: Archive) -> None:
    await set_rule(up, days=30)
    await place(up, resources=[f"{MODEL}/versions/4"], query="stages:production")
    covers = rpc.ListHeldRequest(name=CASE)
    (held,) = (await retentions(up).ListHeld(covers, timeout=10)).versions
    assert (held.version, held.record, held.record_state) == (VERSION, RECORDED, RECORD_STATE_SEALED)
    assert (held.resource, held.by_query) == ("", True)
    story = Chronicle()
    story.add("registry", f"{MODEL}/versions/4", registry.VersionRegistered(stage="production"))
    covers.read.at_least = await up.tell(story)
    both = (await retentions(up).ListHeld(covers, timeout=10)).versions
    assert (both[1].version, both[1].resource, both[1].by_query) == (f"{MODEL}/versions/4",) * 2 + (True,)
    assert await look(up, 31) == 0
    await up.stub.ReleaseHold(archive_rpc.ReleaseHoldRequest(name=CASE), timeout=10)
    assert await look(up, 31) == 1
    await erased(up)


async def test_an_expiry_that_a_hold_came_before_is_withdrawn_and_erases_nothing(up: Archive) -> None:
    await set_rule(up, days=30)
    await place(up, resources=[MODEL])
    before = files(up, await up.sealed(RECORDED))
    cause = Cause(actor=Principal(id="services/archive"), request_id="late", now=later(31))
    gone = events.RecordExpired(rule=RULE, erased_paths=TEXTS, version=VERSION)
    decided = await up.live.rooms.transact(RECORD, RECORDED, cause, lambda _: gone)
    async with asyncio.timeout(20):
        while (record := await up.sealed(RECORDED)).revision <= decided.revision:
            await asyncio.sleep(0.02)
    assert (record.state, record.expiry_rule, list(record.erased_paths)) == (RECORD_STATE_SEALED, "", [])
    assert files(up, record) == before
    assert (await verify(up)).intact
    assert not (
        await retentions(up).ListRecordErasures(rpc.ListRecordErasuresRequest(parent=PROJECT), timeout=10)
    ).erasures


async def test_an_artifact_leaves_the_store_with_the_last_version_that_has_it(up: Archive) -> None:
    await set_rule(up, days=30)
    await retire_other(up)
    assert await look(up, 31) == 2
    first, last = await erased(up), await erased(up, OTHER_RECORDED)
    assert (first.artifact_outcome, last.artifact_outcome) == (ARTIFACT_OUTCOME_SHARED, ARTIFACT_OUTCOME_GONE)
    assert not artifact(up).exists()
    assert (await verify(up)).intact
    assert (await verify(up, OTHER_RECORDED)).intact
    assert await scrubbed(up) == []


async def test_an_artifact_of_a_version_that_cannot_be_read_stays(up: Archive) -> None:
    await set_rule(up, days=30)
    await retire_other(up)
    story = Chronicle()
    same = registry_types.Artifact(sha256=SHA256, format="onnx")
    unreadable = story.add("registry", f"{MODEL}/versions/40", registry.VersionRegistered(artifact=same))
    unreadable.generation = 7
    await up.tell(story)
    assert await look(up, 31) == 2
    await erased(up)
    assert (await erased(up, OTHER_RECORDED)).artifact_outcome == ARTIFACT_OUTCOME_SHARED
    assert artifact(up).exists()


async def test_a_store_that_the_archive_may_not_write_in_is_told(up: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    await set_rule(up, filter="number = 31", days=30)
    await set_rule(up, id_="other", filter="number = 3", priority=1, days=30)
    await retire_other(up)
    remove, artifacts = Objects.remove, artifact(up).parents[1]

    def denied(objects: Objects, key: str) -> None:
        if objects.folder == artifacts:
            raise PermissionError(13, "denied")
        remove(objects, key)

    monkeypatch.setattr(Objects, "remove", denied)
    assert await look(up, 31) == 2
    await erased(up)
    assert (await erased(up, OTHER_RECORDED)).artifact_outcome == ARTIFACT_OUTCOME_READ_ONLY
    assert artifact(up).exists()


async def test_a_record_that_cannot_be_read_does_not_expire(up: Archive) -> None:
    await set_rule(up, days=30)
    record = await up.sealed(RECORDED)
    damage(folder_of(up, record), "manifest.json", b"{}")
    assert await look(up, 31) == 0
    assert (await up.sealed(RECORDED)).state == RECORD_STATE_SEALED


async def test_the_archive_looks_by_itself(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_artifact(tmp_path)
    async with archive(nats, postgres, tmp_path, schema, expiry_pause_seconds=0.0) as running:
        await running.tell(life_of_version(SHA256))
        await running.sealed(RECORDED)
        await set_rule(running, days=1)
    async with archive(nats, postgres, tmp_path, schema, expiry_pause_seconds=0.1) as running:
        await asyncio.sleep(0.5)
        assert (await running.sealed(RECORDED)).state == RECORD_STATE_SEALED, "its time has not come"
    monkeypatch.setattr("kernel.service.now", lambda: later(2))
    async with archive(nats, postgres, tmp_path, schema, expiry_pause_seconds=3600.0) as running:
        await erased(running)
