"""A thousand calls cancelled at random instants: each has happened whole or not at all, and nothing is left behind."""

import asyncio
import random
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import grpc.aio

from kernel.log import Entry
from modelog.log.v1.fact_pb2 import Fact
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.kernel.toy import TOYS, M

SEED = 20260301
NAME = "projects/p/toys/ball"
_CALLS, _AT_ONCE = 1000, 50
_IDLE = "select count(*) from pg_stat_activity where state like 'idle in transaction%'"


def method(live: Live, name: str) -> Any:
    return live.channel.unary_unary(
        f"/modelog.registry.toy.ToyService/{name}",
        request_serializer=getattr(M, f"{name}Request").SerializeToString,
        response_deserializer=getattr(M, {"GetToy": "Toy"}.get(name, f"{name}Response")).FromString,
    )


async def storm(live: Live, dice: random.Random) -> dict[str, int]:
    """How the calls ended. Every second is cancelled, the others have a deadline they can hardly keep.

    gRPC refuses streams of a connection that resets many (REFUSED_STREAM, so UNAVAILABLE): these are asked again.
    """
    add, ended = method(live, "Add"), dict[str, int]()
    waiting = iter(range(_CALLS))

    async def one(number: int) -> str:
        request = M.AddRequest(name=NAME, amount=1, request_id=f"storm-{number}")
        call = add(request, timeout=dice.uniform(0.001, 0.05) if number % 2 else 10)
        if not number % 2:
            asyncio.get_running_loop().call_later(dice.uniform(0, 0.05), call.cancel)
        try:
            await call
        except asyncio.CancelledError:
            return "CANCELLED"
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async def some() -> None:
        for number in waiting:
            while (how := await one(number)) == "UNAVAILABLE":
                ended[how] = ended.get(how, 0) + 1
                await asyncio.sleep(0.02)
            ended[how] = ended.get(how, 0) + 1

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return ended


async def test_cancelled_calls_leave_no_half_command_no_task_and_no_transaction(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    # Hardly more places than are in use at once: a place that is not given back is soon missed.
    async with service(TOYS, nats, postgres, tmp_path, schema=schema, calls_at_once=_AT_ONCE * 3) as live:
        await method(live, "MakeToy")(M.MakeToyRequest(parent="projects/p", toy_id="ball"), timeout=10)
        before = len(asyncio.all_tasks())
        ended = await storm(live, random.Random(SEED))
        print("seed", SEED, ended)
        assert set(ended) <= {"OK", "CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE"}
        assert ended.get("CANCELLED", 0) > 50
        assert ended.get("DEADLINE_EXCEEDED", 0) > 50
        await asyncio.sleep(0.5)
        assert len(asyncio.all_tasks()) <= before + 2
        connection = await asyncpg.connect(postgres.url)
        assert await connection.fetchval(_IDLE) == 0
        await connection.close()
        for number in range(_CALLS):  # Whoever asks again learns what became of it, and it happens once.
            request = M.AddRequest(name=NAME, amount=1, request_id=f"storm-{number}")
            await method(live, "Add")(request, timeout=10)
        await check(live)


async def check(live: Live) -> None:
    head = await live.rooms.log.head()
    entries: list[Entry] = []
    async for batch in live.rooms.log.follow(0):
        entries += batch
        if len(entries) >= head:
            break
    facts = [Fact.FromString(entry.payload) for entry in entries]
    assert [fact.generation for fact in facts] == list(range(1, _CALLS + 2))
    assert len({fact.request_id for fact in facts}) == len(facts)
    toy = await method(live, "GetToy")(M.GetToyRequest(name=NAME, read={"at_least": head}), timeout=10)
    assert toy.total == _CALLS
