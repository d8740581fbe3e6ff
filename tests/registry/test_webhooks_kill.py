"""A real registry process, killed again and again while it delivers: in the end each fact arrived, in order."""

import asyncio
from pathlib import Path

import pytest

from kernel.fold import kind
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import types_pb2 as types
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from suite.service_process import ServiceProcess
from tests.registry.build import MODEL_NAME, PROJECT_NAME
from tests.registry.office import Elsewhere, office
from tests.registry.receiver import OK, Received, Receiver, receiver

ALERTS = kind("monitoring", "projects/*/monitors/*/alerts/#", types.KnownEndpoint, lambda *_: None, listens=())
ALERT = f"{PROJECT_NAME}/monitors/m/alerts/1"
FACTS = 24
KILLS = 2


def process(nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str, target: Receiver) -> ServiceProcess:
    settings = {
        "nats_url": nats.address,
        "nats_user": "registry",
        "nats_password_file": str(nats.password_file("registry")),
        "nats_api_prefix": API_PREFIX,
        **postgres.urls_of("registry"),
        "schema": schema,
        "data_dir": str(folder / "data" / schema),
        **{name: str(value) for name, value in target.settings.items()},
    }
    return ServiceProcess(
        "registry", "services.registry", settings=settings, folder=Path.cwd(), log=folder / "log", drain_seconds=0.2
    )


@pytest.mark.long
async def test_killed_while_delivering(
    elsewhere: Elsewhere, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    kill = asyncio.Event()

    async def slow(target: Receiver, received: Received) -> bytes:
        """Every fifth is taken, and the sender dies before it hears so."""
        if len(target.received) % 5 == 0 and deaths < KILLS:
            target.taken.append(received)
            kill.set()
            await asyncio.sleep(5)
            return b""
        return OK

    deaths = 0
    async with receiver(answer=slow) as target:
        async with office(nats, postgres, tmp_path, schema, **target.settings, roles="rpc,projector") as registry:
            await registry.found_model()
            await registry.CreateWebhook(parent=PROJECT_NAME, webhook_id="chat", settings={"url": target.url})
            await elsewhere.record(ALERTS, ALERT, monitoring.AlertRaised(check="drift"))
            for value in range(FACTS - 1):
                await registry.SetTag(name=MODEL_NAME, key="k", value=str(value))
        one = process(nats, postgres, tmp_path, schema, target)
        while deaths < KILLS:
            await one.start()
            async with asyncio.timeout(60):
                await kill.wait()
            await one.kill()
            kill.clear()
            deaths += 1
        await one.start()
        try:
            await target.until(lambda it: len(it.once()) == FACTS)
        finally:
            await one.stop()
    alert, *tags = (it.event["data"] for it in target.once())
    assert alert["check"] == "drift"  # Of another service, read by a process that nothing else made know it.
    assert [int(it["value"]) for it in tags] == list(range(FACTS - 1))
    again = len(target.taken) - FACTS
    assert KILLS <= again <= 2 * KILLS, "each death repeats the one that was on its way, under its id"
    assert len({it.body for it in target.taken}) == FACTS
