"""One suite for all tests of the command line; each works in projects of its own."""

import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suite.suite import Suite
from tests.cli.line import CommandLine

_projects = (f"p{number}" for number in itertools.count(1))


@pytest.fixture(scope="session")
async def suite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    async with Suite(tmp_path_factory.mktemp("cli") / ".modelog") as running:
        yield running


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment of the test run says does not matter here."""
    for name in [name for name in os.environ if name.startswith("MODELOG_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def alone(tmp_path: Path) -> CommandLine:
    """The command line where no suite runs."""
    return CommandLine(tmp_path)


@pytest.fixture
def line(suite: Suite) -> CommandLine:
    """The command line in the folder of the suite."""
    return CommandLine(suite.folder.parent)


@pytest.fixture
def project(line: CommandLine) -> str:
    """A new project with the model `fraud`."""
    name = next(_projects)
    line("projects", "create", name, "--title", f"Project {name}")
    line("models", "create", name, "fraud", "--title", "Fraud", "--owner", "users/ada")
    return name
