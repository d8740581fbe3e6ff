"""Child processes: started with a log file, stopped by their id, never left behind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_LAUNCH = Path(__file__).with_name("launch.py")
_LEFTOVER_SECONDS = 10.0
_LONG_LOG_BYTES = 16 * 1024 * 1024


class StartError(Exception):
    """A server did not come up. The message ends with the last lines of its log."""


class Process:
    """A running child. Start it on the loop's own thread: the system ends a child with the thread it came from."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, log_offset: int) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._log_offset = log_offset

    @classmethod
    async def start(
        cls,
        name: str,
        program: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        user: str = "",
    ) -> "Process":
        """Starts `program`, appending what it prints to `log`.

        It gets `death_signal` when this process ends, on Linux. It runs in a session of its own, so that Ctrl-C in a
        terminal reaches only this process, which then stops its children in order. `user` takes effect for root only.
        """
        wrapper = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), death_signal.name, user]
        with _opened(log) as output:
            offset = output.tell()
            process = await asyncio.create_subprocess_exec(
                *wrapper,
                *map(str, program),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        return cls(name, process, log, offset)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def exit_status(self) -> int | None:
        """Negative for a signal, None while running."""
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self, how: signal.Signals = signal.SIGTERM, *, grace_seconds: float = 10.0) -> int:
        """Asks with `how`, then kills after `grace_seconds`; returns the exit status."""
        self.send(how)
        try:
            async with asyncio.timeout(grace_seconds):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        self.send(signal.SIGKILL)
        return await self.wait()

    async def kill_with_children(self) -> int:
        """As a power cut does it, for a server of many processes: none of them outlives the first. Exact on Linux."""
        self.send(signal.SIGSTOP)  # So that it starts no more of them meanwhile.
        children = _children(self.pid) if self.running else []
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return await self.kill()

    def send(self, how: signal.Signals) -> None:
        """Sends a signal; SIGSTOP and SIGCONT freeze and thaw. Does nothing when the child has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)

    def printed(self) -> str:
        """What this child has printed since it started; earlier ones wrote to the same log."""
        with self.log.open("rb") as file:
            file.seek(self._log_offset)
            return file.read().decode(errors="replace")

    def tail(self, lines: int = 15) -> str:
        """The last lines it printed, for messages to people."""
        return "\n".join(self.printed().splitlines()[-lines:])

    def failed(self, why: str) -> StartError:
        return StartError(f"{self.name}: {why}; the end of {self.log}:\n{self.tail()}")


def _opened(log: Path) -> BinaryIO:
    """The log, open for appending; a long one is put aside first, so that two of them are the most there is."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LONG_LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    return log.open("ab")


async def end_leftover(pid_file: Path, mark: str, *, how: signal.Signals = signal.SIGTERM) -> None:
    """Ends the process a former run left in this folder, where the system did not end it with its parent.

    Only if the process of that id still has `mark` (the folder) on its command line: ids are used again.
    The caller holds the folder's lock, so the process belongs to nobody.
    """
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    deadline = asyncio.get_running_loop().time() + _LEFTOVER_SECONDS
    while mark in await _command_line(pid):
        late = asyncio.get_running_loop().time() > deadline
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if late else how)
        await asyncio.sleep(0.1)


def _children(parent: int) -> list[int]:
    """Process ids of the direct children; empty where there is no /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The second field is the name in parentheses, which may hold anything; state and parent follow it.
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


async def _command_line(pid: int) -> str:
    """The command line of a process, empty when there is none or it is a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    ps = await asyncio.create_subprocess_exec(
        "ps", "-o", "command=", "-p", str(pid), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return (await ps.communicate())[0].decode(errors="replace")
