"""Fold and visible: how fast views are rebuilt from the log, and how soon a write is seen in them."""

import itertools

from tests.bench.children import Child
from tests.bench.clients import REGISTER
from tests.bench.cpu import Meter
from tests.bench.effort import Effort
from tests.bench.ground import Ground, log_order, publish
from tests.bench.outcome import Outcome, middle, ratio
from tests.bench.samples import FACTS_IN_A_LIFE, foundation, lives, model_name

_WARM_UP = 500


async def fold(ground: Ground, effort: Effort) -> Outcome:
    """A rebuild of the registry's views from whole lives of versions, against a consumer that drops what it gets."""
    models = [model_name(f"m{number}") for number in range(effort.models)]
    async with ground.log() as log, Child("tests.bench.floors") as floor, Child("tests.bench.rebuild") as rebuild:
        each = effort.lives // effort.models
        facts = await publish(log, itertools.chain(foundation(models), *(lives(model, each) for model in models)))
        reader = log_order(log, "registry")
        rounds = []
        pids = {"nats": log.process.pid, "postgres": ground.postgres.process.pid}
        for _ in range(effort.rebuilds):
            lower = await floor.ask("receive", **reader, count=facts)
            meter = Meter(server=rebuild.pid, **pids)
            order = {"postgres_url": ground.postgres.url, "schema": ground.schema()}
            ours = await rebuild.ask("rebuild", **reader, **order)
            rounds.append((lower, ours | {"cpu_us": meter.each(facts)}))
        fetched = await floor.ask("fetch", **log_order(log, "provision"), count=facts)
    lower_rate = middle([one for one, _ in rounds], "per_second")
    return Outcome(
        name="fold",
        question=f"rebuild from {facts:,} facts, {FACTS_IN_A_LIFE} a version",
        figure=ratio(rounds),
        target=0.15,
        unit="facts/s",
        floor=f"{lower_rate:,.0f}/s",
        ours=f"{middle([one for _, one in rounds], 'per_second'):,.0f}/s",
        rounds=rounds,
        notes={
            "nats-py's own fetch()": f"{fetched['per_second']:,.0f}/s",
            "processor µs a fact": rounds[-1][1]["cpu_us"],
        },
    )


async def visible(ground: Ground, effort: Effort) -> Outcome:
    """From a write's reply to the reply of a plain read that shows it; the reader asks again at once until it does."""
    async with ground.log() as log, ground.registry(log) as registry, Child("tests.bench.clients") as clients:
        models = await registry.create(effort.models)
        order = {"address": registry.address, "models": models}
        await clients.ask("write", **order, method=REGISTER, callers=effort.callers, count=_WARM_UP)
        await registry.caught_up()
        pace = {"per_second": effort.paced_per_second, "seconds": effort.paced_seconds}
        seen = await clients.ask("visible", **order, **pace)
    return Outcome(
        name="visible",
        question=f"reply to visible at {effort.paced_per_second} writes/s, p50",
        figure=seen["p50_ms"],
        target=10.0,
        unit="ms",
        ours=f"p99 {seen['p99_ms']:.1f} ms",
        at_most=True,
        is_ratio=False,
        rounds=[seen],
        notes={"held": f"{seen['per_second']:.0f} writes/s, {seen['reads_each']:.1f} reads a write"},
    )
