"""The log put back from the copy, into a NATS and a database that know nothing: everything is as it was."""

import shutil
from pathlib import Path

import nats
import pytest

from kernel.digest import views_digest
from modelog import audit
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from services.archive.restoring import RestoreRefused
from services.archive.vault.vault import Vault
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from suite.provision import provision
from suite.restoring import restored
from testkit.live import log_server
from tests.archive.calls import Archive, archive
from tests.archive.ground import Ground, messages
from tests.archive.stories import life_of_version

ORIGIN = "modelog.local/lifecycle"


async def proof_of(running: Archive, revision: int, size: int) -> bytes:
    request = rpc.GetInclusionProofRequest(revision=revision, size=size)
    proof: types.InclusionProof = await running.stub.GetInclusionProof(request, timeout=10)
    return bytes(proof.head.root_hash) + b"".join(proof.hashes) + proof.payload


async def test_everything_is_as_it_was(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> None:
    async with archive(nats, postgres, tmp_path, schema) as running:
        await running.tell(life_of_version("ab" * 32))
        await running.sealed(
            "projects/risk/records/fraud-3", types.RECORD_STATE_FAILED
        )  # Failed: there is no artifact.
        end = await running.live.rooms.log.head()
        signed = await running.signed(end)
        vkey = await running.vkey()
        before = await running.entries()
        bundle = await running.exported(tmp_path / "old.tar", proof_revisions=[3])
        proof = await proof_of(running, 3, end)
        digest = await views_digest(running.live.rooms.pool, running.live.schema)
    await nats.stop()
    async with log_server(tmp_path / "anew") as other:
        assert await restored(tmp_path / "data", other.url, ORIGIN, go_on=False, replicas=1) == end
        async with archive(other, postgres, tmp_path, f"{schema}_anew") as running:
            await running.live.rooms.resources.wait(end)
            assert await running.entries() == before
            assert await proof_of(running, 3, end) == proof
            assert await views_digest(running.live.rooms.pool, running.live.schema) == digest
            later = await running.put("lifecycle.registry.risk.models.m1", b"one more")
            assert later == end + 1
            newest = await running.signed(later)
            report = audit.verify(bundle, vkey, seen=[signed.note])
            assert report.ok
            again = await running.exported(tmp_path / "new.tar")
            assert audit.verify(again, vkey, seen=[signed.note, newest.note]).findings == []
        with pytest.raises(RestoreRefused, match="LOG_NOT_EMPTY"):
            await restored(tmp_path / "data", other.url, ORIGIN, go_on=False, replicas=1)


async def test_what_does_not_fit_is_refused_and_what_was_broken_off_goes_on(nats: NatsServer, tmp_path: Path) -> None:
    ground = await Ground(tmp_path / "data").fill(150, 50)
    kept = Vault(tmp_path / "data" / "copy")
    origin = ground.checkpoints.origin
    await put(nats, 60)
    with pytest.raises(RestoreRefused, match="LOG_NOT_EMPTY"):
        await restored(kept.folder.parent, nats.url, origin, go_on=False, replicas=1)
    assert await restored(kept.folder.parent, nats.url, origin, go_on=True, replicas=1) == 150
    path = kept.segments()[-1][1]
    whole = path.read_bytes()
    for damaged, reason in ((whole[:-1], "COPY_SHORT"), (b"", "COPY_SHORT"), (whole[90:], "COPY_DAMAGED")):
        path.write_bytes(damaged)
        with pytest.raises(RestoreRefused, match=reason):
            await restored(kept.folder.parent, nats.url, origin, go_on=True, replicas=1)
    shutil.rmtree(kept.folder)
    with pytest.raises(RestoreRefused, match="COPY_SHORT"):
        await restored(kept.folder.parent, nats.url, origin, go_on=True, replicas=1)


async def test_a_log_that_diverges_is_left_alone(nats: NatsServer, tmp_path: Path) -> None:
    ground = await Ground(tmp_path / "data").fill(100, 50)
    await put(nats, 20, bytes_each=300)
    with pytest.raises(RestoreRefused, match="LOG_DIVERGES"):
        await restored(tmp_path / "data", nats.url, ground.checkpoints.origin, go_on=True, replicas=1)


async def put(server: NatsServer, count: int, bytes_each: int = 80) -> None:
    await provision(server.url)
    client = await nats.connect(server.url)
    for one in messages(count, bytes_each):
        await client.jetstream().publish(one.subject, one.payload)
    await client.close()
