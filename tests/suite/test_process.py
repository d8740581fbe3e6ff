"""Children end with their parent, are killed when they will not stop, and leftovers are known by their folder."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suite.process import Process, end_leftover

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)",
]


async def until_up(process: Process) -> None:
    async with asyncio.timeout(10):
        while "up" not in process.tail():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """A zombie is not alive; nobody may be there to reap what a killed parent left."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_child_stops_when_asked(tmp_path: Path) -> None:
    process = await Process.start("sleep", SLEEP, log=tmp_path / "log")
    await until_up(process)
    assert await process.stop() == -signal.SIGTERM
    assert not process.running
    assert await process.stop() == -signal.SIGTERM  # Once more does nothing.


async def test_a_child_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    process = await Process.start("stubborn", STUBBORN, log=tmp_path / "log")
    await until_up(process)
    began = time.monotonic()
    assert await process.stop(grace_seconds=0.3) == -signal.SIGKILL
    assert 0.25 < time.monotonic() - began < 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = f"""
import asyncio, pathlib, sys
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from suite.process import Process
folder = pathlib.Path({str(tmp_path)!r})
async def main():
    async with NatsServer(folder / "nats") as nats, PostgresServer(folder / "postgres") as postgres:
        child = await Process.start("stubborn", {STUBBORN!r}, log=folder / "log")
        print(nats.process.pid, postgres.process.pid, child.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""
    libs = str(Path(__file__).parents[2] / "libs")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, stdout=subprocess.PIPE, env=dict(os.environ) | {"PYTHONPATH": libs}
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in (await process.stdout.readline()).split()]
    assert len(pids) == 3
    assert all(alive(pid) for pid in pids)
    process.kill()
    await process.wait()
    async with asyncio.timeout(10):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.05)


async def test_a_leftover_is_ended_only_when_it_is_of_this_folder(tmp_path: Path) -> None:
    mark = str(tmp_path / "store")
    mine = await Process.start("mine", [*SLEEP, mark], log=tmp_path / "log")
    await until_up(mine)
    pid_file = tmp_path / "pid"
    pid_file.write_text(f"{mine.pid}\n")
    await end_leftover(pid_file, str(tmp_path / "other"))
    assert mine.running
    await end_leftover(pid_file, mark)
    assert await mine.wait() == -signal.SIGTERM


@pytest.mark.parametrize("text", [None, "", "not a number", "999999999"])
async def test_a_missing_or_broken_pid_file_is_no_leftover(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "pid").write_text(text)
    await end_leftover(tmp_path / "pid", "anything")
