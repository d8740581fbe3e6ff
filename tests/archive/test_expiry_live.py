"""Expiry over a running archive: what is looked through, held, withdrawn, erased, told, and still verifies."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from kernel.cause import Cause
from modelog.archive.v1 import archive_service_pb2 as archive_rpc
from modelog.archive.v1 import events_pb2 as events
from modelog.archive.v1 import retention_service_pb2 as rpc
from modelog.archive.v1 import retention_service_pb2_grpc as stubs
from modelog.archive.v1 import retentions_pb2 as types
from modelog.archive.v1.evidence_requests_pb2 import ScrubRequest
from modelog.archive.v1.record_erasures_pb2 import (
    ARTIFACT_OUTCOME_GONE,
    ARTIFACT_OUTCOME_READ_ONLY,
    ARTIFACT_OUTCOME_SHARED,
)
from modelog.archive.v1.types_pb2 import RECORD_STATE_EXPIRED, RECORD_STATE_SEALED, Record
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from modelog.type.v1.principal_pb2 import Principal
from services.archive.domain import RECORD
from services.archive.expiry.running import Expiry
from services.archive.parts import Parts
from services.archive.sealing import erasing
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive, refused
from tests.archive.stories import MODEL, OTHER, PROJECT, VERSION, Chronicle, life_of_version

RECORDED, OTHER_RECORDED = f"{PROJECT}/records/fraud-3", f"{PROJECT}/records/fraud-31"
RULE, CASE = f"{PROJECT}/retentions/short", f"{PROJECT}/holds/case"
CONTENT = b"onnx bytes" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TEXTS = ["alerts.json", "artifact", "facts.jsonl", "model-card.md"]


@pytest.fixture
async def up(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Archive]:
    """An archive that expires nothing by itself, with one sealed record."""
    stored = tmp_path / "artifacts" / "sha256" / SHA256
    stored.parent.mkdir(parents=True)
    stored.write_bytes(CONTENT)
    async with archive(nats, postgres, tmp_path, schema, expiry_pause_seconds=0.0) as running:
        await running.tell(life_of_version(SHA256))
        await running.sealed(RECORDED)
        yield running


def retentions(up: Archive) -> Any:
    return stubs.RetentionServiceStub(up.live.channel)


async def set_rule(up: Archive, id_: str = "short", **fields: Any) -> int:
    request = rpc.SetRetentionRequest(parent=PROJECT, retention_id=id_, settings=types.RetentionSettings(**fields))
    revision = int((await retentions(up).SetRetention(request, timeout=10)).revision)
    await up.live.rooms.resources.wait(revision)
    return revision


async def place(up: Archive, **fields: Any) -> None:
    request = archive_rpc.PlaceHoldRequest(parent=PROJECT, hold_id="case", **fields)
    await up.live.rooms.resources.wait((await up.stub.PlaceHold(request, timeout=10)).revision)


def later(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


async def look(up: Archive, days: float) -> int:
    """As the archive would do so many days from now."""
    rooms = up.live.rooms
    return await Expiry(replace(rooms, clock=lambda: later(days))).look()


async def erased(up: Archive, name: str = RECORDED) -> Record:
    async with asyncio.timeout(20):
        while not (record := await up.sealed(name, RECORD_STATE_EXPIRED)).HasField("erase_time"):
            await asyncio.sleep(0.02)
    return record


async def preview(up: Archive, **fields: Any) -> list[types.Expected]:
    request = rpc.PreviewExpiryRequest(parent=PROJECT, **fields)
    return list((await retentions(up).PreviewExpiry(request, timeout=10)).records)


async def verify(up: Archive, name: str = RECORDED) -> archive_rpc.VerifyRecordResponse:
    reply: archive_rpc.VerifyRecordResponse = await up.stub.VerifyRecord(
        archive_rpc.VerifyRecordRequest(name=name), timeout=10
    )
    return reply


async def scrubbed(up: Archive) -> list[Any]:
    """Findings of comparing everything, the resources folded again from the first fact included."""
    *_, last = [one async for one in up.stub.Scrub(ScrubRequest(), timeout=60)]
    assert last.done
    return list(last.findings)


def files(up: Archive, record: Record) -> set[str]:
    folder = Parts(up.live.rooms).store.path(record.manifest_sha256)
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


def artifact(up: Archive) -> Path:
    return Path(up.live.rooms.settings.artifacts_dir) / "sha256" / SHA256


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


async def test_what_was_erased_and_is_there_again_is_found(up: Archive) -> None:
    await set_rule(up, days=30)
    await look(up, 31)
    record = await erased(up)
    (Parts(up.live.rooms).store.path(record.manifest_sha256) / "model-card.md").write_text("back again")
    found = await verify(up)
    assert not found.intact
    assert {(one.reason, one.path) for one in found.findings} >= {("FILE_NOT_ERASED", "model-card.md")}


async def test_the_report_tells_what_went_when_and_by_which_rule(up: Archive) -> None:
    await set_rule(up, days=30)
    await look(up, 31)
    record = await erased(up)
    asked = rpc.ListRecordErasuresRequest(parent=PROJECT)
    (told,) = (await retentions(up).ListRecordErasures(asked, timeout=10)).erasures
    assert (told.record, told.version, told.rule) == (RECORDED, VERSION, RULE)
    assert (list(told.paths), told.size_bytes) == (TEXTS, record.erased_bytes)
    assert (told.expire_time, told.erase_time) == (record.expire_time, record.erase_time)
    assert (told.artifact_sha256, told.artifact) == (SHA256, ARTIFACT_OUTCOME_SHARED)
    assert told.expire_revision < told.erase_revision == record.revision
    assert told.size_bytes > len(CONTENT)
    asked.from_time.FromDatetime(later(32))
    assert not (await retentions(up).ListRecordErasures(asked, timeout=10)).erasures
    asked = rpc.ListRecordErasuresRequest(parent=PROJECT)
    asked.read.as_of_revision = told.expire_revision
    assert not (await retentions(up).ListRecordErasures(asked, timeout=10)).erasures


async def test_a_preview_tells_what_would_go_and_what_is_held(up: Archive) -> None:
    await set_rule(up, filter="stages:production", days=30)
    set_at = await set_rule(up, id_="forever", filter="tags.use = credit", for_ever=True)
    assert await preview(up) == []
    (kept,) = await preview(up, include_kept=True)
    assert (kept.record, kept.rule, kept.expires, list(kept.holds)) == (RECORDED, RULE, False, [])
    (going,) = await preview(up, until_time=later(31))
    assert (going.expires, going.version, going.expire_time) == (True, VERSION, kept.expire_time)
    await place(up, query="deprecated = true")
    (held,) = await preview(up, until_time=later(31))
    assert (held.expires, list(held.holds)) == (False, [CASE])
    (unheld,) = await preview(up, until_time=later(31), read={"as_of_revision": set_at})
    assert unheld == going, "the past had no hold"
    assert await look(up, 31) == 0


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


async def retire_other(up: Archive) -> None:
    """The other version, which has the same artifact, is retired and sealed as well."""
    story = life_of_version(SHA256)
    end = len(story.facts)
    same = registry_types.Artifact(uri=f"cas:sha256/{SHA256}", sha256=SHA256, size_bytes=9, format="onnx")
    story.add("registry", OTHER, registry.VersionRetired(from_stage="development", artifact=same))
    await up.tell(story, start=end)
    await up.sealed(OTHER_RECORDED)


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


async def test_pages_go_on_until_there_is_something_to_tell(up: Archive) -> None:
    await retire_other(up)
    await set_rule(up, days=30)
    stub, until = retentions(up), later(31)
    request = rpc.PreviewExpiryRequest(parent=PROJECT, until_time=until, page_size=1)
    first = await stub.PreviewExpiry(request, timeout=10)
    assert [one.record for one in first.records] == [RECORDED]
    request.page_token = first.next_page_token
    second = await stub.PreviewExpiry(request, timeout=10)
    assert ([one.record for one in second.records], second.next_page_token) == ([OTHER_RECORDED], "")
    await set_rule(up, filter="number = 31", days=30)
    request.page_token = ""
    only = await stub.PreviewExpiry(request, timeout=10)
    assert ([one.record for one in only.records], only.next_page_token) == ([OTHER_RECORDED], "")
    await place(up, query="number = 31")
    held = await stub.ListHeld(rpc.ListHeldRequest(name=CASE, page_size=1), timeout=10)
    assert ([one.version for one in held.versions], held.next_page_token) == ([OTHER], "")
    await up.stub.ReleaseHold(archive_rpc.ReleaseHoldRequest(name=CASE), timeout=10)
    await set_rule(up, days=30)
    assert await look(up, 31) == 2
    await erased(up)
    await erased(up, OTHER_RECORDED)
    report = rpc.ListRecordErasuresRequest(parent=PROJECT, page_size=1)
    one = await stub.ListRecordErasures(report, timeout=10)
    report.page_token = one.next_page_token
    other = await stub.ListRecordErasures(report, timeout=10)
    assert [told.record for told in (*one.erasures, *other.erasures)] == [RECORDED, OTHER_RECORDED]
    assert other.next_page_token == ""
    report.parent = "projects/other"
    assert (await refused(stub.ListRecordErasures(report, timeout=10)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_store_that_the_archive_may_not_write_in_is_told(up: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    await set_rule(up, filter="number = 31", days=30)
    await set_rule(up, id_="other", filter="number = 3", priority=1, days=30)
    await retire_other(up)
    remove, store = erasing._remove, artifact(up).parent

    def denied(path: Path) -> None:
        if path.parent == store:
            raise PermissionError(13, "denied")
        remove(path)

    monkeypatch.setattr(erasing, "_remove", denied)
    assert await look(up, 31) == 2
    await erased(up)
    assert (await erased(up, OTHER_RECORDED)).artifact_outcome == ARTIFACT_OUTCOME_READ_ONLY
    assert artifact(up).exists()


async def test_a_record_that_cannot_be_read_does_not_expire(up: Archive) -> None:
    await set_rule(up, days=30)
    record = await up.sealed(RECORDED)
    path = Parts(up.live.rooms).store.path(record.manifest_sha256) / "manifest.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    assert await look(up, 31) == 0
    assert (await up.sealed(RECORDED)).state == RECORD_STATE_SEALED


async def test_rules_are_read_changed_and_removed(up: Archive) -> None:
    stub = retentions(up)
    revision = await set_rule(up, filter="stages:production", days=30, title="as agreed")
    found = await stub.GetRetention(rpc.GetRetentionRequest(name=RULE, read={"at_least": revision}), timeout=10)
    assert (found.settings.days, found.settings.title, found.state) == (30, "as agreed", types.RETENTION_STATE_ACTIVE)
    await set_rule(up, filter="stages:production", for_ever=True)
    assert await look(up, 40_000) == 0
    await stub.RemoveRetention(rpc.RemoveRetentionRequest(name=RULE), timeout=10)
    await up.live.rooms.resources.catch_up()
    (removed,) = (await stub.ListRetentions(rpc.ListRetentionsRequest(parent=PROJECT), timeout=10)).retentions
    assert removed.state == types.RETENTION_STATE_REMOVED
    invalid, missing = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    wrong = rpc.SetRetentionRequest(
        parent=PROJECT, retention_id="x", settings=types.RetentionSettings(days=1, filter="stge = x")
    )
    assert (await refused(stub.SetRetention(wrong, timeout=10)))[0] is invalid
    nowhere = rpc.SetRetentionRequest(
        parent="projects/nowhere", retention_id="x", settings=types.RetentionSettings(days=1)
    )
    assert await refused(stub.SetRetention(nowhere, timeout=10)) == (missing, "PROJECT_NOT_FOUND")
    gone = rpc.RemoveRetentionRequest(name=f"{PROJECT}/retentions/none")
    assert await refused(stub.RemoveRetention(gone, timeout=10)) == (missing, "RETENTION_NOT_FOUND")


async def test_the_archive_looks_by_itself(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "artifacts" / "sha256" / SHA256
    stored.parent.mkdir(parents=True)
    stored.write_bytes(CONTENT)
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
