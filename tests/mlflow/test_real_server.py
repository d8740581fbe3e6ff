"""The import against a real `mlflow server` with real models, in an environment of its own: `make test-mlflow`."""

import asyncio
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelog.mlflow.bringing import Import, Options
from modelog.mlflow.mapping import Rules
from modelog.mlflow.report import IMPORTED, SKIPPED, THERE, Report
from modelog.mlflow.server import Server
from modelog.sdk import connect_sync
from suite.folder import free_port
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.build import PROJECT_NAME
from tests.registry.office import Office, office

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-mlflow" / "bin"
FILL = ROOT / "tests" / "mlflow" / "fill.py"
FRAUD = f"{PROJECT_NAME}/models/fraud-model"
# It imports half of data science before it listens; on a busy machine that takes minutes.
_START_SECONDS = 300

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@asynccontextmanager
async def tracking_server(folder: Path) -> AsyncIterator[str]:
    """A tracking server on a free port, with its database and its artifacts in a folder."""
    uri = f"http://127.0.0.1:{free_port()}"
    command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", uri.rpartition(":")[2], "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=log, stderr=log, process_group=0)
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await asyncio.to_thread(answers, uri):
                    assert process.returncode is None, (folder / "server.log").read_text()[-2000:]
                    await asyncio.sleep(0.2)
            yield uri
        finally:
            # Its workers are of its process group and of no other.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def fill(uri: str, *more: str) -> None:
    command = [str(BIN / "python"), str(FILL), uri, *more]
    done = await asyncio.to_thread(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def environment() -> None:
    subprocess.run(["make", ".venv-mlflow/.installed"], cwd=ROOT, check=True, timeout=600)


async def bring(registry: Office, uri: str) -> Report:
    def run() -> Report:
        with connect_sync(registry=registry.live.running.address, actor="users/mover") as client:
            server = Server(uri)
            return Import(client, server, Rules(server.uri, PROJECT_NAME), Options()).run()

    return await asyncio.to_thread(run)


@pytest.mark.usefixtures("environment")
async def test_a_real_server_comes_over_once_however_often_it_is_asked(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with office(nats, postgres, tmp_path, schema) as registry, tracking_server(tmp_path) as uri:
        await registry.CreateProject(project_id="risk")
        await fill(uri)
        first = await bring(registry, uri)
        assert first.counts() == {
            "model": {IMPORTED: 2, SKIPPED: 1},
            "version": {IMPORTED: 5, SKIPPED: 1},
            "evaluation": {IMPORTED: 3},
            "alias": {IMPORTED: 2},
        }
        head = await registry.live.rooms.resources.catch_up()
        again = await bring(registry, uri)
        assert await registry.live.rooms.resources.catch_up() == head
        assert again.counts()["version"] == {THERE: 5, SKIPPED: 1}
        await fill(uri, "more")
        later = await bring(registry, uri)
        assert later.counts()["version"] == {THERE: 5, IMPORTED: 1, SKIPPED: 1}
        assert later.counts()["model"] == {THERE: 2, IMPORTED: 1, SKIPPED: 1}
        read = {"at_least": await registry.live.rooms.resources.catch_up()}
        versions = (await registry.ListVersions(parent=FRAUD, read=read)).versions
        assert [one.origin.id for one in versions] == ["Fraud Model/1", "Fraud Model/3", "Fraud Model/4"]
        assert all(one.origin.happen_time.seconds <= one.create_time.seconds for one in versions)
        assert versions[1].evaluations["mlflow"].metrics["accuracy"].value == 0.97
