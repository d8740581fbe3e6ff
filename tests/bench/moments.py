"""What it costs to read the past of resources with a hundred former states, against reading them as they are.

What counts is processor time of the service and the views. How long a call takes beside depends on the disk: the log's
server syncs a record of each read of the past before it is answered.
"""

import asyncio
import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import registry_service_pb2_grpc
from modelog.registry.v1.types_pb2 import ModelDetails
from modelog.type.v1.read_pb2 import ReadOptions
from tests.bench.children import Child
from tests.bench.cpu import Meter
from tests.bench.effort import Effort
from tests.bench.ground import Ground, Registry
from tests.bench.outcome import Outcome, middle, ratio
from tests.bench.samples import PROJECT_NAME

_SERVICE = "/modelog.registry.v1.RegistryService"
_FORMER = 100  # Half of them before the moment that is asked about.
_MODELS = 52  # A page and a little.
_WRITERS = 16
_LISTS_SHARE = 10  # A page holds fifty resources.
_WARM_UP = 200
_SECONDS = 30.0
_DESCRIPTION = "What this model is for, and what it is not for. " * 8


class Measured(NamedTuple):
    """What the calls are made on, and the processes whose time counts."""

    registry: Registry
    clients: Child
    effort: Effort
    pids: dict[str, int]


Rounds = list[tuple[dict[str, Any], dict[str, Any]]]


async def as_of(ground: Ground, effort: Effort) -> Outcome:
    """GetModel and ListModels as of a revision, against the same of now; the worst counts."""
    async with ground.log() as log, ground.registry(log) as registry, Child("tests.bench.clients") as clients:
        models = await registry.create(_MODELS)
        await _describe(registry, models, _FORMER // 2)
        then, noon = await registry.caught_up(), datetime.now(UTC)
        await _describe(registry, models, _FORMER // 2)
        await registry.caught_up()
        pids = {"service": registry.pid, "views": ground.postgres.process.pid, "log": log.process.pid}
        measured = Measured(registry, clients, effort, pids)
        past, by_time = ReadOptions(as_of_revision=then), ReadOptions()
        by_time.as_of_time.FromDatetime(noon)
        gets = await _gets(measured, models, past)
        timed = await _gets(measured, models, by_time)
        lists = await _rounds(
            measured,
            f"{_SERVICE}/ListModels",
            [rpc.ListModelsRequest(parent=PROJECT_NAME)],
            [rpc.ListModelsRequest(parent=PROJECT_NAME, read=past)],
            effort.reads // _LISTS_SHARE,
        )
    worse = max((gets, timed, lists), key=_times)
    return Outcome(
        name="as-of",
        question=f"processor time of a read as of a moment, {_FORMER} former states, in times of now's",
        figure=_times(worse),
        target=2.0,
        unit="times",
        floor=_told([one[0] for one in worse]),
        ours=_told([one[1] for one in worse]),
        at_most=True,
        rounds=[gets, timed, lists],
        notes={
            "in calls a second": f"{1 / ratio(worse):.2f} times",
            "GetModel": _times(gets),
            "GetModel by a time": _times(timed),
            "ListModels, 50 a page": _times(lists),
        },
    )


async def _gets(on: Measured, models: Sequence[str], past: ReadOptions) -> Rounds:
    now = [rpc.GetModelRequest(name=name) for name in models]
    then = [rpc.GetModelRequest(name=name, read=past) for name in models]
    return await _rounds(on, f"{_SERVICE}/GetModel", now, then, on.effort.reads)


async def _rounds(on: Measured, method: str, now: Sequence[Any], then: Sequence[Any], count: int) -> Rounds:
    """Each round measures both, and the next begins with the other."""

    async def run(requests: Sequence[Any], most: int) -> dict[str, Any]:
        raw = [base64.b64encode(one.SerializeToString()).decode() for one in requests]
        meter = Meter(**on.pids)
        order = {"address": on.registry.address, "method": method, "callers": on.effort.callers}
        done = await on.clients.ask("call", **order, requests=raw, count=most)
        spent = meter.each(most)
        return done | {"cpu_us": spent, "read_us": spent["service"] + spent["views"]}

    for requests in (now, then):
        await run(requests, _WARM_UP)
    measured: Rounds = []
    for number in range(on.effort.rounds):
        first, second = (then, now) if number % 2 else (now, then)
        one, other = await run(first, count), await run(second, count)
        measured.append((other, one) if number % 2 else (one, other))
    return measured


async def _describe(registry: Registry, models: Sequence[str], times: int) -> None:
    """So many more facts of each model."""
    async with grpc.aio.insecure_channel(registry.address) as channel:
        stub: Any = registry_service_pb2_grpc.RegistryServiceStub(channel)

        room = asyncio.Semaphore(_WRITERS)

        async def one(name: str) -> None:
            for number in range(times):
                request = rpc.UpdateModelRequest(
                    name=name,
                    details=ModelDetails(description=f"{_DESCRIPTION}{number} of {times}"),
                    update_mask=FieldMask(paths=["description"]),
                )
                async with room:
                    await stub.UpdateModel(request, timeout=_SECONDS)

        await asyncio.gather(*map(one, models))


def _times(rounds: Rounds) -> float:
    """How many times the processor time of now's calls the past's take."""
    return ratio(rounds, "read_us")


def _told(measured: list[dict[str, Any]]) -> str:
    return f"{middle(measured, 'read_us'):,.0f} µs"
