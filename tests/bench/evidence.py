"""Figures of the evidence: `python -m tests.bench.evidence [FACTS]`, 1,000,000 facts of 400 bytes unless said.

Prints the seconds (and those of the processor) of verifying a bundle offline, of comparing all stores, and from an
append to its witnessed checkpoint at 500 facts a second.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import nats

from modelog import audit
from services.archive import bundle, merkle, tiles
from services.archive.checkpoint import Head, sign
from services.archive.witness.statements import Statements
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import log_server
from tests.archive.ground import Ground, messages
from tests.archive.test_kill import process
from tests.archive.trees import KEY, ORIGIN, VKEY

BYTES = 400
RATE, SENT = 500, 10_000


def make_bundle(path: Path, count: int) -> None:
    """The whole log of `count` facts, as the archive exports it."""
    tar, held, size = bundle.Tar(), dict[tiles.TileId, bytes](), 0
    files = bundle.LogFiles(tar, 1)
    with path.open("wb") as file:
        part: list[bytes] = []
        for entry in messages(count, BYTES):
            for content in files.add([entry.payload]):
                file.write(content)
            part.append(merkle.leaf_hash(entry.payload))
            if len(part) == 2560 or entry.revision == count:
                begun = {one: held[one] for one in tiles.edge(size)}
                held |= tiles.extend(begun, size, part)
                size, part = size + len(part), []
        file.write(files.flush())
        root = merkle.span_hash((0, count), tiles.node_from(held))
        keys = [{"vkey": VKEY, "from_size": 1, "to_size": 0}]
        file.write(tar.file("checkpoint", sign(Head(ORIGIN, count, root), KEY).encode()))
        file.write(tar.file("log/edges.json", bundle.edges_json([], [])))
        file.write(tar.file("policy.json", bundle.policy_json(ORIGIN, keys)))
        file.write(tar.file("manifest.json", bundle.manifest_json(ORIGIN, count, 1, count, tar.files)) + tar.end())


def verifying(folder: Path, count: int) -> str:
    path = folder / "bundle.tar"
    make_bundle(path, count)
    wall, processor = time.perf_counter(), time.process_time()
    report = audit.verify(path, VKEY)
    spent = time.perf_counter() - wall, time.process_time() - processor
    if not report.ok or report.entries != count:
        raise SystemExit(f"not verified: {report.findings[:3]}")
    return f"verify {count} facts: {spent[0]:.1f} s, of the processor {spent[1]:.1f} s"


async def comparing(folder: Path, count: int) -> str:
    ground = await Ground(folder / "ground").fill(count, 997, bytes_each=BYTES)
    wall, processor = time.perf_counter(), time.process_time()
    report = await ground.scrub()
    spent = time.perf_counter() - wall, time.process_time() - processor
    if report.findings:
        raise SystemExit(f"found falsely: {report.findings[:3]}")
    return f"compare {count} facts: {spent[0]:.1f} s, of the processor {spent[1]:.1f} s"


async def witnessing(server: NatsServer, postgres: PostgresServer, folder: Path) -> str:
    """From the acknowledgement of an append to a cosignature over it, by a real archive process."""
    archive = process(server, postgres, folder, "bench", sign_pause_seconds="0.5")
    await archive.start()
    client = await nats.connect(server.url)
    statements = Statements(folder / "data" / "witness", "modelog.local/lifecycle")
    acknowledged: dict[int, float] = {}
    waited: list[float] = []

    async def watch() -> None:
        seen = 0
        while seen < SENT:
            newest = statements.newest()
            if newest and newest.head.size > seen:
                now = time.perf_counter()
                waited.extend(now - acknowledged.pop(one, now) for one in range(seen + 1, newest.head.size + 1))
                seen = newest.head.size
            await asyncio.sleep(0.005)

    async def send(revision: int, subject: str, payload: bytes) -> None:
        await client.jetstream().publish(subject, payload)
        acknowledged[revision] = time.perf_counter()

    try:
        watching = asyncio.create_task(watch())
        began, sending = time.perf_counter(), []
        for one in messages(SENT, BYTES):
            await asyncio.sleep(max(0.0, began + one.revision / RATE - time.perf_counter()))
            sending.append(asyncio.create_task(send(one.revision, one.subject, one.payload)))
        await asyncio.gather(*sending)
        rate = SENT / (time.perf_counter() - began)
        await asyncio.wait_for(watching, 60)
    finally:
        await client.close()
        await archive.kill()
    waited.sort()
    middle, late = waited[len(waited) // 2], waited[int(len(waited) * 0.99)]
    return f"append to witnessed checkpoint at {rate:.0f} facts/s: median {middle:.2f} s, p99 {late:.2f} s"


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(verifying(folder, count))
        print(await comparing(folder, count // 5))
        async with log_server(folder) as server, PostgresServer(folder / "postgres") as postgres:
            print(await witnessing(server, postgres, folder))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
