"""Comparing over real servers: a flipped bit of the log's storage, edited rows, and what the archive says of both."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import evidence_pb2 as evidence
from modelog.archive.v1 import evidence_requests_pb2 as more
from modelog.archive.v1 import types_pb2 as types
from modelog.status.v1 import status_service_pb2_grpc as status_stubs
from modelog.status.v1.comparisons_pb2 import CompareViewsRequest, ViewComparison
from services.archive.vault.vault import Vault
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive
from tests.archive.ground import messages
from tests.archive.stories import PROJECT, life_of_version

SHA256 = "ab" * 32


async def compared(running: Archive, **fields: Any) -> more.ScrubResponse:
    """The last reply: what was found."""
    *_, last = [one async for one in running.stub.Scrub(more.ScrubRequest(**fields), timeout=60)]
    assert last.done
    found: more.ScrubResponse = last
    return found


async def views_compared(running: Archive) -> ViewComparison:
    stub: Any = status_stubs.StatusServiceStub(running.live.channel)
    *_, last = [one async for one in stub.CompareViews(CompareViewsRequest(), timeout=60)]
    found: ViewComparison = last.comparison
    return found


async def notary_of(running: Archive) -> Any:
    return await running.stub.GetNotary(rpc.GetNotaryRequest(), timeout=10)


async def witnessed(running: Archive, revision: int) -> Any:
    """The first checkpoint that covers the revision, once the witness has vouched for it."""
    async with asyncio.timeout(30):
        while True:
            checkpoint = await running.signed(revision)
            if checkpoint.witnessed_note:
                return checkpoint
            await asyncio.sleep(0.05)


def flip_a_bit(nats: NatsServer, *, index: bool) -> None:
    """In the midst of the file in which the server keeps its messages. index: whether it still has its index."""
    (block,) = nats.folder.glob("**/streams/LIFECYCLE/msgs/1.blk")
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 4
    block.write_bytes(data)
    if not index:
        (block.parent / "index.db").unlink()


@pytest.mark.parametrize(("index", "reason"), [(True, "MISSING"), (False, "CUT")])
async def test_what_a_flipped_bit_dropped_in_silence_is_named_from_the_copy(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, index: bool, reason: str
) -> None:
    """With its index the server says that all is there and hands out all but one; without, it forgets the rest."""
    async with archive(nats, postgres, tmp_path, schema) as running:
        await asyncio.gather(*(running.put(one.subject, one.payload) for one in messages(400)))
        assert (await witnessed(running, 400)).head.size == 400
        assert list((await compared(running)).findings) == []
        kept = await running.entries()
        await nats.stop()
        flip_a_bit(nats, index=index)
        await nats.start()
        log: Any = running.live.rooms.log
        state = await log.state()
        (found,) = (await compared(running)).findings
        assert (found.store, found.reason) == (evidence.EVIDENCE_STORE_LOG, reason)
        if index:
            assert (state["messages"], state["last_seq"], state.get("num_deleted", 0)) == (400, 400, 0)
            assert found.last_revision == found.revision
        else:
            assert (found.revision, found.last_revision) == (state["last_seq"] + 1, 400)
        vault = running.live.rooms.settings.copy_dir
        assert (
            list(Vault(vault).read(found.revision, found.last_revision))
            == kept[found.revision - 1 : found.last_revision]
        )


async def test_edited_rows_are_named_and_the_alarm_is_raised(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    settings: dict[str, Any] = {"scrub_pause_seconds": 0.2, "scrub_share": 1.0}
    async with archive(nats, postgres, tmp_path, schema, **settings) as running:
        end = await running.tell(life_of_version(SHA256))
        await running.sealed(f"{PROJECT}/records/fraud-3", types.RECORD_STATE_FAILED)
        await witnessed(running, end)
        assert list((await compared(running)).findings) == []
        await running.live.alter("update entry set actor = 'users/nobody' where revision = 3")
        await running.live.alter("update record_history set body = body || '\\x00'::bytea")
        await running.live.alter("delete from request")
        found = await compared(running)
        assert {one.store for one in found.findings} == {evidence.EVIDENCE_STORE_VIEW}
        told = [(one.reason, one.revision, one.message) for one in found.findings]
        assert told[0][:2] == ("CHANGED", 3)
        assert "column actor" in told[0][2]
        assert len(told) == 1
        views = await views_compared(running)  # What the archive folds as every service does is compared as theirs is.
        assert {one.table for one in views.findings} == {"record_history", "request"}
        async with asyncio.timeout(20):
            while (await notary_of(running)).scrub.finding_count != len(found.findings):
                await asyncio.sleep(0.05)
        last = await compared(running, last=True)
        assert list(last.findings) == list(found.findings)
