"""Comparing over real servers: a flipped bit of the log's storage, edited rows, and what the archive says of both."""

import asyncio
import random
from pathlib import Path
from typing import Any

from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import evidence_pb2 as evidence
from modelog.archive.v1 import evidence_requests_pb2 as more
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive
from tests.archive.stories import life_of_version
from tests.archive.tampering import messages

SHA256 = "ab" * 32


async def compared(running: Archive, **fields: Any) -> more.ScrubResponse:
    """The last reply: what was found."""
    *_, last = [one async for one in running.stub.Scrub(more.ScrubRequest(**fields), timeout=60)]
    assert last.done
    found: more.ScrubResponse = last
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


def flip_a_bit(nats: NatsServer, folder: Path) -> None:
    """In the midst of the file in which the server keeps its messages."""
    (block,) = nats.folder.glob("**/streams/LIFECYCLE/msgs/1.blk")
    data = bytearray(block.read_bytes())
    place = len(data) // 2
    data[place] ^= 1 << random.Random(1).randrange(8)
    block.write_bytes(data)
    for index in block.parent.glob("index.db"):
        index.unlink()


async def test_what_a_flipped_bit_dropped_in_silence_is_named_from_the_copy(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with archive(nats, postgres, tmp_path, schema) as running:
        await running.tell(life_of_version(SHA256))
        facts = list(messages(400))
        await asyncio.gather(*(running.put(one.subject, one.payload) for one in facts))
        end = await running.live.rooms.log.head()
        assert (await witnessed(running, end)).head.size >= end
        assert list((await compared(running)).findings) == []
        kept = await running.entries()
        await nats.stop()
        flip_a_bit(nats, tmp_path)
        await nats.start()
        log: Any = running.live.rooms.log
        state = await log.state()
        lost = state["last_seq"] - state["messages"]
        assert lost > 0, "the server did not lose anything"
        found = await compared(running)
        assert {one.store for one in found.findings} == {evidence.EVIDENCE_STORE_LOG}
        assert {one.reason for one in found.findings} <= {"MISSING", "CUT"}
        assert sum(one.last_revision - one.revision + 1 for one in found.findings) == lost
        assert await running.entries() == kept, "the copy still has everything"


async def test_edited_rows_are_named_and_the_alarm_is_raised(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    settings: dict[str, Any] = {"scrub_pause_seconds": 0.2, "scrub_share": 1.0}
    async with archive(nats, postgres, tmp_path, schema, **settings) as running:
        end = await running.tell(life_of_version(SHA256))
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
        assert any("record_history" in message for _, _, message in told)
        assert any("table request" in message for _, _, message in told)
        async with asyncio.timeout(20):
            while (await notary_of(running)).scrub.finding_count != len(found.findings):
                await asyncio.sleep(0.05)
        last = await compared(running, last=True)
        assert list(last.findings) == list(found.findings)
