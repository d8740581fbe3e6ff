"""What an attacker does, in a process of its own: `python -m tests.faults.floods`. Everything is bounded.

Each flood goes on for `seconds` and answers with counts of what it did and of what the server did about it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
import grpc.aio
import h2.exceptions

from tests.bench.children import serve
from tests.faults.frames import PREFACE, Wire, bare, connected, raise_open_files

GET = "/modelog.registry.v1.RegistryService/GetProject"
_STREAMS_A_CONNECTION = 100
_PAUSE_SECONDS = 0.01  # An attacker on two cores takes one of them; on its own machine it would take none of ours.


async def _held(wires: list[Wire], seconds: float) -> dict[str, Any]:
    """Keeps the connections answering for a while, then closes them."""
    await asyncio.gather(*(wire.read(seconds) for wire in wires))
    for wire in wires:
        wire.close()
    return {"connections": len(wires), "closed": sum(wire.closed for wire in wires)}


async def idle(order: dict[str, Any]) -> dict[str, Any]:
    """`count` connections that say hello and nothing else."""
    return await _held([await connected(order["address"], 0.0) for _ in range(order["count"])], order["seconds"])


async def half_calls(order: dict[str, Any]) -> dict[str, Any]:
    """`count` calls whose requests never come: each would hold a place."""
    wires = []
    for _ in range(order["count"] // _STREAMS_A_CONNECTION):
        wire = await connected(order["address"])
        for _ in range(_STREAMS_A_CONNECTION):
            wire.request(GET)
        await wire.flush()
        wires.append(wire)
    return await _held(wires, order["seconds"])


async def drip(order: dict[str, Any]) -> dict[str, Any]:
    """`count` connections that send their preface and a request byte by byte, one a second (slowloris)."""
    until = time.monotonic() + order["seconds"]

    async def one(number: int) -> int:
        wire = await bare(order["address"])
        sent = 0
        with contextlib.suppress(OSError):
            for byte in PREFACE[: number % 20 + 1] * 100:
                if time.monotonic() > until:
                    break
                wire.writer.write(bytes([byte]))
                await wire.writer.drain()
                sent += 1
                await asyncio.sleep(1.0)
        wire.close()
        return sent

    return {"sent": sum(await asyncio.gather(*(one(number) for number in range(order["count"]))))}


async def _repeated(order: dict[str, Any], act: Callable[[Wire], Coroutine[Any, Any, int]]) -> dict[str, Any]:
    """Acts on a connection until the server ends it, then on a new one; tells the last reason for an end."""
    until, done, connections, reason = time.monotonic() + order["seconds"], 0, 0, ""
    while time.monotonic() < until:
        wire = await connected(order["address"])
        connections += 1
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            while time.monotonic() < until and not wire.closed and wire.goaway is None:
                done += await act(wire)
                await wire.read(_PAUSE_SECONDS)
        if wire.goaway is not None:
            reason = (wire.goaway.additional_data or b"").decode()
        wire.close()
    return {"done": done, "connections": connections, "reason": reason}


async def rapid_reset(order: dict[str, Any]) -> dict[str, Any]:
    """Opens calls and resets them in the same breath (CVE-2023-44487)."""

    async def act(wire: Wire) -> int:
        for _ in range(_STREAMS_A_CONNECTION):
            wire.h2.reset_stream(wire.request(GET), error_code=8)
        await wire.flush()
        return _STREAMS_A_CONNECTION

    return await _repeated(order, act)


async def pings(order: dict[str, Any]) -> dict[str, Any]:
    """Pings, a hundred at a time."""

    async def act(wire: Wire) -> int:
        for _ in range(100):
            wire.h2.ping(b"12345678")
        await wire.flush()
        return 100

    return await _repeated(order, act)


async def headers(order: dict[str, Any]) -> dict[str, Any]:
    """Calls with 60 KB of metadata each."""

    async def act(wire: Wire) -> int:
        for _ in range(5):
            wire.request(GET, [("x-junk", "j" * 1000)] * 60, end=True)
        await wire.flush()
        return 5

    return await _repeated(order, act)


async def streams(order: dict[str, Any]) -> dict[str, Any]:
    """Whole calls as fast as streams are allowed, more at once than the server said it takes."""

    async def act(wire: Wire) -> int:
        for _ in range(_STREAMS_A_CONNECTION):
            stream = wire.request(GET)
            wire.h2.send_data(stream, b"\0\0\0\0\0", end_stream=True)
        await wire.flush()
        await wire.read(0.2)
        return _STREAMS_A_CONNECTION

    return await _repeated(order, act)


async def principal(order: dict[str, Any]) -> dict[str, Any]:
    """One known caller who asks as fast as it can and does not listen when it is told to wait."""
    until, codes = time.monotonic() + order["seconds"], dict[str, int]()
    metadata = (("x-modelog-actor", "users/greedy"),)
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        get: Any = channel.unary_unary(GET)

        async def one() -> None:
            while time.monotonic() < until:
                try:
                    await get(b"\x0a\x0dprojects/risk", timeout=10, metadata=metadata)
                    code = "OK"
                except grpc.aio.AioRpcError as error:
                    code = error.code().name
                    await asyncio.sleep(_PAUSE_SECONDS)
                codes[code] = codes.get(code, 0) + 1

        await asyncio.gather(*(one() for _ in range(8)))
    return codes


FLOODS = (idle, half_calls, drip, rapid_reset, pings, headers, streams, principal)

if __name__ == "__main__":
    raise_open_files()
    serve({flood.__name__: flood for flood in FLOODS})
