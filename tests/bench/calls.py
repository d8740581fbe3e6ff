"""Write and read: calls a second of the registry's door against a bare handler's on the same servers."""

from typing import Any

import asyncpg

from tests.bench import floors
from tests.bench.children import Child
from tests.bench.clients import GET, REGISTER
from tests.bench.cpu import Meter
from tests.bench.effort import Effort
from tests.bench.ground import Ground, Registry, log_order
from tests.bench.outcome import Outcome, compared, middle, ratio

_WARM_UP = 500
# The floor writes under this user: nobody folds what is on its `bench` subjects.
_FLOOR_USER = "deployment"


async def write(ground: Ground, effort: Effort) -> Outcome:
    """RegisterVersion with everything on, over 64 models, against a handler that only appends with the same guard."""
    async with (
        ground.log() as log,
        ground.registry(log) as registry,
        Child("tests.bench.clients") as clients,
        Child("tests.bench.floors") as floor,
    ):
        models = await registry.create(effort.models)
        bare = await floor.ask("serve_write", **log_order(log, _FLOOR_USER))
        pids = {"clients": clients.pid, "nats": log.process.pid, "postgres": ground.postgres.process.pid}

        async def run(address: str, method: str, server: int, count: int) -> dict[str, Any]:
            meter = Meter(server=server, **pids)
            order = {"address": address, "method": method, "callers": effort.callers}
            done = await clients.ask("write", **order, models=models, count=count)
            return done | {"cpu_us": meter.each(count)}

        async def pair(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
            with registry.frozen():
                lower = await run(bare["address"], floors.WRITE, floor.pid, count)
            await registry.caught_up()
            ours = await run(registry.address, REGISTER, registry.pid, count)
            await registry.caught_up()
            return lower, ours

        await pair(_WARM_UP)
        rounds = [await pair(effort.writes) for _ in range(effort.rounds)]
    return compared("write", f"RegisterVersion, {effort.callers} callers", 0.6, rounds)


async def reasons(ground: Ground, effort: Effort) -> Outcome:
    """RegisterVersion with a reason, which is kept beside the log first, against the same without."""
    async with (
        ground.log() as log,
        ground.registry(log) as registry,
        Child("tests.bench.clients") as clients,
    ):
        models = await registry.create(effort.models)
        order = {"address": registry.address, "method": REGISTER, "callers": effort.callers, "models": models}

        async def run(count: int, reason: str) -> dict[str, Any]:
            done: dict[str, Any] = await clients.ask("write", **order, count=count, reason=reason)
            await registry.caught_up()
            return done

        async def pair(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
            return await run(count, ""), await run(count, "the quarterly refit, as agreed with the reviewers")

        await pair(_WARM_UP)
        rounds = [await pair(effort.writes) for _ in range(effort.rounds)]
    without, with_words = [one[0] for one in rounds], [one[1] for one in rounds]
    return Outcome(
        name="reasons",
        question="RegisterVersion, with words beside the log / without any",
        figure=ratio(rounds),
        target=0.5,
        unit="calls/s",
        ours=f"{middle(with_words, 'per_second'):,.0f}",
        floor=f"{middle(without, 'per_second'):,.0f}",
        rounds=rounds,
    )


async def read(ground: Ground, effort: Effort) -> Outcome:
    """GetVersion of folded versions, in random order, against a handler that only fetches the same rows."""
    async with (
        ground.log() as log,
        ground.registry(log) as registry,
        Child("tests.bench.clients") as clients,
        Child("tests.bench.floors") as floor,
    ):
        names = await _registered(registry, clients, effort, ground)
        bare = await floor.ask("serve_read", postgres_url=ground.postgres.url, schema=registry.schema)
        pids = {"clients": clients.pid, "postgres": ground.postgres.process.pid}

        async def run(address: str, method: str, server: int, count: int, *, bare: bool) -> dict[str, Any]:
            meter = Meter(server=server, **pids)
            order = {"address": address, "method": method, "callers": effort.callers, "bare": bare}
            done = await clients.ask("read", **order, names=names, count=count)
            return done | {"cpu_us": meter.each(count)}

        async def pair(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
            lower = await run(bare["address"], floors.READ, floor.pid, count, bare=True)
            return lower, await run(registry.address, GET, registry.pid, count, bare=False)

        await pair(_WARM_UP)
        rounds = [await pair(effort.reads) for _ in range(effort.rounds)]
    return compared("read", f"GetVersion, {effort.callers} callers", 0.8, rounds)


async def _registered(registry: Registry, clients: Child, effort: Effort, ground: Ground) -> list[str]:
    """Names of versions that are registered and folded."""
    models = await registry.create(effort.models)
    order = {"address": registry.address, "method": REGISTER, "callers": effort.callers}
    await clients.ask("write", **order, models=models, count=effort.models * 16)
    await registry.caught_up()
    connection = await asyncpg.connect(ground.postgres.url)
    try:
        rows = await connection.fetch(f'select name from "{registry.schema}".version order by sort')
    finally:
        await connection.close()
    return [row["name"] for row in rows]
