"""Tasks end also when one of them swallows its first cancellation."""

import asyncio

import pytest

from kernel.tasks import end, together


async def stubborn(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:  # As wait_for does when its answer comes in the same moment.
        await asyncio.Event().wait()
    finally:
        ended.append("stubborn")


async def test_a_swallowed_cancellation_is_said_again() -> None:
    ended: list[str] = []
    task = asyncio.create_task(stubborn(ended))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end([task])
    assert ended == ["stubborn"]


async def test_the_first_error_ends_the_others_and_is_raised() -> None:
    ended: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise KeyError("x")

    with pytest.raises(KeyError):
        async with asyncio.timeout(5):
            await together([stubborn(ended), fail()])
    assert ended == ["stubborn"]


async def test_work_that_returns_ends_nothing() -> None:
    async def nothing() -> None:
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await together([nothing(), nothing()])
