"""Running services over real servers, inside the test's process, so that a test can look at everything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from kernel.postgres import owning
from kernel.rooms import Blueprint, Rooms
from kernel.service import Running, running
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from suite.provision import provision


@dataclass(frozen=True, slots=True)
class Live:
    """A service in this process: its channel for stubs, and its insides."""

    channel: grpc.aio.Channel
    running: Running
    schema: str

    @property
    def rooms(self) -> Rooms:
        return self.running.rooms

    async def alter(self, statement: str, *, kept: bool = False) -> None:
        """Makes or drops something as the owner of the tables, which the service itself cannot."""
        schema = f"{self.schema}_kept" if kept else self.schema
        async with owning(self.rooms.settings.postgres_owner_url, schema=schema) as pool:
            await pool.execute(statement)


@asynccontextmanager
async def log_server(folder: Path) -> AsyncIterator[NatsServer]:
    """A NATS of this test's own with both streams made."""
    async with NatsServer(folder / "nats") as nats:
        await provision(nats.url)
        yield nats


@asynccontextmanager
async def service(
    blueprint: Blueprint, nats: NatsServer, postgres: PostgresServer, folder: Path, *, schema: str, **settings: Any
) -> AsyncIterator[Live]:
    """The service over these servers, with views in `schema`. Further settings by name."""
    values = {
        "nats_url": nats.address,
        "nats_user": blueprint.name,
        "nats_password_file": str(nats.password_file(blueprint.name)),
        "nats_api_prefix": API_PREFIX,
        **postgres.urls_of(blueprint.name),
        "schema": schema,
        "data_dir": str(folder / "data" / schema),
        "artifacts_dir": str(folder / "artifacts"),
        "drain_seconds": 0.2,
        **settings,
    }
    async with running(blueprint, blueprint.settings(**values)) as up, grpc.aio.insecure_channel(up.address) as channel:
        yield Live(channel, up, schema)


def actor(name: str) -> tuple[tuple[str, str], ...]:
    """Call metadata of a person in the development identity, for example actor("users/ada")."""
    return (("x-modelog-actor", name),)
