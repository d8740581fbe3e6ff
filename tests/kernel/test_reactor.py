"""Reactions: once for each fact in effect, in order, and never because of a rebuild."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from kernel.fold import kind
from kernel.reactor import Reaction
from kernel.rooms import Blueprint, Rooms
from modelog.log.v1.fact_pb2 import Fact
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.kernel.test_service import NAME, PARENT, Toys
from tests.kernel.toy import SERVICE, TOY, M, ToyServicer, evolve, make

ECHO = kind("registry", "projects/*/echoes/*", M.Toy, evolve, table="echo")


def echoing(rooms: Rooms) -> dict[Any, Any]:
    """Every toy that is added to leaves an echo named after the amount."""

    async def echo(reaction: Reaction) -> None:
        name = f"{PARENT}/echoes/e{reaction.event.amount}"
        await rooms.transact(ECHO, name, reaction.cause("echo"), partial(make, label="echo"))

    return {M.ToyAdded: echo}


ECHOING = Blueprint(
    name="registry", kinds=(TOY, ECHO), doors=lambda rooms: [(SERVICE, ToyServicer(rooms))], reactions=echoing
)


async def echoes(live: Live, count: int) -> list[Any]:
    async with asyncio.timeout(10):
        while await live.rooms.pool.fetchval("select count(*) from echo") < count:
            await asyncio.sleep(0.02)
    return [
        M.Toy.FromString(row["body"]) for row in await live.rooms.pool.fetch("select body from echo order by revision")
    ]


async def test_each_fact_is_reacted_to_once_over_restarts_and_rebuilds(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    start = partial(service, ECHOING, nats, postgres, tmp_path, schema=schema)
    async with start() as live:
        toys = Toys(live)
        await toys.MakeToy(parent=PARENT, toy_id="ball")
        for amount in (1, 2, 3):
            await toys.Add(name=NAME, amount=amount, reason="why")
        assert [toy.name.rpartition("/")[2] for toy in await echoes(live, 3)] == ["e1", "e2", "e3"]
        cause = await live.rooms.log.next(TOY.subject(NAME), 1)
        echo = await live.rooms.log.next(ECHO.subject(f"{PARENT}/echoes/e1"), 0)
        assert cause is not None
        assert echo is not None
        added, echoed = Fact.FromString(cause.payload), Fact.FromString(echo.payload)
        assert echoed.causation_id == added.id
        assert echoed.correlation_id == added.correlation_id
        assert echoed.actor.id == "services/registry"
        assert [one.id for one in echoed.on_behalf_of] == ["users/developer"]
    head = 7
    async with start() as live:
        assert await live.rooms.resources.catch_up() == head
        await live.rooms.kept.execute("update reactor_position set revision = 0")
    async with start() as live:  # Reacting again from the beginning makes the same requests, which change nothing.
        await Toys(live).Add(name=NAME, amount=4)
        await echoes(live, 4)
        assert await live.rooms.resources.catch_up() == head + 2
        await live.alter(f'drop schema "{schema}" cascade')
    async with start() as live:
        assert len(await echoes(live, 4)) == 4
        assert await live.rooms.log.head() == head + 2
