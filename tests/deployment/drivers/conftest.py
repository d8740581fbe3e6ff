"""The Docker Engine of the tests: one a session, of their own, started only where `make test-docker` asks for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.engine import Engine, NoEngine, engine


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    data = os.environ.get("MODELOG_TEST_ENGINE", "")
    if not data:
        pytest.skip("needs a Docker Engine: `make test-docker` starts one, as root")
    try:
        with engine(Path(data).absolute()) as made:
            made.prepare()
            yield made
    except NoEngine as missing:
        pytest.fail(f"MODELOG_TEST_ENGINE asks for an engine: {missing}")
