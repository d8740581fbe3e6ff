"""A real archive process, killed again and again while it seals: in the end there is one record, the right one."""

import asyncio
import hashlib
import random
from pathlib import Path

from modelog.archive.v1 import events_pb2 as facts
from modelog.log.v1.fact_pb2 import Fact
from services.archive.keys import verifiers
from services.archive.sealing.verifying import verify_record
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from suite.service_process import ServiceProcess
from tests.archive.calls import archive
from tests.archive.sealed import layout
from tests.archive.stories import PROJECT, life_of_version

NAME = f"{PROJECT}/records/fraud-3"
KILLED_AFTER_SECONDS = (0.0, 0.02, 0.05, 0.1)
ARTIFACT_BYTES = 48 << 20  # Copying it takes long enough to be killed in the midst of it.


def make_artifact(folder: Path) -> str:
    content = random.Random(1).randbytes(1 << 20) * (ARTIFACT_BYTES >> 20)
    digest = hashlib.sha256(content).hexdigest()
    path = folder / "artifacts" / "sha256" / digest
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return digest


def process(nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str, **more: str) -> ServiceProcess:
    settings = {
        "nats_url": nats.address,
        "nats_user": "archive",
        "nats_password_file": str(nats.password_file("archive")),
        "nats_api_prefix": API_PREFIX,
        **postgres.urls_of("archive"),
        "schema": schema,
        "data_dir": str(folder / "data"),
        "artifacts_dir": str(folder / "artifacts"),
        "sign_pause_seconds": "0.05",
        **more,
    }
    return ServiceProcess(
        "archive", "services.archive", settings=settings, folder=Path.cwd(), log=folder / "log", drain_seconds=0.2
    )


def half_written(folder: Path) -> set[str]:
    """What lies beside a blob until it is whole, by inode: each attempt writes another file."""
    staged = (folder / "data" / "records").rglob("*#*")
    return {f"{one.stat().st_ino} {one.name}" for one in staged if one.exists()}


async def begun(folder: Path, known: set[str]) -> None:
    """Waits until an attempt at the record that is not known yet lies half written, or the record is there."""
    records = folder / "data" / "records"
    async with asyncio.timeout(30):
        while not half_written(folder) - known and not list(records.glob("sha256/*/index.json")):
            await asyncio.sleep(0.002)
    known |= half_written(folder)


async def test_killed_while_sealing(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> None:
    digest = make_artifact(tmp_path)
    async with archive(nats, postgres, tmp_path, f"{schema}_other", roles="rpc,projector") as writer:
        await writer.tell(life_of_version(digest))
    known: set[str] = set()
    for seconds in KILLED_AFTER_SECONDS:
        one = process(nats, postgres, tmp_path, schema)
        await one.start()
        try:
            await begun(tmp_path, known)
            await asyncio.sleep(seconds)
        finally:
            await one.kill()
    assert known, "no kill came while the record was being written"
    async with archive(nats, postgres, tmp_path, schema) as last:
        record = await last.sealed(NAME)
        records = tmp_path / "data" / "records" / "sha256"
        assert [one.name for one in records.iterdir()] == [record.manifest_sha256]
        keys = verifiers(last.live.rooms.settings.notary_dir)
        verified = verify_record(layout(records / record.manifest_sha256), record.manifest_sha256, keys)
        assert verified.wrong == []
        kinds = [
            Fact.FromString(entry.payload).event.type_url.rpartition(".")[2]
            for entry in await last.entries()
            if entry.subject.startswith("lifecycle.archive.")
        ]
        assert kinds == [facts.ArchivingStarted.DESCRIPTOR.name, facts.RecordSealed.DESCRIPTOR.name]
