"""What tests of expiry ask of an archive that expires nothing by itself and has one sealed record: fixture `up`."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from modelog.archive.v1 import archive_service_pb2 as archive_rpc
from modelog.archive.v1 import retention_service_pb2 as rpc
from modelog.archive.v1 import retention_service_pb2_grpc as stubs
from modelog.archive.v1 import retentions_pb2 as types
from modelog.archive.v1.evidence_requests_pb2 import ScrubRequest
from modelog.archive.v1.types_pb2 import RECORD_STATE_EXPIRED, Record
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from services.archive.expiry.running import Expiry
from services.archive.parts import Parts
from tests.archive.calls import Archive
from tests.archive.stories import OTHER, PROJECT, life_of_version

RECORDED, OTHER_RECORDED = f"{PROJECT}/records/fraud-3", f"{PROJECT}/records/fraud-31"
RULE, CASE = f"{PROJECT}/retentions/short", f"{PROJECT}/holds/case"
CONTENT = b"onnx bytes" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TEXTS = ["alerts.json", "artifact", "facts.jsonl", "model-card.md"]


def store_artifact(folder: Path) -> None:
    """As an upload would, where an archive in this folder looks for it."""
    stored = folder / "artifacts" / "sha256" / SHA256
    stored.parent.mkdir(parents=True)
    stored.write_bytes(CONTENT)


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
    return Parts(up.live.rooms).store.open(record.manifest_sha256).names()


def folder_of(up: Archive, record: Record) -> Path:
    return Path(up.live.rooms.settings.records_dir) / "sha256" / record.manifest_sha256


def artifact(up: Archive) -> Path:
    return Path(up.live.rooms.settings.artifacts_dir) / "sha256" / SHA256


async def retire_other(up: Archive) -> None:
    """The other version, which has the same artifact, is retired and sealed as well."""
    story = life_of_version(SHA256)
    end = len(story.facts)
    same = registry_types.Artifact(uri=f"cas:sha256/{SHA256}", sha256=SHA256, size_bytes=9, format="onnx")
    story.add("registry", OTHER, registry.VersionRetired(from_stage="development", artifact=same))
    await up.tell(story, start=end)
    await up.sealed(OTHER_RECORDED)
