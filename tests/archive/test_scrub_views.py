"""The views of all four services: whatever is done to a row of any of their tables is found and named."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import nats as nats_py
import pytest

from kernel.postgres import owning, quoted
from kernel.rooms import Blueprint
from modelog.status.v1 import status_service_pb2_grpc
from modelog.status.v1.comparisons_pb2 import CompareViewsRequest, ViewComparison
from services.archive.__main__ import BLUEPRINT as ARCHIVE
from services.deployment.__main__ import BLUEPRINT as DEPLOYMENT
from services.monitoring.__main__ import BLUEPRINT as MONITORING
from services.registry.__main__ import BLUEPRINT as REGISTRY
from suite.postgres_server import PostgresServer
from testkit.live import Live, log_server, service
from tests.archive.calls import packed
from tests.archive.stories import whole_life
from tests.archive.view_hands import HANDS, Done, Hand, Table, tables_of

BLUEPRINTS: dict[str, Blueprint] = {one.name: one for one in (REGISTRY, DEPLOYMENT, MONITORING, ARCHIVE)}


@pytest.fixture(scope="module")
async def lives(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> AsyncIterator[dict[str, Live]]:
    """All four with their views over one log; they only fold, so that nothing is added to it."""
    folder = tmp_path_factory.mktemp("views")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(log_server(folder))
        client = await nats_py.connect(server.url)
        stack.push_async_callback(client.close)
        for subject, fact in whole_life().facts:
            await client.jetstream().publish(subject, packed(fact))
        lives = {}
        for name, blueprint in BLUEPRINTS.items():
            up = service(blueprint, server, postgres, folder, schema=f"views_{name}", roles="rpc,projector")
            lives[name] = await stack.enter_async_context(up)
        for live in lives.values():
            await live.rooms.resources.catch_up()
        yield lives


@asynccontextmanager
async def owned(live: Live) -> AsyncIterator[Any]:
    """A connection of the tables' owner."""
    owner = live.rooms.settings.postgres_owner_url
    async with owning(owner, schema=live.schema) as pool, pool.acquire() as connection:
        yield connection


async def compared(live: Live) -> ViewComparison:
    stub: Any = status_service_pb2_grpc.StatusServiceStub(live.channel)
    *_, last = [one async for one in stub.CompareViews(CompareViewsRequest(), timeout=60)]
    found: ViewComparison = last.comparison
    return found


async def tampered(live: Live, work: list[tuple[Hand, Table]], chance: random.Random) -> list[Done]:
    """Lets each hand do its work, compares, checks that this and nothing else is named, and puts everything back."""
    async with owned(live) as connection:
        kept = {table.name: await connection.fetch(f"select * from {quoted(table.name)}") for _, table in work}
        try:
            done = [one for hand, table in work if (one := await hand(connection, table, chance))]
            found = await compared(live)
        finally:
            for name, rows in kept.items():
                await connection.execute(f"delete from {quoted(name)}")
                places = ", ".join(f"${at + 1}" for at in range(len(rows[0])))
                await connection.executemany(f"insert into {quoted(name)} values ({places})", rows)
    for one in done:
        named = [f for f in found.findings if f.table == one.table and f.reason == one.reason and one.word in f.message]
        assert named, f"{one} became {list(found.findings)[:5]}"
    strangers = {one.table for one in found.findings} - {one.table for one in done}
    assert not strangers
    return done


async def _tables(live: Live) -> list[Table]:
    async with owned(live) as connection:
        return await tables_of(connection, live.schema)


@pytest.mark.parametrize("name", BLUEPRINTS)
async def test_each_table_is_tampered_with_by_some_hand_and_each_is_named(lives: dict[str, Live], name: str) -> None:
    live = lives[name]
    clean = await compared(live)
    assert (list(clean.findings), clean.alarm_reason) == ([], "")
    tables = await _tables(live)
    assert len(tables) >= {"registry": 12, "deployment": 8, "monitoring": 5, "archive": 2}[name]
    chance = random.Random(name)
    hands = [HANDS[number % len(HANDS)] for number in range(len(tables))]
    done = await tampered(live, list(zip(hands, tables, strict=True)), chance)
    assert len(done) >= len(tables) // 2
    assert list((await compared(live)).findings) == []


@pytest.mark.long
@pytest.mark.tampering
@pytest.mark.parametrize("name", BLUEPRINTS)
async def test_sixty_cases_in_each_service(lives: dict[str, Live], name: str) -> None:
    live, cases, seed = lives[name], 0, 0
    while cases < 60:
        chance = random.Random(f"{name} {seed}")
        hand = HANDS[seed % len(HANDS)]
        tables = await _tables(live)
        cases += len(await tampered(live, [(hand, chance.choice(tables))], chance))
        seed += 1
