"""The controller: how long a rollout takes to its first ready replica, and what hundreds of endpoints at rest cost."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from google.protobuf.message import Message

from kernel.cause import Cause, fact_of
from kernel.fold import Kind, apply, event_type
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from modelog.type.v1.principal_pb2 import Principal
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT
from services.deployment.gateway.drift import READ_ERRORS, routes_of
from services.deployment.people.queries import rollout_states
from suite.nats_server import API_PREFIX, NatsServer
from suite.service_process import ServiceProcess
from tests.bench.effort import Effort
from tests.bench.ground import Ground, publish
from tests.bench.outcome import Outcome, middle
from tests.bench.samples import Stored
from tests.deployment import models
from tests.deployment.town import Town, town

_READY_TARGET_SECONDS = 3.0
_IDLE_TARGET_PERCENT = 5.0
_ENDPOINTS = 500
_SETTLE_SECONDS = 10.0
_REST_SECONDS = 120.0
_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def rollouts(ground: Ground, effort: Effort) -> Outcome:
    """Rollouts one after the other, each to its first ready replica, by the times of the facts themselves."""
    async with ground.log() as log, town(log, ground.postgres, ground.folder / "town", ground.schema()) as place:
        await place.found()
        rounds = [await _rollout(place, number) for number in range(1, 2 * effort.rounds + 1)]
    return Outcome(
        name="rollouts",
        question="from RolloutRequested to the first ready replica, on process",
        figure=middle(rounds, "ready_seconds"),
        target=_READY_TARGET_SECONDS,
        unit="s",
        ours=f"{middle(rounds, 'ready_seconds'):.2f} s",
        at_most=True,
        is_ratio=False,
        rounds=rounds,
        notes={
            "slowest": f"{max(one['ready_seconds'] for one in rounds):.2f} s",
            "to all of the traffic": f"{middle(rounds, 'served_seconds'):.2f} s",
        },
    )


async def _rollout(place: Town, number: int) -> dict[str, Any]:
    """Blue-green, so the version before is still there, as it is in life."""
    await place.register(number, models.classifier(bias=float(number)))
    name = await place.request(number, blue_green=types.BlueGreen())
    await place.finished(name, seconds=60.0)
    states = await rollout_states(place.live.rooms.pool, name, 0)
    asked = states[0].update_time.ToDatetime()
    ready = next(one for one in states if one.ready_replicas)
    return {
        "ready_seconds": (ready.update_time.ToDatetime() - asked).total_seconds(),
        "served_seconds": (states[-1].update_time.ToDatetime() - asked).total_seconds(),
    }


async def at_rest(ground: Ground, effort: Effort) -> Outcome:
    """Processor time of the whole service while 500 endpoints serve and nothing happens to them."""
    folder = ground.folder / "rest"
    async with ground.log() as log:
        await publish(log, _settled())
        async with _stand_in(folder) as admin, _service(ground, log, folder, admin) as service:
            await _rest(folder / "gateway")
            process = psutil.Process(service.process.pid)
            rounds = [await _busy(process, effort.rest_seconds) for _ in range(max(effort.rounds // 2, 1))]
    percent = middle(rounds, "percent")
    return Outcome(
        name="controller",
        question=f"{_ENDPOINTS} endpoints at rest, of one core",
        figure=percent,
        target=_IDLE_TARGET_PERCENT,
        unit="%",
        ours=f"{percent:.1f} %",
        at_most=True,
        is_ratio=False,
        rounds=rounds,
    )


async def _busy(process: psutil.Process, seconds: float) -> dict[str, Any]:
    """seconds: longer than replicas and platforms go unasked, so that each round has its share of that."""
    before = process.cpu_times()
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(seconds)
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return {"percent": 100 * spent / (asyncio.get_running_loop().time() - began)}


async def _rest(gateway: Path) -> None:
    """Waits until the gateway routes to every endpoint, and a while more for what follows from that."""
    async with asyncio.timeout(_REST_SECONDS):
        while not _routed(gateway / "routes.json"):
            await asyncio.sleep(0.5)
    await asyncio.sleep(_SETTLE_SECONDS)


def _routed(path: Path) -> bool:
    try:
        routes = routes_of(path.read_text())
    except (OSError, *READ_ERRORS):
        return False
    return sum("weighted_clusters" in one.get("route", {}) for one in routes.values()) == _ENDPOINTS


@contextlib.asynccontextmanager
async def _stand_in(folder: Path) -> AsyncIterator[str]:
    """Replicas and Envoy of another process; the address of Envoy's interface."""
    for number in range(_ENDPOINTS):
        order = {"endpoint": _endpoint(number), "version": _VERSION, "sha256": _SHA256}
        replica = folder / "replicas" / f"risk_e{number}_fraud_1_1"
        replica.mkdir(parents=True)
        (replica / "order.json").write_text(json.dumps(order))
    command = [sys.executable, "-m", "tests.bench.standin", str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def _service(ground: Ground, log: NatsServer, folder: Path, admin: str) -> AsyncIterator[ServiceProcess]:
    artifacts = ground.folder / "artifacts"
    (artifacts / "sha256").mkdir(parents=True, exist_ok=True)
    (artifacts / "sha256" / _SHA256).touch()
    settings = {
        "nats_url": log.address,
        "nats_user": "deployment",
        "nats_password_file": str(log.password_file("deployment")),
        "nats_api_prefix": API_PREFIX,
        **ground.postgres.urls_of("deployment"),
        "schema": ground.schema(),
        "data_dir": str(folder),
        "artifacts_dir": str(artifacts),
        "gateway_keep": "false",
        "gateway_admin": admin,
        "outlive": "false",
        "lease_seconds": "5",
    }
    service = ServiceProcess(
        "deployment", "services.deployment", settings=settings, folder=folder, log=folder / "log", drain_seconds=1.0
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


_SHA256 = "5e" * 32
_VERSION = "projects/risk/models/fraud/versions/1"
_ENVIRONMENT = "projects/risk/environments/production"


def _endpoint(number: int) -> str:
    return f"projects/risk/endpoints/e{number}"


def _settled() -> Iterator[Stored]:
    """One version, served by every endpoint after one finished rollout each."""
    artifact = registry_types.Artifact(uri=f"cas:sha256/{_SHA256}", sha256=_SHA256, format="onnx")
    phase = registry_types.PHASE_PRODUCTION
    yield from _lived(KNOWN_VERSION, _VERSION, registry.VersionRegistered(artifact=artifact, stage="x", phase=phase))
    defined = facts.EnvironmentDefined(driver="process", admitted_phases=[phase])
    yield from _lived(ENVIRONMENT, _ENVIRONMENT, defined)
    for number in range(_ENDPOINTS):
        name = _endpoint(number)
        rollout = f"{name}/rollouts/1"
        created = facts.EndpointCreated(environment=_ENVIRONMENT, replicas=1)
        share = types.TrafficShare(version=_VERSION, percent=100, ready_replicas=1)
        shifted = facts.TrafficShifted(traffic=[share], rollout=rollout, environment=_ENVIRONMENT)
        yield from _lived(ENDPOINT, name, created, shifted)
        requested = facts.RolloutRequested(
            version=_VERSION, strategy=types.Strategy(recreate=types.Recreate()), environment=_ENVIRONMENT, replicas=1
        )
        succeeded = facts.RolloutSucceeded(version=_VERSION, environment=_ENVIRONMENT)
        yield from _lived(ROLLOUT, rollout, requested, facts.RolloutStarted(version=_VERSION), succeeded)


def _lived(kind: Kind, name: str, *events: Message) -> Iterator[Stored]:
    state: Any = kind.message()
    for number, event in enumerate(events, 1):
        cause = Cause(Principal(id="users/dora"), f"{name}/{number}", _NOW)
        fact = fact_of(kind, name, state, event, cause, ())
        apply(kind, state, fact, number, event)
        payload = fact.SerializeToString(deterministic=True)
        yield Stored(kind.subject(name), fact.id, event_type(fact), payload)
