"""A fact that cannot be read freezes its resource and nothing else; a hole stops the reader; folding again mends."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kernel import tables
from kernel.cause import Cause, fact_of
from kernel.digest import views_digest
from kernel.folding import Folded
from kernel.log import Hole
from kernel.position import Position
from kernel.postgres import ChangedMigration, create_pool, migrate
from kernel.projector import Fenced, Projector
from kernel.states import States
from modelog.type.v1.principal_pb2 import Principal
from suite.postgres_server import PostgresServer
from testkit.memory_log import MemoryLog
from tests.kernel.toy import PART, TOY, M

KINDS = (TOY, PART)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class World:
    """A memory log, a schema, and a projector that a test drives by hand."""

    def __init__(self, log: MemoryLog, pool: Any, schema: str) -> None:
        self.log, self.pool, self.schema = log, pool, schema
        self.position = Position()

    def projector(self, kinds: Any = KINDS, project: Any = None) -> Projector:
        return Projector(
            service="registry", schema=self.schema, kinds=kinds, log=self.log, pool=self.pool, position=self.position,
            states=States(self.log, self.pool), project=project,
        )  # fmt: skip

    async def fold(self, projector: Projector | None = None) -> Projector:
        """Folds everything there is."""
        projector = projector or self.projector()
        await projector.open()
        at = await self.pool.fetchval("select revision from position")
        if self.log.entries[at:]:
            await projector.fold(self.log.entries[at:])
        return projector

    def happen(self, name: str, event: Any, generation: int) -> None:
        before = M.Toy(generation=generation - 1)
        request = f"{name}-{generation}-{len(self.log.entries)}"
        cause = Cause(actor=Principal(id="users/ada"), request_id=request, now=NOW)
        fact = fact_of(TOY, name, before, event, cause, ())
        self.log.put(TOY.subject(name), fact.SerializeToString(deterministic=True))

    async def toy(self, name: str) -> Any:
        return M.Toy.FromString(await self.pool.fetchval("select body from toy where name = $1", name))


@pytest.fixture
async def world(postgres: PostgresServer, schema: str) -> AsyncIterator[World]:
    pool = await create_pool(postgres.url, schema=schema, name="test")
    await migrate(pool, schema=schema, first=lambda connection: tables.create(connection, KINDS))
    yield World(MemoryLog(), pool, schema)
    await pool.close()


GOOD, BAD = "projects/p/toys/good", "projects/p/toys/bad"


def future_event() -> bytes:
    cause = Cause(actor=Principal(id="users/ada"), request_id="future", now=NOW)
    fact = fact_of(TOY, BAD, M.Toy(generation=1), M.ToyAdded(amount=1), cause, ())
    fact.event.type_url = "type.googleapis.com/modelog.registry.toy.FromTheFuture"
    return fact.SerializeToString()


POISON = {
    "random bytes": b"\xff\xfe\x00poison",
    "empty": b"",
    "an unknown kind": future_event(),
    "text that is not UTF-8": b"\x0a\x02\xff\xfe",
}


@pytest.mark.parametrize("payload", POISON.values(), ids=POISON.keys())
async def test_poison_freezes_its_resource_at_the_last_good_state(world: World, payload: bytes) -> None:
    world.happen(BAD, M.ToyMade(label="kept"), 1)
    world.log.put(TOY.subject(BAD), payload)
    world.happen(BAD, M.ToyAdded(amount=1), 2)
    world.happen(GOOD, M.ToyMade(label="goes on"), 1)
    await world.fold()
    bad, good = await world.toy(BAD), await world.toy(GOOD)
    assert (bad.label, bad.generation, bad.total, bad.quarantine.revision) == ("kept", 1, 0, 2)
    assert bad.quarantine.reason
    assert (good.label, good.HasField("quarantine")) == ("goes on", False)
    assert [row["name"] for row in await world.pool.fetch("select name from quarantine")] == [BAD]
    assert await world.pool.fetchval("select revision from position") == 4


async def test_poison_as_the_first_fact_and_on_no_resource_at_all_is_shown(world: World) -> None:
    world.log.put(TOY.subject(BAD), b"\xff")
    world.log.put("lifecycle.registry.nobody", b"x")
    world.log.put("lifecycle.monitoring.p.monitors.m", b"not ours")
    await world.fold()
    assert (await world.toy(BAD)).quarantine.revision == 1
    rows = await world.pool.fetch("select name from quarantine order by revision")
    assert [row["name"] for row in rows] == [BAD, "lifecycle.registry.nobody"]


async def test_a_resource_cannot_begin_twice(world: World) -> None:
    for n in range(3):
        world.happen(f"{GOOD}{n}", M.ToyMade(label="first"), 1)
    projector = await world.fold()
    cold = world.projector()  # One that has nothing in memory takes a first fact to be the first.
    await cold.open()
    world.happen(f"{GOOD}1", M.ToyMade(label="second"), 1)
    world.happen(GOOD, M.ToyMade(label="other"), 1)
    await cold.fold(world.log.entries[3:])
    toy = await world.toy(f"{GOOD}1")
    assert (toy.label, toy.generation, toy.quarantine.revision) == ("first", 1, 4)
    assert (await world.toy(GOOD)).label == "other"
    assert projector is not cold


async def test_a_projection_that_chokes_on_one_fact_freezes_that_resource_only(world: World) -> None:
    async def project(connection: Any, facts: Sequence[Folded]) -> None:
        for one in facts:
            await connection.execute("select $1::text", one.state.label)  # NUL cannot be text in Postgres.

    for n in range(5):
        world.happen(f"{GOOD}{n}", M.ToyMade(label="fine"), 1)
    world.happen(BAD, M.ToyMade(label="a\0b"), 1)
    world.happen(GOOD, M.ToyMade(label="fine"), 1)
    await world.fold(world.projector(project=project))
    assert (await world.toy(BAD)).quarantine.revision == 6
    assert [row["name"] for row in await world.pool.fetch("select name from quarantine")] == [BAD]
    assert (await world.toy(GOOD)).revision == 7


async def test_a_reader_that_understands_folds_the_frozen_resource_again(
    world: World, postgres: PostgresServer
) -> None:
    world.happen(BAD, M.ToyMade(label="x"), 1)
    world.happen(BAD, M.ToyBroken(), 2)
    world.happen(BAD, M.ToyAdded(amount=3), 3)
    world.happen(GOOD, M.ToyMade(label="y"), 1)
    await world.fold()
    assert (await world.toy(BAD)).quarantine.revision == 2

    def wiser(toy: Any, event: Any, fact: Any) -> None:
        if not isinstance(event, M.ToyBroken):
            TOY.evolve(toy, event, fact)

    import dataclasses

    kinds = (dataclasses.replace(TOY, evolve=wiser), PART)
    await world.fold(world.projector(kinds))
    bad = await world.toy(BAD)
    assert (bad.total, bad.generation, bad.HasField("quarantine")) == (3, 3, False)
    assert await world.pool.fetchval("select count(*) from quarantine") == 0

    fresh = f"{world.schema}_fresh"
    pool = await create_pool(postgres.url, schema=fresh, name="test")
    await migrate(pool, schema=fresh, first=lambda connection: tables.create(connection, kinds))
    again = World(world.log, pool, fresh)
    await again.fold(again.projector(kinds))
    assert await views_digest(pool, fresh) == await views_digest(world.pool, world.schema)
    await pool.close()


async def test_a_second_projector_is_fenced_and_writes_nothing(world: World) -> None:
    world.happen(GOOD, M.ToyMade(label="x"), 1)
    late = world.projector()
    await late.open()
    await world.fold()
    with pytest.raises(Fenced):
        await late.fold(world.log.entries)
    assert (await world.toy(GOOD)).generation == 1
    assert await world.pool.fetchval("select count(*) from toy_history") == 1


async def test_folding_in_any_batches_gives_the_same_bytes(world: World, postgres: PostgresServer) -> None:
    for n in range(40):
        world.happen(f"projects/p/toys/t{n % 7}", M.ToyMade(label=f"{n}"), n // 7 + 1)
    world.log.put(TOY.subject(BAD), b"\xff")
    projector = await world.fold()
    assert projector is not None
    expected = await views_digest(world.pool, world.schema)
    for size in (1, 3, 17):
        name = f"{world.schema}_{size}"
        pool = await create_pool(postgres.url, schema=name, name="test")
        await migrate(pool, schema=name, first=lambda connection: tables.create(connection, KINDS))
        other = World(world.log, pool, name)
        one = other.projector()
        await one.open()
        for start in range(0, len(world.log.entries), size):
            await one.fold(world.log.entries[start : start + size])
        assert await views_digest(pool, name) == expected
        await pool.close()


async def test_whoever_waits_hears_that_a_hole_stopped_the_views() -> None:
    from kernel.active import kept_running
    from kernel.errors import Unavailable

    position = Position()
    waiting = asyncio.create_task(position.wait(5))
    await asyncio.sleep(0)

    async def fold() -> None:
        raise Hole(3, 7)

    await kept_running("projector", fold, position)
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await position.wait(5)


async def test_a_role_whose_cancellation_got_lost_is_not_started_again() -> None:
    from kernel.active import kept_running

    begun: list[int] = []

    async def lose_it() -> None:
        begun.append(len(begun))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError("pool is closed") from None

    role = asyncio.create_task(kept_running("reactor", lose_it, Position()))
    await asyncio.sleep(0)
    role.cancel()
    await asyncio.wait([role], timeout=5)
    assert role.cancelled()
    assert begun == [0]


async def test_whoever_stops_waiting_leaves_nothing_behind() -> None:
    position = Position()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await position.wait(1_000_000)
    assert position.waiting == 0


async def test_a_migration_changed_after_it_was_applied_is_refused_or_begun_anew(world: World, tmp_path: Path) -> None:
    file = tmp_path / "0001_a.sql"
    file.write_text("create table a (x int)")
    await migrate(world.pool, schema=world.schema, folder=tmp_path)
    await migrate(world.pool, schema=world.schema, folder=tmp_path)
    file.write_text("create table a (x bigint)")
    world.happen(GOOD, M.ToyMade(label="x"), 1)
    await world.fold()
    with pytest.raises(ChangedMigration, match="add a new file"):
        await migrate(world.pool, schema=world.schema, folder=tmp_path)
    first = partial(tables.create, kinds=KINDS)
    await migrate(world.pool, schema=world.schema, folder=tmp_path, first=first, anew=True)
    assert await world.pool.fetchval("select revision from position") == 0
    await world.fold()
    assert (await world.toy(GOOD)).label == "x"
