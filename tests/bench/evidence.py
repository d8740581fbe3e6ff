"""Evidence: verifying a bundle offline, the size of a proof, and replay."""

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc.aio
import nats

from modelog import audit
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1.archive_service_pb2_grpc import ArchiveServiceStub
from services.archive import bundle, merkle, tiles
from services.archive.checkpoint import Head, sign
from services.archive.witness.cosignature import cosign
from suite.nats_server import NatsServer
from tests.archive.ground import messages
from tests.archive.test_kill import process
from tests.archive.trees import KEY, ORIGIN, VKEY
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, middle, ratio

BYTES = 400
MILLION = 1_000_000
_IN_FLIGHT = 500


async def verify(ground: Ground, effort: Effort) -> Outcome:
    """Checking a bundle offline, in seconds for a million facts of 400 bytes."""
    path = ground.folder / "bundle.tar"
    _make_bundle(path, effort.bundled)
    rounds = []
    for _ in range(min(effort.rounds, 3)):
        began = time.perf_counter()
        report = audit.verify(path, VKEY)
        rounds.append({"seconds": time.perf_counter() - began})
        if not report.ok or report.entries != effort.bundled:
            raise RuntimeError(f"not verified: {report.findings[:3]}")
    path.unlink()
    seconds = middle(rounds, "seconds") * MILLION / effort.bundled
    return Outcome(
        name="verify",
        question="a bundle of 1,000,000 facts of 400 bytes, verified offline",
        figure=seconds,
        target=20,
        unit="s",
        ours=f"{effort.bundled / middle(rounds, 'seconds'):,.0f} facts/s",
        at_most=True,
        is_ratio=False,
        rounds=rounds,
        notes={"facts in the bundle": effort.bundled},
    )


async def proof(_ground: Ground, _effort: Effort) -> Outcome:
    """The text of the longest inclusion proof under a million facts, with a witnessed checkpoint."""
    leaves = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(MILLION)]
    held = tiles.extend({}, 0, leaves)
    root = merkle.span_hash((0, MILLION), tiles.node_from(held))
    note = sign(Head(ORIGIN, MILLION, root), KEY)
    note += cosign(note.partition("\n\n")[0] + "\n", 1_800_000_000, "witness.modelog.local", KEY)
    hashes = [merkle.span_hash(span, tiles.node_from(held)) for span in merkle.inclusion_spans(0, MILLION)]
    return Outcome(
        name="proof",
        question="one proof under 1,000,000 facts, as a file with its witnessed checkpoint",
        figure=len(bundle.proof_text(0, hashes, note).encode()) / 1024,
        target=1.5,
        unit="KiB",
        ours=f"{len(hashes)} hashes",
        at_most=True,
        is_ratio=False,
    )


async def replay(ground: Ground, effort: Effort) -> Outcome:
    """ReadFacts of the archive from the beginning to the end, against nats-py receiving the same messages."""
    folder = ground.folder / "replay"
    async with ground.log() as log:
        await _publish(log, effort.replayed)
        archive = process(log, ground.postgres, folder, ground.schema())
        await archive.start()
        try:
            await _ours(archive.address, effort.replayed)  # Returns once the copy is complete.
            rounds = [
                (await _theirs(log, effort.replayed), await _ours(archive.address, effort.replayed))
                for _ in range(effort.rounds)
            ]
        finally:
            await archive.stop()
    return Outcome(
        name="replay",
        question="facts of 400 bytes over ReadFacts, against nats-py alone",
        figure=ratio(rounds),
        target=0.5,
        unit="facts/s",
        floor=f"{middle([one for one, _ in rounds], 'per_second'):,.0f}/s",
        ours=f"{middle([one for _, one in rounds], 'per_second'):,.0f}/s",
        rounds=rounds,
    )


async def _theirs(log: NatsServer, count: int) -> dict[str, Any]:
    client = await nats.connect(log.url)
    try:
        began = time.perf_counter()
        subscription = await client.jetstream().subscribe(
            "lifecycle.>", stream="LIFECYCLE", ordered_consumer=True, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        received = 0
        async for _message in subscription.messages:
            received += 1
            if received == count:
                break
        return {"per_second": count / (time.perf_counter() - began)}
    finally:
        await client.close()


async def _ours(address: str, count: int) -> dict[str, Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = ArchiveServiceStub(channel)
        began = time.perf_counter()
        received = 0
        async for reply in stub.ReadFacts(rpc.ReadFactsRequest(follow=True), timeout=300):
            received += len(reply.entries)
            if received == count:
                break
        return {"per_second": count / (time.perf_counter() - began)}


async def _publish(log: NatsServer, count: int) -> None:
    client = await nats.connect(log.url)
    room = asyncio.Semaphore(_IN_FLIGHT)

    async def put(subject: str, payload: bytes) -> None:
        async with room:
            await client.jetstream().publish(subject, payload)

    await asyncio.gather(*(put(one.subject, one.payload) for one in messages(count, BYTES)))
    await client.close()


def _make_bundle(path: Path, count: int) -> None:
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
