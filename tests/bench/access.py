"""What it costs to ask who calls and whether they may: the registry that asks against the registry that believes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc.aio

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import registry_service_pb2_grpc
from suite.issuer import Issuer
from tests.bench.children import Child
from tests.bench.clients import GET, REGISTER
from tests.bench.cpu import Meter
from tests.bench.effort import Effort
from tests.bench.ground import Ground, Registry
from tests.bench.outcome import Outcome, compared
from tests.bench.samples import PROJECT_NAME

_WARM_UP = 500
_AUTHOR = "users/bench"
_TOKEN_SECONDS = 3600.0


class Pair(NamedTuple):
    """Two registries over one log: one believes who calls, one asks for a token and a role."""

    believing: Registry
    asking: Registry
    models: list[str]


async def write(ground: Ground, effort: Effort) -> Outcome:
    """RegisterVersion by a token and a role, against the same of whoever it says."""
    async with _pair(ground, effort) as pair, Child("tests.bench.clients") as clients:
        order = {"method": REGISTER, "callers": effort.callers, "models": pair.models}
        rounds = await _rounds(pair, clients, "write", order, effort.writes, effort.rounds)
    return compared("access-write", "RegisterVersion, asked who may against not asked", 0.95, rounds)


async def read(ground: Ground, effort: Effort) -> Outcome:
    """GetVersion by a token and a role, against the same of whoever it says."""
    async with _pair(ground, effort) as pair, Child("tests.bench.clients") as clients:
        order = {"method": REGISTER, "callers": effort.callers, "models": pair.models}
        await clients.ask("write", address=pair.believing.address, count=effort.models * 16, **order)
        await asyncio.gather(pair.believing.caught_up(), pair.asking.caught_up())
        names = [f"{model}/versions/{number}" for model in pair.models for number in range(1, 17)]
        asked = {"method": GET, "callers": effort.callers, "names": names, "bare": False}
        rounds = await _rounds(pair, clients, "read", asked, effort.reads, effort.rounds)
    return compared("access-read", "GetVersion, asked who may against not asked", 0.95, rounds)


async def _rounds(
    pair: Pair, clients: Child, do: str, order: dict[str, Any], count: int, rounds: int
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each round measures both, and the next one begins with the other: whoever comes second finds warmer servers."""

    async def run(asking: bool, most: int) -> dict[str, Any]:
        mine, other = (pair.asking, pair.believing) if asking else (pair.believing, pair.asking)
        with other.frozen():
            meter = Meter(server=mine.pid, clients=clients.pid)
            done = await clients.ask(do, address=mine.address, token=mine.token, count=most, **order)
            cpu_us = meter.each(most)
            await mine.caught_up()
        await other.caught_up()
        return done | {"cpu_us": cpu_us}

    for asking in (False, True):
        await run(asking, _WARM_UP)
    measured = []
    for number in range(rounds):
        first = await run(bool(number % 2), count)
        second = await run(not number % 2, count)
        measured.append((second, first) if number % 2 else (first, second))
    return measured


@asynccontextmanager
async def _pair(ground: Ground, effort: Effort) -> AsyncIterator[Pair]:
    issuer = Issuer(ground.folder / "issuer").open()
    async with (
        ground.log() as log,
        ground.registry(log) as believing,
        ground.registry(
            log, identity="roles", **issuer.settings(), oidc_lifetime_seconds=str(_TOKEN_SECONDS)
        ) as asking,
    ):
        models = await believing.create(effort.models)
        async with grpc.aio.insecure_channel(believing.address) as channel:
            stub: Any = registry_service_pb2_grpc.RegistryServiceStub(channel)
            await stub.GrantRole(rpc.GrantRoleRequest(name=PROJECT_NAME, principal=_AUTHOR, role="author"))
        asking.token = issuer.token(_AUTHOR, _TOKEN_SECONDS)
        await asking.caught_up()
        yield Pair(believing, asking, models)
