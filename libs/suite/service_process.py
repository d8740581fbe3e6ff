"""One service of modelog as a child process."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from suite.folder import free_port
from suite.health import serving
from suite.process import Process, StartError

_START_SECONDS = 60.0
_PORT_TAKEN = ("failed to bind", "address already in use")
_PORT_TRIES = 5
_CLOSE_SECONDS = 20.0  # Deployment waits for its replicas and for the gateway after it has drained.


class ServiceProcess:
    """`python -m <module>` with its settings in MODELOG_* variables. Its addresses stay the same over every start."""

    def __init__(
        self, name: str, module: str, *, settings: Mapping[str, str], folder: Path, log: Path, drain_seconds: float
    ) -> None:
        self.name = name
        self.module = module
        self.log = log
        self.address = ""
        self.admin_address = ""
        self._settings = settings
        self._folder = folder
        self._drain_seconds = drain_seconds
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The child; raises when it was never started."""
        if self._process is None:
            raise StartError(f"{self.name} is not started")
        return self._process

    async def start(self) -> None:
        """Returns when it serves; StartError with the end of its log otherwise."""
        for attempt in range(1, _PORT_TRIES + 1):
            address = self.address or f"127.0.0.1:{free_port()}"
            admin_address = self.admin_address or f"127.0.0.1:{free_port()}"
            try:
                await self._start_on(address, admin_address)
            except StartError as error:
                # Another program took the port after it was found free: only one that nobody was told can be changed.
                taken = any(sign in str(error).lower() for sign in _PORT_TAKEN)
                if self.address or not taken or attempt == _PORT_TRIES:
                    raise
            else:
                self.address, self.admin_address = address, admin_address
                return

    async def stop(self) -> None:
        """Lets it finish its calls, then ends it."""
        if self._process is not None:
            await self._process.stop(signal.SIGTERM, grace_seconds=self._drain_seconds + _CLOSE_SECONDS)

    async def kill(self) -> None:
        """As a crash does it."""
        await self.process.kill()

    async def _start_on(self, address: str, admin_address: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Only what is meant for it: a service refuses to start with a MODELOG_* name it does not know.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MODELOG_")}
        environment |= {f"MODELOG_{key.upper()}": value for key, value in self._settings.items()}
        environment |= {"MODELOG_LISTEN": address, "MODELOG_ADMIN_LISTEN": admin_address, "PYTHONUNBUFFERED": "1"}
        self._process = await Process.start(
            self.name, [sys.executable, "-m", self.module], log=self.log, environment=environment, folder=self._folder
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await serving(address, timeout=1.0):
                    if not self._process.running:
                        raise self._process.failed(f"ended with {self._process.exit_status} instead of starting")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            await self._process.kill()
            raise self._process.failed(f"did not serve within {_START_SECONDS} s") from None
        except asyncio.CancelledError:
            await self._process.kill()
            raise
