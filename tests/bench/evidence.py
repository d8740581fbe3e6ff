"""Evidence: verifying a bundle offline, the size of a proof, the way to a witnessed checkpoint, and replay."""

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc.aio
import nats

from modelog import audit
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1.archive_service_pb2_grpc import ArchiveServiceStub
from modelog.archive.v1.types_pb2 import Checkpoint, InclusionProof, TreeHead
from modelog.cli.audit import proof_text
from services.archive import bundle, merkle, tiles
from services.archive.checkpoint import Head, sign
from services.archive.witness.cosignature import cosign
from services.archive.witness.statements import Statements
from suite.nats_server import NatsServer
from tests.archive.ground import messages
from tests.archive.test_kill import process
from tests.archive.test_notarizing import notary as notary_process
from tests.archive.trees import KEY, ORIGIN, VKEY
from tests.bench.cpu import Meter
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, middle, ratio

BYTES = 400
MILLION = 1_000_000
RATE_PER_SECOND = 500
_IN_FLIGHT = 500
_SETTLE_SECONDS = 60.0


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
    made = InclusionProof(
        revision=1,
        head=TreeHead(size=MILLION, root_hash=root),
        hashes=[merkle.span_hash(span, tiles.node_from(held)) for span in merkle.inclusion_spans(0, MILLION)],
        checkpoint=Checkpoint(note=note),
    )
    return Outcome(
        name="proof",
        question="one proof under 1,000,000 facts, as a file with its witnessed checkpoint",
        figure=len(proof_text(made).encode()) / 1024,
        target=1.5,
        unit="KiB",
        ours=f"{len(made.hashes)} hashes",
        at_most=True,
        is_ratio=False,
    )


async def witness(ground: Ground, effort: Effort) -> Outcome:
    """From the acknowledgement of an append to a cosignature over it, at 500 facts a second."""
    waited, _ = await _paced(ground, effort)
    waited.sort()
    return Outcome(
        name="witness",
        question="append to witnessed checkpoint at 500 facts/s, p99",
        figure=waited[int(len(waited) * 0.99)],
        target=2,
        unit="s",
        ours=f"median {waited[len(waited) // 2]:.2f} s",
        at_most=True,
        is_ratio=False,
    )


async def notary(ground: Ground, effort: Effort) -> Outcome:
    """What the notary's process takes of a core while 500 facts come a second."""
    _, share = await _paced(ground, effort)
    return Outcome(
        name="notary",
        question="processor time of the notary at 500 facts/s, in percent of a core",
        figure=100 * share,
        target=5,
        unit="%",
        ours=f"{share / RATE_PER_SECOND * 1e6:,.0f} µs a fact",
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


async def _paced(ground: Ground, effort: Effort) -> tuple[list[float], float]:
    """Seconds from append to cosignature of each fact; and the share of a core that the notary takes, a process of its
    own beside a real archive."""
    schema = ground.schema()
    folder, count = ground.folder / schema, int(RATE_PER_SECOND * effort.paced_seconds)
    folder.mkdir()
    asks = {"notary_folder": str(folder / "signed"), "notary_asks": str(folder / "asks")}
    async with ground.log() as log, notary_process(log, folder, pause_seconds=0.5) as signing:
        archive = process(log, ground.postgres, folder, schema, **asks)
        await archive.start()
        try:
            return await _timed(
                log, signing.pid, Statements(folder / "data" / "witness", "modelog.local/lifecycle"), count
            )
        finally:
            await archive.stop()


async def _signs(sign_of_life: Path) -> None:
    """Starting is not what is measured."""
    async with asyncio.timeout(_SETTLE_SECONDS):
        while not sign_of_life.exists():
            await asyncio.sleep(0.05)


async def _timed(log: NatsServer, pid: int, statements: Statements, count: int) -> tuple[list[float], float]:
    client = await nats.connect(log.url)
    acknowledged: dict[int, float] = {}
    waited: list[float] = []

    async def watch() -> None:
        seen = 0
        while seen < count:
            newest = statements.newest()
            if newest and newest.head.size > seen:
                now = time.perf_counter()
                waited.extend(now - acknowledged.pop(one, now) for one in range(seen + 1, newest.head.size + 1))
                seen = newest.head.size
            await asyncio.sleep(0.005)

    async def send(revision: int, subject: str, payload: bytes) -> None:
        await client.jetstream().publish(subject, payload)
        acknowledged[revision] = time.perf_counter()

    watching = asyncio.create_task(watch())
    meter, began, sending = Meter(notary=pid), time.perf_counter(), []
    try:
        for one in messages(count, BYTES):
            await asyncio.sleep(max(0.0, began + one.revision / RATE_PER_SECOND - time.perf_counter()))
            sending.append(asyncio.create_task(send(one.revision, one.subject, one.payload)))
        await asyncio.gather(*sending)
        share = meter.each(1)["notary"] / 1e6 / (time.perf_counter() - began)
        await asyncio.wait_for(watching, _SETTLE_SECONDS)
    finally:
        watching.cancel()
        await client.close()
    return waited, share


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
