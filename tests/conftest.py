"""Servers for tests: one Postgres a run (each test takes a schema of its own), one NATS a test."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import log_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    async with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with log_server(tmp_path) as server:
        yield server


@pytest.fixture
def schema() -> str:
    """A schema name nobody else uses in this run."""
    return f"s{next(_numbers)}"


# Folders of few and slow files: begun last, one of them would run on alone while the other processes have ended.
_FIRST = ("system", "suite", "faults", "deployment", "monitoring", "access", "archive")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {folder: place for place, folder in enumerate(_FIRST)}
    here = Path(__file__).parent
    items.sort(key=lambda item: order.get(item.path.relative_to(here).parts[0], len(order)))
