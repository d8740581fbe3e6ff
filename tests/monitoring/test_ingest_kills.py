"""What Ingest acknowledged is counted once, whoever is killed, and windows are those of a run in which nobody was."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from kernel.fold import event_of
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from modelog.sdk import connect_sync
from modelog.sdk.ingesting import request_of, send
from services.monitoring.telemetry import queries
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from suite.service_process import ServiceProcess
from testkit.live import log_server
from tests.monitoring.build import MONITOR, NEXT_VERSION, VERSION, batch, check, column, outcomes
from tests.monitoring.dying import FILE, POINTS
from tests.monitoring.station import Station, station

ROOT = Path(__file__).parents[2]
BY_COUNT = f"{MONITOR}-by-count"
CHUNK = 30
_SECONDS = 120.0  # For what a run left to be counted and judged.
KINDS = (telemetry.PredictionBatch, telemetry.OutcomeBatch)
Batch = telemetry.PredictionBatch | telemetry.OutcomeBatch
# The clock closes nothing: when it looks is no matter of the telemetry, and both runs are to be the same.
SETTINGS = {"tick_seconds": 0.1, "telemetry_delay_seconds": 100 * 365 * 86_400.0}
SOME_POINTS = ("published after 7", "counted after 2", "evaluated after 3")


@dataclass
class Scene:
    """Servers, and the service as a process that may be killed. acknowledged: position by batch id."""

    nats: NatsServer
    postgres: PostgresServer
    folder: Path
    process: ServiceProcess
    acknowledged: dict[str, int] = field(default_factory=dict)

    async def sent(self, batches: Sequence[Batch], patience_seconds: float = 60.0) -> None:
        """Sends through the SDK until every batch is acknowledged."""

        def stream() -> None:
            client = connect_sync(monitoring=self.process.address, actor="users/ada", patience_seconds=patience_seconds)
            with client:
                door = client.telemetry
                for one in send(door._session, door._method(), map(request_of, batches)):
                    assert one.refusal is None
                    self.acknowledged[one.batch_id] = one.position

        await asyncio.to_thread(stream)

    async def dies(self, point: str, batches: Sequence[Batch]) -> None:
        """The service dies at this point while the batches are sent; the next life takes the rest."""
        await self.process.kill()
        (self.folder / FILE).write_text(point)
        await self.process.start()
        sending = asyncio.create_task(self.sent(batches))
        try:
            async with asyncio.timeout(60):
                while self.process.process.running:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"the service never came to {point}") from None
        await self.process.start()
        await sending

    async def disturbed(self, fault: Callable[[], Awaitable[None]], seconds: float, batches: Sequence[Batch]) -> None:
        """The fault happens so long after the first batch is sent."""
        sending = asyncio.create_task(self.sent(batches))
        await asyncio.sleep(seconds)
        await fault()
        await sending

    async def killed(self) -> None:
        await self.process.kill()
        await self.process.start()

    async def log_killed(self) -> None:
        await self.nats.kill()
        await self.nats.start()

    async def tables_killed(self) -> None:
        await self.postgres.kill()
        await self.postgres.start()


@asynccontextmanager
async def scene(
    folder: Path, postgres: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'libs'}:{ROOT}")
    async with log_server(folder) as nats:
        async with station(nats, postgres, folder, schema=schema, **SETTINGS) as live:
            await prepared(live)
        settings = {
            "nats_url": nats.address,
            "nats_user": "monitoring",
            "nats_password_file": str(nats.password_file("monitoring")),
            "nats_api_prefix": API_PREFIX,
            **postgres.urls_of("monitoring"),
            "schema": schema,
            "data_dir": str(folder / "data"),
            **{name: str(value) for name, value in SETTINGS.items()},
        }
        home = folder / "service"
        process = ServiceProcess(
            "monitoring",
            "tests.monitoring.dying",
            settings=settings,
            folder=home,
            log=folder / "service.log",
            drain_seconds=0.2,
        )
        await process.start()
        try:
            yield Scene(nats, postgres, home, process)
        finally:
            await process.stop()


async def prepared(live: Station) -> None:
    """Two monitors of the endpoint, which differ in how they cut windows; the baseline is the same in every run."""
    await live.serve(VERSION, NEXT_VERSION)
    checks = [
        check(types.METHOD_VOLUME, 1, id="rows"),
        check(types.METHOD_PSI, 0.25, id="drift", columns=["age"]),
        check(types.METHOD_ACCURACY, 0.7, id="right"),
    ]
    ages = np.random.default_rng(7).normal(40, 10, size=500)
    # Longer than what is on its way at once, so that nothing is late whatever is sent again.
    by_time = types.WindowSpec(size_seconds=1, lateness_seconds=30, segment_columns=["country"])
    for name, window in ((MONITOR, by_time), (BY_COUNT, types.WindowSpec(size_rows=100))):
        await live.create(*checks, window=window, name=name)
        await live.baseline(ages, [1.0] * 500, name=name)


def telemetry_of(seed: int, chunks: int, start: datetime) -> list[list[Batch]]:
    """Predictions of both versions a tenth of a second apart, each with its labels some batches before or after."""
    draw = np.random.default_rng(seed)
    placed: list[tuple[float, Batch]] = []
    for number in range(chunks * CHUNK // 2):
        size, at = int(draw.integers(1, 60)), start + timedelta(seconds=0.1 * number)
        told = [str(one) for one in draw.choice(["DE", "FR", "IT"], size=size)]
        said = batch(
            f"b{number}",
            draw.normal(40, 10, size=size),
            at=at,
            version=(VERSION, NEXT_VERSION)[number % 2],
            scores=[1.0] * size,
            inputs=[column("country", told)],
        )
        true = dict(zip(said.prediction_ids, map(float, draw.integers(0, 2, size=size)), strict=True))
        placed.append((number, said))
        placed.append((number + float(draw.uniform(-4, 8)), outcomes(f"o{number}", true, at=at + timedelta(seconds=1))))
    batches = [one for _, one in sorted(placed, key=lambda one: one[0])]
    # So late that all windows before are complete, of every lane.
    late = start + timedelta(seconds=0.1 * len(batches) + 60)
    countries = column("country", ["DE", "FR", "IT"])
    last: list[Batch] = []
    for name, version in (("e1", VERSION), ("e2", NEXT_VERSION)):
        last.append(batch(name, [40.0] * 3, at=late, version=version, inputs=[countries]))
        last.append(outcomes(f"{name}-labels", {f"{name}-{row}": 1.0 for row in range(3)}, at=late))
    return [*(batches[at : at + CHUNK] for at in range(0, len(batches), CHUNK)), last]


async def judged(live: Station, monitor: str) -> Counter[bytes]:
    """What every window held and what was said of it, whatever the order in which they were judged."""
    head = await live.live.rooms.resources.catch_up()
    found: Counter[bytes] = Counter()
    async for entries in live.live.rooms.log.follow(0):
        for entry in entries:
            fact = Fact.FromString(entry.payload)
            event = event_of(fact) if fact.resource == monitor else None
            if isinstance(event, facts.WindowEvaluated):
                told = facts.WindowEvaluated(window=event.window, results=event.results)
                told.window.number = 0
                found[told.SerializeToString(deterministic=True)] += 1
        if entries[-1].revision >= head:
            return found
    raise AssertionError("the log ended")


@dataclass
class Counts:
    """What a run came to. rows: predictions and pairs counted, by monitor."""

    rows: dict[str, tuple[int, int]]
    windows: dict[str, Counter[bytes]]


async def counts_of(nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str) -> Counts:
    rows, windows = {}, {}
    async with station(nats, postgres, folder, schema=schema, **SETTINGS) as live:
        await live.counted(_SECONDS)
        async with asyncio.timeout(_SECONDS):
            while await live.live.rooms.kept.fetchval("select exists (select from open_window where closed)"):
                await asyncio.sleep(0.05)
        assert not await live.live.rooms.kept.fetch("select * from rejected")
        for monitor in (MONITOR, BY_COUNT):
            windows[monitor] = await judged(live, monitor)
            async with live.live.rooms.kept.acquire() as connection:
                lanes = await queries.load_lanes(connection, [monitor])
            told: Counter[types.Track] = Counter()
            for lane in lanes.values():
                told[lane.track] += sum(one.rows for one in lane.windows if not lane.segment)
            for body, times in windows[monitor].items():
                window = facts.WindowEvaluated.FromString(body).window
                assert not window.late_rows
                told[window.track] += 0 if window.segment else window.rows * times
            rows[monitor] = (told[types.TRACK_PREDICTIONS], told[types.TRACK_LABELS])
    return Counts(rows, windows)


async def undisturbed(folder: Path, postgres: PostgresServer, schema: str, batches: Iterable[Batch]) -> Counts:
    folder.mkdir()
    async with log_server(folder) as nats:
        async with station(nats, postgres, folder, schema=schema, **SETTINGS) as live:
            await prepared(live)
            await live.send(*batches)
        return await counts_of(nats, postgres, folder, schema)


def must_be_the_same(
    one: Scene, chunks: Sequence[Sequence[Batch]], found: Counts, quiet: Counts, *, in_order: bool
) -> None:
    batches = [item for chunk in chunks for item in chunk]
    assert set(one.acknowledged) == {item.batch_id for item in batches}
    assert len(set(one.acknowledged.values())) == len(batches), "two batches were told the same place in the stream"
    sizes = {kind: sum(len(item.prediction_ids) for item in batches if isinstance(item, kind)) for kind in KINDS}
    for monitor in (MONITOR, BY_COUNT):
        assert found.rows[monitor] == tuple(sizes[kind] for kind in KINDS)
    assert found.windows[MONITOR] == quiet.windows[MONITOR]
    assert max(found.windows[MONITOR].values()) == 1
    # By count it is the order of the stream that decides which rows are in a window.
    if in_order:
        assert found.windows[BY_COUNT] == quiet.windows[BY_COUNT]


async def test_killing_monitoring_loses_and_doubles_nothing_that_was_acknowledged(
    postgres: PostgresServer, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(1)
    chunks = telemetry_of(1, len(SOME_POINTS) + 1, start())
    async with scene(tmp_path, postgres, schema, monkeypatch) as one:
        for point, chunk in zip(SOME_POINTS, chunks, strict=False):
            await one.dies(point, chunk)
        for chunk in chunks[len(SOME_POINTS) : -1]:
            await one.disturbed(one.killed, draw.uniform(0.02, 0.3), chunk)
        await one.sent(chunks[-1])
        await one.process.stop()
        found = await counts_of(one.nats, postgres, tmp_path, schema)
    quiet = await undisturbed(tmp_path / "quiet", postgres, f"{schema}_quiet", itertools.chain(*chunks))
    must_be_the_same(one, chunks, found, quiet, in_order=True)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
async def test_killing_monitoring_at_every_point_loses_and_doubles_nothing(
    postgres: PostgresServer, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    draw = random.Random(seed)
    # All of a chunk may be counted in one go, which comes to its points once.
    often = {"published": 20, "evaluated": 3, "profiled": 3, "forgotten": 3}
    points = [
        f"{name} {moment} {draw.randint(1, often.get(name, 1))}" for name in POINTS for moment in ("before", "after")
    ]
    draw.shuffle(points)
    kills = 15
    chunks = telemetry_of(seed, len(points) + kills, start())
    async with scene(tmp_path, postgres, schema, monkeypatch) as one:
        for point, chunk in zip(points, chunks, strict=False):
            await one.dies(point, chunk)
        for chunk in chunks[len(points) : -1]:
            await one.disturbed(one.killed, draw.uniform(0.0, 0.4), chunk)
        await one.sent(chunks[-1])
        await one.process.stop()
        found = await counts_of(one.nats, postgres, tmp_path, schema)
    quiet = await undisturbed(tmp_path / "quiet", postgres, f"{schema}_quiet", itertools.chain(*chunks))
    must_be_the_same(one, chunks, found, quiet, in_order=True)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
async def test_killing_the_log_and_the_tables_loses_and_doubles_nothing(
    tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    draw = random.Random(seed)
    chunks = telemetry_of(seed, 18, start())
    async with PostgresServer(tmp_path / "tables") as postgres:
        async with scene(tmp_path, postgres, schema, monkeypatch) as one:
            faults = [one.log_killed, one.tables_killed, one.killed] * 6
            draw.shuffle(faults)
            for fault, chunk in zip(faults, chunks, strict=False):
                await one.disturbed(fault, draw.uniform(0.0, 0.4), chunk)
            await one.sent(chunks[-1])
            await one.process.stop()
            found = await counts_of(one.nats, postgres, tmp_path, schema)
        quiet = await undisturbed(tmp_path / "quiet", postgres, f"{schema}_quiet", itertools.chain(*chunks))
    must_be_the_same(one, chunks, found, quiet, in_order=False)


def start() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
