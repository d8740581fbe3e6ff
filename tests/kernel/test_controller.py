"""Controllers act on what the facts want, so they do not act before the facts are folded."""

import asyncio
from dataclasses import replace
from pathlib import Path

from kernel.rooms import Controller, Rooms
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import service
from tests.kernel.test_service import PARENT, Toys
from tests.kernel.toy import TOYS


async def test_a_controller_begins_on_complete_views_also_after_they_were_dropped(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    seen: list[int] = []

    def controllers(rooms: Rooms) -> list[Controller]:
        async def look() -> None:
            seen.append(await rooms.pool.fetchval("select count(*) from toy"))
            await asyncio.Event().wait()

        return [look]

    looking = replace(TOYS, controllers=controllers)
    async with service(looking, nats, postgres, tmp_path, schema=schema) as live:
        toys = Toys(live)
        await asyncio.gather(*(toys.MakeToy(parent=PARENT, toy_id=f"t{n}") for n in range(150)))
        await live.rooms.resources.catch_up()
        await live.rooms.pool.execute(f'drop schema "{schema}" cascade')
    async with service(looking, nats, postgres, tmp_path, schema=schema), asyncio.timeout(10):
        while len(seen) < 2:
            await asyncio.sleep(0.01)
    assert seen == [0, 150]
