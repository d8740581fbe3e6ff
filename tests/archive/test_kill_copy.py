"""A real archive process, killed again and again while it copies, signs and vouches: in the end all stores agree."""

import asyncio
from pathlib import Path

import nats as client
import pytest

from services.archive.vault.vault import Vault
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import archive
from tests.archive.ground import messages
from tests.archive.test_kill import process
from tests.archive.test_scrub_live import compared, witnessed

FACTS = 6000
KILLS = 8


@pytest.mark.long
async def test_killed_while_copying(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> None:
    owner = await client.connect(nats.url)
    facts = list(messages(FACTS))

    async def tell() -> None:
        for one in facts:
            await owner.jetstream().publish(one.subject, one.payload)

    telling = asyncio.create_task(tell())
    kept = Vault(tmp_path / "data" / "copy")
    for number in range(KILLS):
        one = process(nats, postgres, tmp_path, schema)
        await one.start()
        try:
            before = kept.end()
            async with asyncio.timeout(60):
                while kept.end() == before and before < FACTS:
                    await asyncio.sleep(0.002)
            await asyncio.sleep(0.01 * number)
        finally:
            await one.kill()
    await telling
    await owner.close()
    async with archive(nats, postgres, tmp_path, schema) as last:
        await witnessed(last, FACTS)
        assert list((await compared(last)).findings) == []
        assert list(kept.read(1, FACTS)) == await last.entries()
        notary = last.live.rooms.settings.notary_dir
        assert (notary / "checkpoints.jsonl").read_bytes().endswith(b"\n")
