"""Keeps a child running: one that ends by itself is started again, sooner the first time than the tenth."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from suite.process import Process, StartError

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_SECONDS = 30.0  # Having run this long, a child starts over with the shortest pause.


class Part(Protocol):
    """What the suite is made of: NatsServer, PostgresServer, ServiceProcess."""

    @property
    def process(self) -> Process: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def kill(self) -> None: ...


class Keeper:
    """One part, wanted or not. While it is wanted, its end is a crash and it comes back."""

    def __init__(self, name: str, part: Part, *, changed: Callable[[str, str], None]) -> None:
        """`changed(name, what happened)` is called after each start, stop and crash."""
        self.name = name
        self.part = part
        self.restarts = 0
        self._changed = changed
        self._ready = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts it and keeps it from now on. Raises StartError when it does not come up; it is not wanted then."""
        if self._keeping is None:
            await self.part.start()
            self.keep()

    def keep(self) -> None:
        """Keeps a part that is running."""
        self._up("started")
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self) -> None:
        """Stops it in order; it stays stopped."""
        await self._let_go()
        await self.part.stop()
        self._changed(self.name, "stopped")

    async def kill(self) -> None:
        """Crashes it. While it is wanted it comes back by itself: see `ready`."""
        self._ready.clear()
        await self.part.kill()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def ready(self) -> None:
        """Waits until it has come up (again)."""
        await self._ready.wait()

    async def _let_go(self) -> None:
        self._ready.clear()
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    def _up(self, what: str) -> None:
        self._ready.set()
        self._changed(self.name, what)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            began = loop.time()
            status = await self.part.process.wait()
            self._ready.clear()
            self._changed(self.name, f"ended with {status}")
            if loop.time() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            while not self._ready.is_set():
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                try:
                    await self.part.start()
                except (StartError, OSError) as error:
                    self._changed(self.name, f"did not start again: {error}")
                else:
                    self.restarts += 1
                    self._up("started again")
