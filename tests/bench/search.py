"""Search: how long lists with filters and orders and full text take, and what keeping them ready costs the fold."""

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio

from kernel import tables
from kernel.index import Index
from kernel.postgres import create_pool
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import registry_service_pb2_grpc, search_pb2
from services.registry.searchable import SEARCHABLES
from tests.bench.children import Child
from tests.bench.clients import REGISTER, percentile
from tests.bench.cpu import Meter
from tests.bench.effort import Effort
from tests.bench.ground import Ground, Registry, log_order, publish
from tests.bench.outcome import Outcome, middle, ratio
from tests.bench.samples import PROJECT_NAME, foundation, lives, model_name, stock, word

_DEADLINE_SECONDS = 60.0
_MODELS_AT_ONCE = 100
_ALL = f"{PROJECT_NAME}/models/-"

Asked = Callable[[random.Random, int], Any]


def _versions(filter_: Callable[[random.Random, int], str], order_by: str = "") -> Asked:
    return lambda chance, number: rpc.ListVersionsRequest(
        parent=_ALL, filter=filter_(chance, number), order_by=order_by
    )


def _search(query: Callable[[random.Random, int], str], filter_: str = "") -> Asked:
    return lambda chance, number: search_pb2.SearchRequest(
        query=query(chance, number), filter=filter_, within=PROJECT_NAME
    )


# What people ask for, from what matches many to what matches hardly any; each call asks for something else.
QUESTIONS: Mapping[str, Asked] = {
    "no filter": lambda _, __: rpc.ListVersionsRequest(parent=_ALL),
    "tag, 2 % match": _versions(lambda chance, _: f"tags.team = team{chance.randrange(50)}"),
    "tag, one matches": _versions(lambda chance, _: f"tags.audit = {chance.randrange(1, 9) * 1000}"),
    "tag, none matches": _versions(lambda _, number: f"tags.team = nobody{number}"),
    "metric, half match": _versions(lambda chance, _: f"metrics.auc >= {chance.uniform(0.8, 0.86):.4f}"),
    "metric, 1 of 10,000": _versions(lambda chance, _: f"metrics.auc >= {chance.uniform(0.992, 0.995):.4f}"),
    "tag and metric": _versions(
        lambda chance, _: f"tags.team = team{chance.randrange(50)} metrics.auc > {chance.uniform(0.9, 0.97):.3f}"
    ),
    "not, or": _versions(
        lambda chance, _: f"-tags:audit (hyperparameters.trees < 60 OR tags.team = team{chance.randrange(50)})"
    ),
    "newest first": _versions(lambda _, __: "", "create_time desc"),
    "best metric first": _versions(lambda _, __: "", "metrics.auc desc"),
    "tag, best metric first": _versions(
        lambda chance, _: f"tags.team = team{chance.randrange(50)}", "metrics.auc desc"
    ),
    "words, rare": _search(lambda chance, _: word(chance.randrange(900, 1600))),
    "words, three": _search(lambda chance, _: " ".join(word(chance.randrange(20, 90)) for _ in range(3))),
    "words, the most common": _search(lambda chance, _: word(chance.randrange(3))),
    "words by their beginning": _search(lambda chance, _: word(chance.randrange(100, 900))[:5]),
    "words and a filter": _search(lambda chance, _: f"{word(chance.randrange(30, 300))} metrics.auc > 0.9"),
    "search by a filter alone": _search(lambda chance, _: f"tags.team = team{chance.randrange(50)}"),
}
# Answered by looking at everything in the project, and so shown apart: they are not what a search is.
WHOLE: Mapping[str, Asked] = {
    "all by a text": _versions(lambda _, __: "", "framework, hyperparameters.trees"),
    "no index helps, none matches": _versions(lambda _, number: f"name = *nothing{number}"),
}


async def search(ground: Ground, effort: Effort) -> Outcome:
    """One caller, one call after the other, at a registry of its own process. The figure is that of the slowest
    question.

    The views are written straight, newest states and histories by COPY and the table of searches by the very writer of
    the projector: what a fold of the same costs is measured by `indexing`.
    """
    async with ground.log() as log, ground.registry(log) as registry:
        await registry.service.stop()
        began = time.perf_counter()
        await stocked(ground.postgres.url, registry.schema, effort)
        seconds = time.perf_counter() - began
        await registry.service.start()
        pids = {"registry": registry.pid, "postgres": ground.postgres.process.pid}
        outcome = await asked(registry.address, effort, pids)
    return replace(outcome, notes=outcome.notes | {"rows written in": f"{seconds:.0f} s"})


async def stocked(postgres_url: str, schema: str, effort: Effort) -> None:
    """Writes the views of a registry."""
    pool = await create_pool(postgres_url, schema=schema, name="stock", size=1)
    try:
        async with pool.acquire() as connection:
            for first in range(0, effort.stock_models, _MODELS_AT_ONCE):
                async with connection.transaction():
                    models = range(first, min(first + _MODELS_AT_ONCE, effort.stock_models))
                    for kind, rows in stock(models, effort.stock_versions).items():
                        newest = [(row.name, row.sort, row.revision, row.body) for row in rows]
                        columns = ["name", "sort", "revision", "body"]
                        await connection.copy_records_to_table(kind.table, records=newest, columns=columns)
                        history, names = f"{kind.table}_history", list(tables.HISTORY_COLUMNS)
                        await connection.copy_records_to_table(history, records=rows, columns=names)
                        await Index(SEARCHABLES).write(connection, {kind: {row.name: row for row in rows}})
            await connection.execute("analyze")
    finally:
        pool.terminate()


