"""Depth and memory: what a long history costs a write, and what the idle suite takes."""

import asyncio
import itertools
import json
from typing import Any

from suite.suite import Suite
from tests.bench.children import Child
from tests.bench.cpu import family
from tests.bench.effort import Effort
from tests.bench.ground import Ground, publish
from tests.bench.outcome import Outcome, middle
from tests.bench.samples import foundation, model_name, registered

_WARM_UP = 50
_MB = 1_000_000


async def depth(ground: Ground, effort: Effort) -> Outcome:
    """Registering on a model of 100,000 versions against registering a model's first; both in turn, one at a time.

    A running registry knows a model's last number by heart after its first registration. So the two are compared once
    more where both have to be looked up: as the first thing after a restart.
    """
    deep, other = model_name("deep"), model_name("other")
    fresh = [model_name(f"fresh{number}") for number in range(effort.pairs + effort.restarts)]
    order: dict[str, Any] = {"deep": deep, "others": [other], "warm_up": _WARM_UP}
    cold: list[dict[str, Any]] = []
    async with ground.log() as log:
        await publish(log, itertools.chain(foundation([deep, other, *fresh]), registered(deep, effort.deep)))
        async with ground.registry(log) as registry, Child("tests.bench.clients") as clients:
            await registry.caught_up()
            warm = await clients.ask("depth", **order, address=registry.address, fresh=fresh[: effort.pairs], turn=0)
            for turn, name in enumerate(fresh[effort.pairs :]):
                await registry.restart()
                cold.append(await clients.ask("depth", **order, address=registry.address, fresh=[name], turn=turn))
    cold_ms = middle(cold, "deep_ms"), middle(cold, "first_ms")
    return Outcome(
        name="depth",
        question=f"registering version {effort.deep + 1:,} / version 1",
        figure=warm["deep_ms"] / warm["first_ms"],
        target=1.2,
        unit="ms",
        floor=f"{warm['first_ms']:.2f} ms",
        ours=f"{warm['deep_ms']:.2f} ms",
        at_most=True,
        rounds=[warm, *cold],
        notes={f"after a restart, {len(cold)} times": f"{cold_ms[0]:.2f} ms / {cold_ms[1]:.2f} ms"},
    )


async def memory(ground: Ground, effort: Effort) -> Outcome:
    """Resident size of every process of the embedded suite after some seconds of nothing to do."""
    async with Suite(ground.folder / "suite") as suite:
        await asyncio.sleep(effort.idle_seconds)
        running = json.loads((suite.folder / "suite.json").read_text())
        parts = {name: running[name]["pid"] for name in ("nats", "postgres")}
        services = {name: service["pid"] for name, service in running["services"].items()}
        sizes = {name: _sizes(pid) for name, pid in (parts | services).items()}
    largest = max(services, key=lambda name: sizes[name][0]["rss_mb"])
    total = sum(one["pss_mb"] for processes in sizes.values() for one in processes)
    return Outcome(
        name="memory",
        question=f"resident size of the largest service ({largest}), idle",
        figure=sizes[largest][0]["rss_mb"],
        target=90.0,
        unit="MB",
        ours=f"{total:.0f} MB in all",
        at_most=True,
        is_ratio=False,
        rounds=[sizes],
        notes={name: _told(processes) for name, processes in sizes.items()},
    )


def _sizes(pid: int) -> list[dict[str, Any]]:
    """Of the process itself first, then of its descendants. pss shares out pages that several processes have mapped."""
    found = []
    for process in family(pid):
        memory = process.memory_full_info()
        shared_out = getattr(memory, "pss", memory.rss)
        found.append({"process": process.name(), "rss_mb": memory.rss / _MB, "pss_mb": shared_out / _MB})
    return found


def _told(processes: list[dict[str, Any]]) -> str:
    first, rest = processes[0], processes[1:]
    text = f"{first['rss_mb']:.0f} MB resident, {first['pss_mb']:.0f} MB of its own share"
    if rest:
        text += f"; {len(rest)} child processes with {sum(one['pss_mb'] for one in rest):.0f} MB"
    return text
