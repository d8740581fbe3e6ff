"""The suite with the real services: it comes up, what crashes comes back, and nothing is left when it stops."""

import asyncio
from pathlib import Path

import pytest

from suite.health import serving
from suite.suite import SERVICES, Suite

PARTS = ["nats", "postgres", *SERVICES]


def left_behind(folder: Path) -> list[str]:
    """Command lines that name the folder, of this user's processes and those they started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="tells what is left behind by /proc")
async def test_all_four_serve_come_back_after_a_crash_and_leave_nothing(tmp_path: Path) -> None:
    async with Suite(tmp_path) as suite:
        assert set(suite.addresses) == set(SERVICES)
        assert left_behind(tmp_path)
        for part in PARTS:
            async with asyncio.timeout(30):
                await suite.kill(part)
                await suite.ready(part)
        async with asyncio.timeout(30):
            for address in suite.addresses.values():
                while not await serving(address):
                    await asyncio.sleep(0.1)
    assert left_behind(tmp_path) == []
