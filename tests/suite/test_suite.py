"""The suite as a whole, with fakes for services: starting, finding, crashing, stopping."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest

from suite.folder import FolderInUse
from suite.health import serving
from suite.process import StartError
from suite.suite import Member, Suite

FAKE = "tests.suite.fake_service"
FAKES = {"registry": Member(FAKE), "archive": Member(FAKE)}


@pytest.fixture(scope="module")
async def suite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    async with Suite(tmp_path_factory.mktemp("suite"), services=FAKES) as suite:
        yield suite


def description(suite: Suite) -> Any:
    return json.loads((suite.folder / "suite.json").read_text())


async def facts(suite: Suite) -> int:
    client = await nats.connect(suite.nats.url)
    try:
        return (await client.jetstream().stream_info("LIFECYCLE")).state.messages
    finally:
        await client.close()


async def test_everything_serves_and_can_be_found(suite: Suite) -> None:
    found = description(suite)
    assert found["pid"] == os.getpid()
    assert found["postgres"]["url"] == suite.postgres.url
    assert {name: service["address"] for name, service in found["services"].items()} == suite.addresses
    assert set(suite.addresses) == set(FAKES)
    for address in suite.addresses.values():
        assert await serving(address)
    for service in found["services"].values():
        os.kill(service["pid"], 0)


async def test_a_service_gets_its_settings_and_nobody_elses(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELOG_ADDRESS", "somewhere")  # Of the command line that may run around it.
    await suite.restart("archive")
    line = [line for line in (suite.folder / "logs" / "archive.log").read_text().splitlines() if "serving" in line][-1]
    assert {"NATS_URL", "POSTGRES_URL", "LISTEN", "ADMIN_LISTEN", "SCHEMA", "DATA_DIR"} <= set(line.split())
    assert "ADDRESS" not in line.split()


@pytest.mark.parametrize("part", ["registry", "nats", "postgres"])
async def test_what_crashes_comes_back_at_the_same_address(suite: Suite, part: str) -> None:
    before, address = description(suite), dict(suite.addresses)
    pid = suite.keeper(part).part.process.pid
    async with asyncio.timeout(20):
        await suite.kill(part)
        await suite.ready(part)
    after = description(suite)
    assert suite.keeper(part).part.process.pid != pid
    assert suite.addresses == address
    assert after["nats"]["address"] == before["nats"]["address"]
    assert after["postgres"]["url"] == before["postgres"]["url"]
    assert (after["services"].get(part) or after[part])["restarts"] >= 1


async def test_what_was_stopped_stays_away_until_it_is_started(suite: Suite) -> None:
    address = suite.address("registry")
    await suite.stop("registry")
    await asyncio.sleep(0.5)
    assert not await serving(address, timeout=0.5)
    assert description(suite)["services"]["registry"]["pid"] is None
    await suite.start("registry")
    assert suite.address("registry") == address
    assert await serving(address)


async def test_a_second_suite_in_the_folder_is_refused_and_the_first_goes_on(suite: Suite) -> None:
    with pytest.raises(FolderInUse, match=f"in use by process {os.getpid()}: stop it"):
        await Suite(suite.folder, services=FAKES).__aenter__()
    assert await serving(suite.address("registry"))
    assert description(suite)["pid"] == os.getpid()


async def test_stopping_drains_cleans_up_and_keeps_the_data(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    async with Suite(tmp_path, services=FAKES, say=lambda name, what: heard.append((name, what))) as suite:
        processes = [suite.keeper(part).part.process for part in ("nats", "postgres", *FAKES)]
        beside = Suite(tmp_path / "beside", services={})
        async with beside:
            assert beside.nats.port != suite.nats.port
    assert not any(process.running for process in processes)
    assert not (tmp_path / "suite.json").exists()
    assert "drained" in (tmp_path / "logs" / "registry.log").read_text()
    stops = [name for name, what in heard if what == "stopped"]
    assert set(stops[:2]) == set(FAKES)
    assert stops[2:] == ["postgres", "nats"]
    async with Suite(tmp_path, services=FAKES) as suite:
        assert await facts(suite) == 4  # One of each fake in each run.


async def test_a_service_that_cannot_start_stops_the_suite_and_says_why(tmp_path: Path) -> None:
    members = FAKES | {"archive": Member(FAKE, {"fake": "broken"})}
    suite = Suite(tmp_path, services=members)
    with pytest.raises(StartError, match=r"archive: ended with 1 instead of starting(?s:.*)broken as ordered"):
        await suite.__aenter__()
    assert not suite.nats.process.running
    assert not suite.postgres.process.running
    assert not (tmp_path / "suite.json").exists()
    async with Suite(tmp_path, services=FAKES):
        pass  # The folder is free again.


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_after_a_killed_suite_the_next_one_starts_on_its_data(tmp_path: Path) -> None:
    program = f"""
import asyncio, pathlib
from suite.suite import Member, Suite
async def main():
    async with Suite(pathlib.Path({str(tmp_path)!r}), services={{"registry": Member({FAKE!r})}}):
        print("up", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        assert await parent.stdout.readline() == b"up\n"
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    async with Suite(tmp_path, services={"registry": Member(FAKE)}) as suite:
        assert await facts(suite) == 2
