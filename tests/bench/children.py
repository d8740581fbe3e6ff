"""Child processes that take orders: one JSON line in, one JSON line out, until their input closes."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import uvloop

import suite.launch

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
_LONGEST_LINE_BYTES = 1024 * 1024
_ORDER_SECONDS = 300.0
_END_SECONDS = 10.0


class Child:
    """`python -m <module>`, started on entry and gone on exit. It ends with this process too, however that ends."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> "Child":
        wrapper = [sys.executable, "-I", "-S", suite.launch.__file__, str(os.getpid()), "SIGKILL", ""]
        self._process = await asyncio.create_subprocess_exec(
            *wrapper,
            *(sys.executable, "-m", self._module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE_BYTES,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """What the function `do` of the child answers; RuntimeError when the child ends instead."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        async with asyncio.timeout(_ORDER_SECONDS):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with {await process.wait()} while it did {do}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def serve(answers: Mapping[str, Answer], opened: AsyncExitStack | None = None) -> None:
    """The main of a child: calls what each order names in `do`, one after the other; an error ends it.

    `opened` is closed at the end: what one order left open for the next.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async with opened or AsyncExitStack():
            while line := await reader.readline():
                order = json.loads(line)
                print(json.dumps(await answers[order.pop("do")](order)), flush=True)

    uvloop.run(main())
