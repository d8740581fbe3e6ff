"""Killed while it erases, at any step: what is left is erased after the next start, once told, and verifies."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelog.archive.v1 import archive_service_pb2 as archive_rpc
from modelog.archive.v1 import retention_service_pb2 as rpc
from modelog.archive.v1 import retention_service_pb2_grpc as stubs
from modelog.archive.v1 import retentions_pb2 as types
from modelog.archive.v1.types_pb2 import RECORD_STATE_EXPIRED
from modelog.log.v1.fact_pb2 import Fact
from services.archive.expiry.running import Expiry
from services.archive.files import sync_folder
from services.archive.sealing import erasing
from services.archive.sealing.contents import Folder
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import archive
from tests.archive.expiring import SHA256, TEXTS, store_artifact
from tests.archive.sealed import blob_path
from tests.archive.stories import PROJECT, life_of_version
from tests.archive.test_kill import NAME, process

# After the process has begun to erase.
KILLED_AFTER_SECONDS = (0.0, 0.001, 0.005, 0.05)


class Killed(BaseException):
    """A process that dies here: nothing is cleaned up."""


@pytest.mark.parametrize("step", range(9))
def test_erasing_ends_where_it_would_have_whatever_the_step_it_died_at(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*TEXTS, "serving.json"):
        (tmp_path / name).write_text(name)
    contents = Folder(tmp_path)
    steps = iter(range(100))

    def dying(function: object) -> object:
        def call(*arguments: object, **keywords: object) -> object:
            if next(steps) == step:
                raise Killed
            return function(*arguments, **keywords)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dying(Path.unlink))
        patch.setattr("services.archive.sealing.objects.sync_folder", dying(sync_folder))
        with suppress(Killed):
            erasing.erase(contents, TEXTS)
    erasing.erase(contents, TEXTS)
    assert [one.name for one in tmp_path.iterdir()] == ["serving.json"]


def test_nothing_outside_the_record_is_erased(tmp_path: Path) -> None:
    (tmp_path / "record").mkdir()
    (tmp_path / "other").write_text("stays")
    erasing.erase(Folder(tmp_path / "record"), ["../other", str(tmp_path / "other"), "a/../../other", ""])
    assert (tmp_path / "other").exists()


async def test_killed_while_erasing(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> None:
    store_artifact(tmp_path)
    async with archive(nats, postgres, tmp_path, schema, expiry_pause_seconds=0.0) as first:
        await first.tell(life_of_version(SHA256))
        record = await first.sealed(NAME)
        rule = rpc.SetRetentionRequest(parent=PROJECT, retention_id="short", settings=types.RetentionSettings(days=1))
        await stubs.RetentionServiceStub(first.live.channel).SetRetention(rule, timeout=10)
    folder = tmp_path / "data" / "records" / "sha256" / record.manifest_sha256
    async with archive(nats, postgres, tmp_path, schema, roles="rpc,projector", expiry_pause_seconds=0.0) as second:
        rooms = replace(second.live.rooms, clock=lambda: datetime.now(UTC) + timedelta(days=2))
        assert await Expiry(rooms).look() == 1
    blobs = [blob_path(folder, name) for name in TEXTS]
    assert all(one.exists() for one in blobs), "nothing is erased before the reaction"
    for seconds in KILLED_AFTER_SECONDS:
        one = process(nats, postgres, tmp_path, schema, expiry_pause_seconds="0")
        await one.start()
        try:
            async with asyncio.timeout(30):
                while blobs[0].exists():
                    await asyncio.sleep(0.0005)
            await asyncio.sleep(seconds)
        finally:
            await one.kill()
    async with archive(nats, postgres, tmp_path, schema, expiry_pause_seconds=0.0) as last:
        async with asyncio.timeout(20):
            while not (after := await last.sealed(NAME, RECORD_STATE_EXPIRED)).HasField("erase_time"):
                await asyncio.sleep(0.02)
        assert not any(one.exists() for one in blobs)
        verified = await last.stub.VerifyRecord(archive_rpc.VerifyRecordRequest(name=NAME), timeout=10)
        assert (verified.intact, list(verified.erased_paths)) == (True, TEXTS)
        asked = rpc.ListRecordErasuresRequest(parent=PROJECT)
        told = await stubs.RetentionServiceStub(last.live.channel).ListRecordErasures(asked, timeout=10)
        assert [one.erase_revision for one in told.erasures] == [after.revision]
        kinds = [
            Fact.FromString(entry.payload).event.type_url.rpartition(".")[2]
            for entry in await last.entries()
            if entry.subject.startswith("lifecycle.archive.risk.records.")
        ]
        assert kinds == ["ArchivingStarted", "RecordSealed", "RecordExpired", "RecordErased"]
