"""Compare: versions side by side in one call, against reading the same versions one after the other."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc.aio

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.bench.effort import Effort
from tests.bench.ground import Ground, publish
from tests.bench.outcome import Outcome, middle, ratio
from tests.bench.samples import foundation, lives, model_name

_VERSIONS = 8
_SECONDS = 30.0


async def compare(ground: Ground, effort: Effort) -> Outcome:
    """CompareVersions of eight evaluated versions by one caller, whose floor is eight calls of GetVersion.

    Beside it, in milliseconds: the same with the facts between the first and the last registration.
    """
    model = model_name("m0")
    async with ground.log() as log:
        await publish(log, (*foundation([model]), *lives(model, _VERSIONS)))
        async with ground.registry(log) as registry, grpc.aio.insecure_channel(registry.address) as channel:
            await registry.caught_up()
            stub: Any = RegistryServiceStub(channel)
            names = [f"{model}/versions/{number}" for number in range(1, _VERSIONS + 1)]

            async def read() -> None:
                for name in names:
                    await stub.GetVersion(rpc.GetVersionRequest(name=name), timeout=_SECONDS)

            async def side_by_side(*, facts: bool = False) -> None:
                request = rpc.CompareVersionsRequest(names=names, include_facts=facts)
                await stub.CompareVersions(request, timeout=_SECONDS)

            await _timed(read, 20)
            await _timed(side_by_side, 20)
            rounds = [
                (await _timed(read, effort.pairs), await _timed(side_by_side, effort.pairs))
                for _ in range(effort.rounds)
            ]
            facts = await _timed(partial(side_by_side, facts=True), effort.pairs // 10)
    floor, ours = [one for one, _ in rounds], [one for _, one in rounds]
    return Outcome(
        name="compare",
        question=f"CompareVersions of {_VERSIONS} against {_VERSIONS} reads, 1 caller",
        figure=ratio(rounds),
        target=1.0,
        unit="calls/s",
        floor=f"{middle(floor, 'per_second'):,.0f}/s",
        ours=f"{middle(ours, 'per_second'):,.0f}/s",
        rounds=rounds,
        notes={"p50 ms": f"{middle(ours, 'p50_ms'):.1f}, with 71 facts between {facts['p50_ms']:.1f}"},
    )


async def _timed(call: Callable[[], Awaitable[None]], count: int) -> dict[str, float]:
    """Calls one after the other: how many a second, and the middle one in milliseconds."""
    each = []
    began = time.perf_counter()
    for _ in range(count):
        started = time.perf_counter()
        await call()
        each.append(time.perf_counter() - started)
    seconds = time.perf_counter() - began
    return {"per_second": count / seconds, "p50_ms": sorted(each)[count // 2] * 1000}
