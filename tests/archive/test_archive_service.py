"""Sealing, holds and rebuilding, over a running service."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import grpc

from kernel.digest import views_digest
from modelog import audit
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import actor
from tests.archive.calls import Archive, archive, refused
from tests.archive.sealed import damage, files_of
from tests.archive.stories import ENDPOINT, PROJECT, VERSION, Chronicle, life_of_version

ARTIFACT = b"onnx bytes" * 100
SHA256 = hashlib.sha256(ARTIFACT).hexdigest()
NAME = f"{PROJECT}/records/fraud-3"


def put_artifact(folder: Path, content: bytes = ARTIFACT) -> Path:
    path = folder / "artifacts" / "sha256" / SHA256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def kinds_in_the_log(running: Archive) -> list[str]:
    request = rpc.GetHistoryRequest(below=True, filter=types.FactFilter(services=["archive"]), page_size=500)
    request.read.at_least = await running.live.rooms.log.head()
    reply = await running.stub.GetHistory(request, timeout=10)
    return [one.event_type.rpartition(".")[2] for one in reply.entries]


async def test_a_retired_version_is_sealed_verified_and_found_changed(running: Archive, tmp_path: Path) -> None:
    put_artifact(tmp_path)
    retired = await running.tell(life_of_version(SHA256))
    record = await running.sealed(NAME)
    assert (record.version, record.retired_revision, record.artifact_sha256) == (VERSION, retired, SHA256)
    assert record.cut_revision > retired
    assert await kinds_in_the_log(running) == ["ArchivingStarted", "RecordSealed"]
    folder = running.live.rooms.settings.records_dir / "sha256" / record.manifest_sha256
    files = files_of(folder)
    manifest = json.loads(files["manifest.json"])
    assert manifest["fact_revisions"] == [*range(1, 4), *range(5, 16), 17, 18, 20, 21, 22], (
        "what names other versions is left out"
    )
    assert files["artifact"] == ARTIFACT
    assert json.loads(files["serving.json"])[0]["endpoint"] == ENDPOINT
    proof = files[f"proofs/{retired:012d}.tlog-proof"].decode()
    assert audit.verify_fact(files[f"facts/{retired:012d}.bin"], proof, await running.vkey()).ok
    verified = await running.stub.VerifyRecord(rpc.VerifyRecordRequest(name=NAME), timeout=10)
    assert (verified.intact, verified.file_count, verified.proof_count) == (True, record.file_count, record.fact_count)
    damage(folder, "artifact", ARTIFACT + b"!")
    verified = await running.stub.VerifyRecord(rpc.VerifyRecordRequest(name=NAME), timeout=10)
    assert [(one.reason, one.path) for one in verified.findings] == [("FILE_CHANGED", "artifact")]
    listed = await running.stub.ListRecords(rpc.ListRecordsRequest(parent=PROJECT), timeout=10)
    assert [one.name for one in listed.records] == [NAME]


async def test_a_missing_or_changed_artifact_fails_the_record_until_it_is_put_right(
    running: Archive, tmp_path: Path
) -> None:
    await running.tell(life_of_version(SHA256))
    record = await running.sealed(NAME, types.RECORD_STATE_FAILED)
    assert record.failure_reason == "ARTIFACT_MISSING"
    not_sealed = await refused(running.stub.VerifyRecord(rpc.VerifyRecordRequest(name=NAME), timeout=10))
    assert not_sealed == (grpc.StatusCode.FAILED_PRECONDITION, "RECORD_NOT_SEALED")
    put_artifact(tmp_path, b"something else")
    await running.stub.RetryArchiving(rpc.RetryArchivingRequest(name=NAME), timeout=10)
    async with asyncio.timeout(10):
        while (await running.sealed(NAME, types.RECORD_STATE_FAILED)).failure_reason != "ARTIFACT_CHANGED":
            await asyncio.sleep(0.05)
    put_artifact(tmp_path)
    await running.stub.RetryArchiving(rpc.RetryArchivingRequest(name=NAME), timeout=10)
    record = await running.sealed(NAME)
    assert (record.failure_reason, record.generation) == ("", 6)
    again = await refused(running.stub.RetryArchiving(rpc.RetryArchivingRequest(name=NAME), timeout=10))
    assert again == (grpc.StatusCode.FAILED_PRECONDITION, "RECORD_NOT_FAILED")
    assert (await running.stub.VerifyRecord(rpc.VerifyRecordRequest(name=NAME), timeout=10)).intact


async def test_reacting_to_the_whole_log_again_seals_nothing_twice(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    put_artifact(tmp_path)
    async with archive(nats, postgres, tmp_path, schema) as first:
        await first.tell(life_of_version(SHA256))
        before = await first.sealed(NAME)
        await first.live.rooms.kept.execute("update reactor_position set revision = 0")
    async with archive(nats, postgres, tmp_path, schema) as second:
        more = Chronicle()
        more.add("registry", "projects/later", registry.ProjectCreated())
        head = await second.tell(more)
        async with asyncio.timeout(20):
            while await second.live.rooms.kept.fetchval("select revision from reactor_position") < head:
                await asyncio.sleep(0.05)
        assert await kinds_in_the_log(second) == ["ArchivingStarted", "RecordSealed"]
        assert await second.sealed(NAME) == before


async def test_a_record_sealed_before_a_crash_and_again_after_it_is_the_same(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    """The crash comes after the record was written and before the log heard of it."""
    put_artifact(tmp_path)
    async with archive(nats, postgres, tmp_path, schema, roles="rpc,projector,controller") as first:
        retired = await first.tell(life_of_version(SHA256))
        await first.signed(retired)
    async with archive(nats, postgres, tmp_path, schema) as second:
        record = await second.sealed(NAME)
        folder = second.live.rooms.settings.records_dir / "sha256"
        files = {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}
        subject = await _seal_again(second, record)
        assert subject.manifest_sha256 == record.manifest_sha256
        assert {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()} == files
        assert subject.checkpoint == record.checkpoint


async def _seal_again(running: Archive, record: types.Record) -> types.Record:
    from services.archive.parts import Parts
    from services.archive.sealing.content import Subject

    subject = Subject(record.name, record.version, record.artifact_sha256, record.cut_revision)
    sealed = await Parts(running.live.rooms).sealer.seal(subject)
    return types.Record(manifest_sha256=sealed.manifest_sha256, checkpoint=sealed.checkpoint)


async def test_a_rebuilt_archive_equals_the_live_one_and_earlier_checkpoints_still_hold(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    put_artifact(tmp_path)
    async with archive(nats, postgres, tmp_path, schema) as live:
        await live.tell(life_of_version(SHA256))
        await live.put("lifecycle.registry.risk.models.fraud", b"\xff poison")
        await live.sealed(NAME)
        head = await live.live.rooms.resources.catch_up()
        await live.signed(head)
        digests = await views_digest(live.live.rooms.pool, schema)
        vkey = await live.vkey()
        seen = await live.stub.ListCheckpoints(rpc.ListCheckpointsRequest(), timeout=10)
    async with archive(nats, postgres, tmp_path, f"{schema}_again") as again:
        await again.live.rooms.resources.wait(head)
        assert await views_digest(again.live.rooms.pool, f"{schema}_again") == digests
        more = Chronicle()
        more.add("registry", "projects/later", registry.ProjectCreated())
        grown = await again.tell(more)
        await again.signed(grown)
        assert await again.vkey() == vkey
        bundle = await again.exported(tmp_path / "bundle.tar")
        report = audit.verify(bundle, vkey, [one.note for one in seen.checkpoints])
        assert report.findings == []
        assert report.size == grown


async def test_holds_are_placed_found_and_released(running: Archive) -> None:
    await running.tell(life_of_version(SHA256), start=0)
    place = rpc.PlaceHoldRequest(
        parent=PROJECT, hold_id="case-17", resources=[VERSION], title="Case", authority="court"
    )
    placed = await running.stub.PlaceHold(place, metadata=actor("users/counsel"), timeout=10)
    assert placed.name == f"{PROJECT}/holds/case-17"
    get = rpc.GetHoldRequest(name=placed.name, read={"at_least": placed.revision})
    hold = await running.stub.GetHold(get, timeout=10)
    assert (hold.state, hold.placed_by, list(hold.resources)) == (types.HOLD_STATE_ACTIVE, "users/counsel", [VERSION])
    code, reason = await refused(running.stub.PlaceHold(place, timeout=10))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "HOLD_EXISTS")
    stale = rpc.ReleaseHoldRequest(name=placed.name, etag="7")
    assert await refused(running.stub.ReleaseHold(stale, timeout=10)) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    dry = rpc.ReleaseHoldRequest(name=placed.name, validate_only=True)
    assert (await running.stub.ReleaseHold(dry, timeout=10)).revision == 0
    released = await running.stub.ReleaseHold(rpc.ReleaseHoldRequest(name=placed.name, etag="1"), timeout=10)
    listed = rpc.ListHoldsRequest(parent=PROJECT, read={"at_least": released.revision})
    (hold,) = (await running.stub.ListHolds(listed, timeout=10)).holds
    assert (hold.state, hold.generation) == (types.HOLD_STATE_RELEASED, 2)
    past = rpc.GetHoldRequest(name=placed.name, read={"as_of_revision": placed.revision})
    assert (await running.stub.GetHold(past, timeout=10)).state == types.HOLD_STATE_ACTIVE


async def test_a_hold_needs_a_project_and_resources_of_its_own(running: Archive) -> None:
    await running.tell(life_of_version(SHA256))

    async def place(**fields: Any) -> tuple[grpc.StatusCode, str]:
        values: dict[str, Any] = {"parent": PROJECT, "hold_id": "h", "resources": [VERSION], **fields}
        return await refused(running.stub.PlaceHold(rpc.PlaceHoldRequest(**values), timeout=10))

    nowhere = await place(parent="projects/nowhere", resources=["projects/nowhere"])
    assert nowhere == (grpc.StatusCode.NOT_FOUND, "PROJECT_NOT_FOUND")
    wrongs: list[dict[str, Any]] = [
        {"resources": ["projects/x"]},
        {"resources": []},
        {"hold_id": "No"},
        {"parent": "risk"},
    ]
    for wrong in wrongs:
        assert (await place(**wrong))[0] is grpc.StatusCode.INVALID_ARGUMENT
