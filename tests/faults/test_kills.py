"""SIGKILL between any two commands loses nothing acknowledged and doubles nothing, and a rebuild gives the same bytes.

Real processes: a registry, nats-server and Postgres under the suite's supervisor, killed while clients write.
"""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from kernel.digest import views_digest
from kernel.log import Entry
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import registry_service_pb2_grpc
from services.registry.__main__ import BLUEPRINT
from suite.suite import SERVICES, Suite
from testkit.live import service
from tests.registry.build import artifact

_UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_MODELS = ("fraud", "churn", "price")
_CALLERS = 8
PROJECT = "projects/risk"


@dataclass
class History:
    """What clients were told: answer by request id, and how often they had to ask again."""

    answered: dict[str, tuple[str, int]] = field(default_factory=dict)
    repeats: int = 0


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    async with Suite(tmp_path, services={"registry": SERVICES["registry"]}) as running:
        yield running


async def told(history: History, request: Any, call: Callable[[Any], Awaitable[Any]]) -> None:
    """Asks until there is a definite answer, always under the same request id."""
    async with asyncio.timeout(60):
        while True:
            try:
                reply = await call(request)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _UNKNOWN:
                    raise
                history.repeats += 1
                await asyncio.sleep(0.05)
                continue
            known = history.answered.setdefault(request.request_id, (reply.name, reply.revision))
            assert known == (reply.name, reply.revision), "a repeated request was answered otherwise"
            return


async def write(suite: Suite, history: History, done: asyncio.Event) -> None:
    """Registers versions and tags them until told to stop; every fifth command is sent twice."""
    options = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200))
    async with grpc.aio.insecure_channel(suite.address("registry"), options=options) as channel:
        stub: Any = registry_service_pb2_grpc.RegistryServiceStub(channel)

        async def one(number: int) -> None:
            for n in itertools.count():
                if done.is_set():
                    return
                model = f"{PROJECT}/models/{_MODELS[(number + n) % len(_MODELS)]}"
                if n % 2:
                    request: Any = rpc.SetTagRequest(name=model, key=f"k{number}", value=str(n))
                    call = stub.SetTag
                else:
                    request = rpc.RegisterVersionRequest(parent=model, artifact=artifact(), framework="none")
                    call = stub.RegisterVersion
                request.request_id = uuid.uuid4().hex
                for _ in range(1 + (n % 5 == 0)):
                    await told(history, request, partial(call, timeout=5))

        await asyncio.gather(*(one(number) for number in range(_CALLERS)))


async def everything(suite: Suite, tmp_path: Path) -> tuple[list[Entry], dict[str, str], dict[str, str]]:
    """The whole log, and the digests of the live views and of views folded anew at the same position."""
    async with service(BLUEPRINT, suite.nats, suite.postgres, tmp_path, schema="registry", roles="rpc") as live:
        head = await live.rooms.resources.catch_up()
        async with service(BLUEPRINT, suite.nats, suite.postgres, tmp_path, schema="anew") as anew:
            await anew.rooms.resources.wait(head)
            rebuilt = await views_digest(anew.rooms.pool, "anew")
        entries: list[Entry] = []
        async for batch in live.rooms.log.follow(0):
            entries += batch
            if len(entries) >= head:
                break
        return entries, await views_digest(live.rooms.pool, "registry"), rebuilt


def check(history: History, entries: list[Entry]) -> None:
    facts = {entry.revision: Fact.FromString(entry.payload) for entry in entries}
    assert sorted(facts) == list(range(1, len(facts) + 1))
    for request_id, (name, revision) in history.answered.items():
        found = (facts[revision].request_id, facts[revision].resource)
        assert found == (request_id, name), "an acknowledged fact is not where its answer said"
    ids = [fact.request_id for fact in facts.values()]
    assert len(ids) == len(set(ids)), "one request made two facts"
    generations: dict[str, list[int]] = {}
    for fact in facts.values():
        generations.setdefault(fact.resource, []).append(fact.generation)
    assert all(found == list(range(1, len(found) + 1)) for found in generations.values())
    for model in _MODELS:
        prefix = f"{PROJECT}/models/{model}/versions/"
        numbers = [int(name.removeprefix(prefix)) for name in generations if name.startswith(prefix)]
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), "version numbers have a gap or a duplicate"


async def prepared(suite: Suite, history: History) -> None:
    async with grpc.aio.insecure_channel(suite.address("registry")) as channel:
        stub: Any = registry_service_pb2_grpc.RegistryServiceStub(channel)
        await told(history, rpc.CreateProjectRequest(project_id="risk", request_id="project"), stub.CreateProject)
        for model in _MODELS:
            request = rpc.CreateModelRequest(parent=PROJECT, model_id=model, request_id=f"model-{model}")
            await told(history, request, stub.CreateModel)


@pytest.mark.parametrize("victim", ["registry", "nats", "postgres"])
async def test_a_killed_part_loses_and_doubles_nothing(suite: Suite, tmp_path: Path, victim: str) -> None:
    history, done = History(), asyncio.Event()
    await prepared(suite, history)
    writing = asyncio.create_task(write(suite, history, done))
    kills = 4
    for _ in range(kills):
        before = len(history.answered)
        await asyncio.sleep(0.5)
        await suite.kill(victim)
        await suite.ready(victim)
        async with asyncio.timeout(30):
            while len(history.answered) < before + 20:
                await asyncio.sleep(0.05)
                assert not writing.done(), writing.exception()
    done.set()
    await writing
    entries, live, rebuilt = await everything(suite, tmp_path)
    check(history, entries)
    assert live == rebuilt
    assert len(history.answered) >= 20 * kills
    assert suite.keeper(victim).restarts == kills
    if victim == "registry":  # What the service rides out by itself, callers need not notice.
        assert history.repeats > 0, "no call ever met the fault, so the run shows nothing"


@pytest.mark.long
async def test_random_kills_of_everything_for_minutes(suite: Suite, tmp_path: Path) -> None:
    import random

    seed = uuid.uuid4().int & 0xFFFF
    print("seed", seed)
    dice = random.Random(seed)
    history, done = History(), asyncio.Event()
    await prepared(suite, history)
    writing = asyncio.create_task(write(suite, history, done))
    for _ in range(60):
        await asyncio.sleep(dice.uniform(0.05, 3))
        victim = dice.choice(["registry", "nats", "postgres"])
        await suite.kill(victim)
        await suite.ready(victim)
        assert not writing.done(), writing.exception()
    done.set()
    await writing
    entries, live, rebuilt = await everything(suite, tmp_path)
    check(history, entries)
    assert live == rebuilt
