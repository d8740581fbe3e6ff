"""What is in a record, putting its artifact back, what it costs, and a version of two lives; over a running archive."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest

from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import records_pb2 as records
from modelog.archive.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as models
from modelog.registry.v1.governance_events_pb2 import VersionRestored
from testkit.live import actor
from tests.archive.calls import Archive, refused
from tests.archive.stories import MODEL, PROJECT, VERSION, life_of_version

ARTIFACT = b"onnx bytes" * 100
SHA256 = hashlib.sha256(ARTIFACT).hexdigest()
NAME = f"{PROJECT}/records/fraud-3"
KIM, LEE = actor("users/kim"), actor("users/lee")


@pytest.fixture
async def sealed(running: Archive, tmp_path: Path) -> Archive:
    lying(tmp_path).parent.mkdir(parents=True)
    lying(tmp_path).write_bytes(ARTIFACT)
    await running.tell(life_of_version(SHA256))
    await running.sealed(NAME)
    return running


def lying(folder: Path) -> Path:
    return folder / "artifacts" / "sha256" / SHA256


async def until(up: Archive, wanted: Any) -> types.Record:
    async with asyncio.timeout(20):
        while not wanted(record := await up.sealed(NAME)):
            await asyncio.sleep(0.05)
    return record


async def fetched(up: Archive, path: str) -> bytes:
    call = up.stub.GetRecordFile(records.GetRecordFileRequest(name=NAME, path=path), timeout=10)
    return b"".join([reply.chunk async for reply in call])


async def test_files_are_listed_and_fetched(sealed: Archive) -> None:
    reply = await sealed.stub.GetRecordContents(records.GetRecordContentsRequest(name=NAME), timeout=10)
    record = await sealed.sealed(NAME)
    assert reply.image_sha256 == record.image_sha256
    assert (Path(reply.image_address) / "index.json").exists()
    files = {one.path: one for one in reply.files}
    assert len(files) == record.file_count
    assert (files["model-card.md"].media_type, files["artifact"].sha256) == ("text/markdown", SHA256)
    for path in ("artifact", "model-card.md", "facts/000000000003.bin"):
        content = await fetched(sealed, path)
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (files[path].sha256, files[path].size_bytes)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await fetched(sealed, "../../notary/log.key")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_artifact_comes_back_when_two_people_agree(sealed: Archive, tmp_path: Path) -> None:
    lying(tmp_path).unlink()
    asks, agrees = records.RequestRecordRestoreRequest(name=NAME), records.ApproveRecordRestoreRequest(name=NAME)
    nobody = await refused(sealed.stub.ApproveRecordRestore(agrees, metadata=LEE, timeout=10))
    assert nobody == (grpc.StatusCode.FAILED_PRECONDITION, "NO_RESTORE_REQUESTED")
    await sealed.stub.RequestRecordRestore(asks, metadata=KIM, timeout=10)
    alone = await refused(sealed.stub.ApproveRecordRestore(agrees, metadata=KIM, timeout=10))
    assert alone == (grpc.StatusCode.PERMISSION_DENIED, "SEPARATION_OF_DUTIES")
    machine = await refused(sealed.stub.ApproveRecordRestore(agrees, metadata=actor("services/cron"), timeout=10))
    assert machine == (grpc.StatusCode.PERMISSION_DENIED, "APPROVER_IS_NO_PERSON")
    assert not lying(tmp_path).exists()
    await sealed.stub.ApproveRecordRestore(agrees, metadata=LEE, timeout=10)
    record = await until(sealed, lambda one: one.restore_count == 1)
    assert lying(tmp_path).read_bytes() == ARTIFACT
    assert not record.HasField("restore")


async def test_an_artifact_that_is_damaged_does_not_come_back(sealed: Archive, tmp_path: Path) -> None:
    lying(tmp_path).unlink()
    record = await sealed.sealed(NAME)
    blob = sealed.live.rooms.settings.records_dir / "sha256" / record.manifest_sha256 / "blobs" / "sha256" / SHA256
    blob.chmod(0o644)
    blob.write_bytes(b"other")
    await sealed.stub.RequestRecordRestore(records.RequestRecordRestoreRequest(name=NAME), metadata=KIM, timeout=10)
    await sealed.stub.ApproveRecordRestore(records.ApproveRecordRestoreRequest(name=NAME), metadata=LEE, timeout=10)
    failed = await until(sealed, lambda one: one.restore.failure_reason)
    assert (failed.restore.failure_reason, failed.restore_count) == ("ARTIFACT_CHANGED", 0)
    assert not lying(tmp_path).exists()
    await sealed.stub.RequestRecordRestore(records.RequestRecordRestoreRequest(name=NAME), metadata=KIM, timeout=10)


async def test_what_records_cost_is_told_by_project(sealed: Archive) -> None:
    record = await sealed.sealed(NAME)
    for parent in (PROJECT, "projects/all"):
        reply = await sealed.stub.GetRecordCosts(records.GetRecordCostsRequest(parent=parent), timeout=10)
        [cost] = reply.costs
        assert (cost.project, cost.record_count, cost.size_bytes) == (PROJECT, 1, record.size_bytes)
        assert cost.month_price == pytest.approx(record.size_bytes / 2**30 * reply.gibibyte_month_price)
    other = await sealed.stub.GetRecordCosts(records.GetRecordCostsRequest(parent="projects/ris"), timeout=10)
    assert not other.costs


async def test_a_version_that_lives_twice_has_two_records(running: Archive, tmp_path: Path) -> None:
    lying(tmp_path).parent.mkdir(parents=True)
    lying(tmp_path).write_bytes(ARTIFACT)
    story = life_of_version(SHA256)
    await running.tell(story)
    first = await running.sealed(NAME)
    told = len(story.facts)
    restored = VersionRestored(from_stage="archived", to_stage="development", record=NAME)
    restored.from_phase, restored.to_phase = models.PHASE_ARCHIVED, models.PHASE_DEVELOPMENT
    story.add("registry", VERSION, restored)
    artifact = models.Artifact(sha256=SHA256, uri=f"cas:sha256/{SHA256}")
    story.add("registry", VERSION, registry.VersionRetired(artifact=artifact))
    await running.tell(story, told)
    second = await running.sealed(f"{NAME}-02")
    assert (second.version, second.restore_count) == (VERSION, 0)
    assert second.retired_revision > first.retired_revision
    assert second.fact_count > first.fact_count
    assert (await running.sealed(NAME)).manifest_sha256 == first.manifest_sha256
    verified = await running.stub.VerifyRecord(rpc.VerifyRecordRequest(name=f"{NAME}-02"), timeout=10)
    assert verified.intact
    assert MODEL in VERSION
