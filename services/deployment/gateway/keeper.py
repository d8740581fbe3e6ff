"""Keeps an Envoy running beside the service, for installations where nobody else does."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from services.deployment.drivers import child

_PAUSE_SECONDS = 1.0
_STOP_SECONDS = 15.0


class GatewayKeeper:
    """Starts the gateway when it does not run, and finds the one that runs already.

    Ports that are asked for as 0 are chosen once and written down, so endpoints keep their addresses over every start.
    """

    def __init__(self, folder: Path, *, listen: str, admin: str, lease: Path, lease_seconds: float) -> None:
        self.folder = folder.absolute()
        self.listen, self.admin = self._addresses(listen, admin)
        self._lease = lease.absolute()
        self._lease_seconds = lease_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._next_start = 0.0

    def _addresses(self, listen: str, admin: str) -> tuple[str, str]:
        known = self.folder / "addresses.json"
        if known.exists():
            before = json.loads(known.read_text())
            if before["asked"] == [listen, admin]:
                return before["listen"], before["admin"]
        with ExitStack() as stack:  # Both are held until both are chosen, so they differ.
            found = [_free(one, stack) for one in (listen, admin)]
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"asked": [listen, admin], "listen": found[0], "admin": found[1]}
        child.write_private(known, json.dumps(content))
        return found[0], found[1]

    async def ensure(self) -> None:
        """Starts the gateway unless it runs, at most once a second."""
        if self._process is not None:
            self._process.poll()
        if child.lives(self.folder) or time.monotonic() < self._next_start:
            return
        self._next_start = time.monotonic() + _PAUSE_SECONDS
        lease = ["--lease", str(self._lease), "--lease-seconds", str(self._lease_seconds)]
        addresses = ["--listen", self.listen, "--admin", self.admin]
        module = [sys.executable, "-m", "services.deployment.gateway", "--folder", str(self.folder)]
        self._process = await asyncio.to_thread(child.start, self.folder, [*module, *addresses, *lease])

    async def close(self) -> None:
        """Ends the gateway and waits for it."""
        deadline = time.monotonic() + _STOP_SECONDS
        child.signal_child(self.folder, signal.SIGTERM)
        while child.lives(self.folder):
            if self._process is not None:
                self._process.poll()
            if time.monotonic() > deadline:
                child.signal_child(self.folder, signal.SIGKILL)
            await asyncio.sleep(0.05)


def _free(address: str, stack: ExitStack) -> str:
    host, _, port = address.rpartition(":")
    if port != "0":
        return address
    probe = stack.enter_context(socket.socket())
    probe.bind((host, 0))
    return f"{host}:{probe.getsockname()[1]}"
