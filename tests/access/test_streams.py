"""A stream goes on no longer than what proves who reads it, and a subscription goes on with the next token."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import nats as nats_py
import pytest

from access.fold import KNOWN_PROJECT
from kernel.cause import Cause, fact_of
from modelog.archive.v1.archive_service_pb2 import ReadFactsRequest
from modelog.registry.v1 import events_pb2 as facts
from modelog.sdk import Unauthenticated, connect
from modelog.type.v1.principal_pb2 import Principal
from services.archive.__main__ import BLUEPRINT
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from testkit.people import People

AUDITOR = "users/olga"
# What is issued with a life that is over by so much has two seconds of the leeway left.
SPENT_SECONDS = -58.0


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path)


@pytest.fixture
async def archive(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, people: People
) -> AsyncIterator[Live]:
    """An archive whose log grants Olga to read it all."""
    cause = Cause(Principal(id="users/root"), "first", datetime.now(UTC))
    event = facts.RoleGranted(principal=AUDITOR, role="auditor")
    fact = fact_of(KNOWN_PROJECT, "projects/all", KNOWN_PROJECT.message(), event, cause, ())
    owner = await nats_py.connect(nats.url)
    await owner.jetstream().publish(KNOWN_PROJECT.subject("projects/all"), fact.SerializeToString())
    await owner.close()
    async with service(BLUEPRINT, nats, postgres, tmp_path, schema=schema, **people.settings()) as live:
        await live.rooms.position.wait(1)
        yield live


async def test_a_stream_ends_with_the_credentials_it_began_with(archive: Live, people: People) -> None:
    token = people.issuer.token(AUDITOR, SPENT_SECONDS)
    async with connect(archive=archive.running.address, token=token) as client:
        began = time.monotonic()
        stream = client.archive.ReadFacts(ReadFactsRequest(from_revision=1, follow=True), timeout=30)
        with pytest.raises(Unauthenticated, match="TOKEN_EXPIRED"):
            async for _ in stream:
                pass
        assert 0.5 < time.monotonic() - began < 15


async def test_a_subscription_goes_on_with_the_next_token(archive: Live, people: People) -> None:
    lives = [SPENT_SECONDS, 600.0]
    issued: list[str] = []

    def token() -> str:
        issued.append(people.issuer.token(AUDITOR, lives.pop(0)))
        return issued[-1]

    async with connect(archive=archive.running.address, token=token) as client, asyncio.timeout(30):
        entries = aiter(client.subscribe(1))
        assert (await anext(entries)).revision == 1
        waiting = asyncio.ensure_future(anext(entries))
        while len(issued) < 2:
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        assert not waiting.done()
        waiting.cancel()


async def test_one_whose_tokens_are_spent_is_told_so(archive: Live, people: People) -> None:
    token = people.issuer.token(AUDITOR, -61.0)
    async with connect(archive=archive.running.address, token=token) as client:
        with pytest.raises(Unauthenticated, match="TOKEN_EXPIRED"):
            async for _ in client.subscribe(1):
                pass
