"""Bulk and import: many versions in one call against one call each, and what an import adds to reading its source."""

import asyncio
import time
from typing import Any

from modelog.mlflow.artifacts import fetch
from modelog.mlflow.bringing import Import, Options
from modelog.mlflow.mapping import Rules
from modelog.mlflow.report import IMPORTED
from modelog.mlflow.server import Server
from modelog.sdk import connect_sync
from tests.bench.children import Child
from tests.bench.clients import REGISTER
from tests.bench.cpu import Meter
from tests.bench.effort import Effort
from tests.bench.ground import Ground, Registry
from tests.bench.outcome import Outcome, middle, processor, ratio
from tests.bench.samples import PROJECT_NAME

_WARM_UP = 200


async def bulk(ground: Ground, effort: Effort) -> Outcome:
    """RegisterVersions with everything in one call, against RegisterVersion by a client that waits for each answer."""
    async with ground.log() as log, ground.registry(log) as registry, Child("tests.bench.clients") as clients:
        models = await registry.create(effort.models)
        order = {"address": registry.address, "method": REGISTER, "models": models}

        async def run(kind: str, count: int, **more: int) -> dict[str, Any]:
            meter = Meter(server=registry.pid, clients=clients.pid, nats=log.process.pid)
            done = await clients.ask(kind, **order, **more, count=count)
            await registry.caught_up()
            return done | {"cpu_us": meter.each(count)}

        async def pair(count: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
            one_by_one = await run("write", count // 2, callers=1)
            together = await run("bulk", count)
            return one_by_one, together, await run("write", count, callers=effort.callers)

        await pair(_WARM_UP)
        rounds = [await pair(effort.writes) for _ in range(effort.rounds)]
    floor, ours, callers = ([one[place] for one in rounds] for place in range(3))
    return Outcome(
        name="bulk",
        question=f"RegisterVersions, {len(models)} models in one call / one by one",
        figure=ratio([(lower, together) for lower, together, _ in rounds]),
        target=1.5,
        unit="versions/s",
        floor=f"{middle(floor, 'per_second'):,.0f}/s",
        ours=f"{middle(ours, 'per_second'):,.0f}/s",
        rounds=rounds,
        notes={
            f"RegisterVersion by {effort.callers} callers": f"{middle(callers, 'per_second'):,.0f} versions/s",
            "processor µs a version, one by one": processor(floor),
            "processor µs a version, in one call": processor(ours),
            f"processor µs a version, {effort.callers} callers": processor(callers),
        },
    )


async def bring(ground: Ground, effort: Effort) -> Outcome:
    """An import from a tracking server, against reading the same from it one by one and registering nothing."""
    count = effort.writes // 10
    rounds = []
    for _ in range(max(effort.rounds // 2, 1)):
        async with (
            ground.log() as log,
            ground.registry(log) as registry,
            Child("tests.bench.tracking") as tracking,
        ):
            await registry.create(0)
            started = await tracking.ask("start", count=count)
            rounds.append(await asyncio.to_thread(_brought, registry, started["uri"], count))
    return Outcome(
        name="import",
        question=f"{count} versions from MLflow / only read, one by one",
        figure=ratio(rounds),
        target=0.5,
        unit="versions/s",
        floor=f"{middle([floor for floor, _ in rounds], 'per_second'):,.0f}/s",
        ours=f"{middle([ours for _, ours in rounds], 'per_second'):,.0f}/s",
        rounds=rounds,
        notes={"again, nothing new": f"{middle([ours for _, ours in rounds], 'again_per_second'):,.0f} versions/s"},
    )


def _brought(registry: Registry, uri: str, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    with connect_sync(registry=registry.address, actor="users/mover") as client:
        server = Server(uri)
        rules = Rules(server.uri, PROJECT_NAME)
        began = time.perf_counter()
        for model in list(server.models()):
            for one in server.versions(model.name):
                server.run(one.run_id)
                fetch(server, server.artifact_uri(one))
        read = time.perf_counter()
        report = Import(client, server, rules, Options()).run()
        imported = time.perf_counter()
        if report.counts()["version"] != {IMPORTED: count}:
            raise RuntimeError(f"not everything came over: {report.counts()}")
        Import(client, server, rules, Options()).run()
        again = time.perf_counter()
    figures = {"per_second": count / (imported - read), "again_per_second": count / (again - imported)}
    return {"per_second": count / (read - began)}, figures