async def asked(address: str, effort: Effort, pids: Mapping[str, int]) -> Outcome:
    """What the questions came to. pids: of the processes that answer them."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
        seen = {name: await _asked(stub, one, effort.searches, pids) for name, one in QUESTIONS.items()}
        seen["deep in an order"] = await _deep(stub, effort.searches, pids)
        few = max(effort.searches // 10, 5)
        whole = {name: await _asked(stub, one, few, pids) for name, one in WHOLE.items()}
    slowest = max(seen, key=lambda name: seen[name]["p50_ms"])
    return Outcome(
        name="search",
        question=f"{effort.stock_models:,} models x {effort.stock_versions} versions, p50 of the slowest: {slowest}",
        figure=seen[slowest]["p50_ms"],
        target=50.0,
        unit="ms",
        ours=f"p99 {max(one['p99_ms'] for one in seen.values()):.0f} ms",
        at_most=True,
        is_ratio=False,
        rounds=[seen, whole],
        notes={f"{name}: p50, p99, processor ms, found": _told(one) for name, one in (seen | whole).items()},
    )


def _told(one: dict[str, Any]) -> str:
    spent = " + ".join(f"{one['cpu_ms'][name]:.1f}" for name in ("registry", "postgres"))
    return f"{one['p50_ms']:.1f}, {one['p99_ms']:.1f}, {spent}, {one['found']:.0f}"


async def _asked(stub: Any, question: Asked, times: int, pids: Mapping[str, int]) -> dict[str, Any]:
    chance = random.Random(5)
    return await _timed(stub, (question(chance, number) for number in range(times)), pids)


async def _timed(stub: Any, requests: Iterator[Any], pids: Mapping[str, int]) -> dict[str, Any]:
    latencies, found, meter = [], 0, Meter(**pids)
    for request in requests:
        call = stub.Search if isinstance(request, search_pb2.SearchRequest) else stub.ListVersions
        began = time.perf_counter()
        reply = await call(request, timeout=_DEADLINE_SECONDS)
        latencies.append(time.perf_counter() - began)
        found += len(reply.results if call is stub.Search else reply.versions)
    count = len(latencies)
    latencies.sort()
    return {
        "p50_ms": percentile(latencies, 0.5) * 1e3,
        "p99_ms": percentile(latencies, 0.99) * 1e3,
        "found": found / count,
        "cpu_ms": {name: spent / 1e3 for name, spent in meter.each(count).items()},
    }


async def _deep(stub: Any, times: int, pids: Mapping[str, int]) -> dict[str, Any]:
    """Page after page of an order, from where 100 pages of 500 have gone by."""
    request = rpc.ListVersionsRequest(parent=_ALL, order_by="create_time desc", page_size=500)
    for _ in range(100):
        request.page_token = (await stub.ListVersions(request, timeout=_DEADLINE_SECONDS)).next_page_token
        if not request.page_token:
            break
    request.page_size = 0
    return await _timed(stub, itertools.repeat(request, times), pids)


async def indexing(ground: Ground, effort: Effort) -> Outcome:
    """A rebuild with the table of searches against one without, in turn; and so RegisterVersion, and how soon it is
    seen, at two registries of one log, of which the other one is frozen."""
    models = [model_name(f"m{number}") for number in range(effort.models)]
    each = effort.lives // effort.models
    async with ground.log() as log, Child("tests.bench.rebuild") as rebuild:
        await publish(log, itertools.chain(foundation(models), *(lives(model, each) for model in models)))
        reader = log_order(log, "registry")
        rounds = []
        for _ in range(effort.rebuilds):
            order = {"postgres_url": ground.postgres.url, "schema": ground.schema()}
            without = await rebuild.ask("rebuild", **reader, **order, searchables=False)
            order = {"postgres_url": ground.postgres.url, "schema": ground.schema()}
            rounds.append((without, await rebuild.ask("rebuild", **reader, **order)))
    writes = await _writes(ground, effort)
    return Outcome(
        name="indexing",
        question="rebuild with what searches need / without it",
        figure=ratio(rounds),
        target=0.5,
        unit="facts/s",
        floor=f"{middle([one for one, _ in rounds], 'per_second'):,.0f}/s",
        ours=f"{middle([one for _, one in rounds], 'per_second'):,.0f}/s",
        rounds=[*rounds, *writes],
        notes={
            f"{what}, without and with": " and ".join(
                f"{middle([one[side][what] for one in writes], key):.2f}" for side in (0, 1)
            )
            for what, key in _WRITES.items()
        },
    )


# What is measured of writes, and which of its figures is told.
_WRITES = {"RegisterVersion, alone, p50 ms": "p50_ms", "RegisterVersion, many callers, per s": "per_second",
           "reply to visible, p50 ms": "p50_ms"}  # fmt: skip


async def _writes(ground: Ground, effort: Effort) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # The registry to compare with is one of the tests.
    async with (
        ground.log() as log,
        ground.registry(log, "tests.bench.unindexed") as without,
        ground.registry(log) as registry,
        Child("tests.bench.clients") as clients,
    ):
        models = await registry.create(effort.models)
        await without.caught_up()

        async def run(one: Registry, other: Registry) -> dict[str, Any]:
            order = {"address": one.address, "models": models}
            with other.frozen():
                measured = {
                    name: await clients.ask("write", **order, method=REGISTER, callers=callers, count=count)
                    for name, callers, count in zip(_WRITES, (1, effort.callers), (200, effort.writes), strict=False)
                }
                pace = {"per_second": effort.paced_per_second // 4, "seconds": effort.paced_seconds / 2}
                measured["reply to visible, p50 ms"] = await clients.ask("visible", **order, **pace)
            await other.caught_up()
            await one.caught_up()
            return measured

        await run(without, registry)  # Both warm up.
        await run(registry, without)
        return [(await run(without, registry), await run(registry, without)) for _ in range(effort.rounds)]
