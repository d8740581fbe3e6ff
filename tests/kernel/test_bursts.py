"""A caller alone waits for nobody; many callers go together, and nobody is left behind."""

import asyncio
import time

from kernel.bursts import Gate


async def test_a_caller_alone_never_rests() -> None:
    gate = Gate(each_seconds=10, most_seconds=10)
    async with asyncio.timeout(1):
        for _ in range(100):
            await gate.enter()


async def test_callers_of_one_moment_go_together_and_the_next_ones_rest() -> None:
    gate = Gate(each_seconds=0.02, most_seconds=0.1)
    went: list[float] = []

    async def call() -> None:
        await gate.enter()
        went.append(time.perf_counter())

    await asyncio.gather(*(call() for _ in range(3)))
    await asyncio.gather(call(), call())
    assert went[2] - went[0] < 0.02
    assert went[3] - went[0] >= 0.055
    assert went[4] - went[3] < 0.02


async def test_a_rest_has_a_limit() -> None:
    gate = Gate(each_seconds=10, most_seconds=0.02)
    async with asyncio.timeout(5):
        for _ in range(3):
            await asyncio.gather(*(gate.enter() for _ in range(50)))


async def test_a_caller_that_gives_up_holds_up_nobody() -> None:
    gate = Gate(each_seconds=0.01, most_seconds=0.05)
    await asyncio.gather(gate.enter(), gate.enter())
    given_up, stays = asyncio.ensure_future(gate.enter()), asyncio.ensure_future(gate.enter())
    await asyncio.sleep(0)
    given_up.cancel()
    async with asyncio.timeout(1):
        await stays
    assert given_up.cancelled()
