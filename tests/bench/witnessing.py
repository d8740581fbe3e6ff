"""From an append to its witnessed checkpoint at a steady rate, and what the notary takes of a core meanwhile."""

import asyncio
import time
from pathlib import Path

import nats

from services.archive.witness.statements import Statements
from suite.nats_server import NatsServer
from tests.archive.ground import messages
from tests.archive.test_kill import process
from tests.archive.test_notarizing import notary as notary_process
from tests.bench.cpu import Meter
from tests.bench.effort import Effort
from tests.bench.evidence import BYTES
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome

RATE_PER_SECOND = 500
_SETTLE_SECONDS = 60.0


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
