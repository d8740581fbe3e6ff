"""Requests that wait for the model run together, and each gets its own answer."""

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from services.deployment.inference.turns import Feed, Turns


class Machine:
    """A model that doubles, fails on a negative number, and can be held up."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.sizes: list[int] = []
        self.lines = 0

    def run(self, feed: Feed) -> list[Any]:
        assert self.go.wait(20)
        x = feed["x"]
        self.sizes.append(len(x))
        if (x < 0).any():
            raise ValueError("a negative number")
        return [x * 2, x.sum(axis=1)] if not self.lines else [x[: self.lines]]


def feed(*numbers: float, width: int = 1) -> dict[str, Any]:
    return {"x": np.repeat(np.array([numbers], dtype=np.float32).T, width, axis=1)}


async def held(turns: Turns, machine: Machine, *feeds: dict[str, Any]) -> list[asyncio.Task[list[Any]]]:
    """One request that keeps the model busy, and the others behind it."""
    machine.go.clear()
    tasks = []
    for one in ({"x": np.zeros((1, 1), dtype=np.float32)}, *feeds):
        tasks.append(asyncio.create_task(turns.run(one, len(one["x"]))))
        await asyncio.sleep(0)
    return tasks[1:]


async def test_what_waits_runs_together_and_each_gets_its_rows() -> None:
    machine = Machine()
    turns = Turns(machine.run, most_rows=8)
    tasks = await held(turns, machine, feed(1, 2), feed(3), feed(4, 5, 6))
    assert turns.waiting == 3
    machine.go.set()
    answers = await asyncio.gather(*tasks)
    assert machine.sizes == [1, 6]
    assert [answer[0].ravel().tolist() for answer in answers] == [[2, 4], [6], [8, 10, 12]]
    assert [answer[1].tolist() for answer in answers] == [[1, 2], [3], [4, 5, 6]]


@pytest.mark.parametrize("most_rows", [0, 1])
async def test_each_runs_alone_where_that_is_asked(most_rows: int) -> None:
    machine = Machine()
    tasks = await held(turns := Turns(machine.run, most_rows=most_rows), machine, feed(1), feed(2))
    machine.go.set()
    await asyncio.gather(*tasks)
    assert machine.sizes == [1, 1, 1]
    assert turns.waiting == 0


async def test_a_batch_has_at_most_so_many_rows_and_only_equal_shapes() -> None:
    machine = Machine()
    tasks = await held(Turns(machine.run, most_rows=4), machine, feed(1, 2), feed(9, width=2), feed(3, 4), feed(5))
    machine.go.set()
    answers = await asyncio.gather(*tasks)
    assert machine.sizes == [1, 4, 1, 1]
    assert answers[1][0].tolist() == [[18, 18]]
    assert answers[2][1].tolist() == [3, 4]


async def test_an_error_stays_with_the_request_that_caused_it() -> None:
    machine = Machine()
    tasks = await held(Turns(machine.run, most_rows=8), machine, feed(1), feed(-1), feed(2))
    machine.go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[1], ValueError)
    assert [one[1].tolist() for one in answers if isinstance(one, list)] == [[1], [2]]


async def test_answers_that_are_not_a_line_a_row_are_not_cut() -> None:
    machine = Machine()
    machine.lines = 1
    tasks = await held(Turns(machine.run, most_rows=8), machine, feed(1), feed(2))
    machine.go.set()
    answers = await asyncio.gather(*tasks)
    assert [one[0].tolist() for one in answers] == [[[1]], [[2]]]


async def test_who_gives_up_is_not_run_and_holds_nobody_up() -> None:
    machine = Machine()
    tasks = await held(turns := Turns(machine.run, most_rows=8), machine, feed(1), feed(2), feed(3))
    tasks[1].cancel()
    await asyncio.sleep(0)
    machine.go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert machine.sizes == [1, 2]
    first, last = answers[0], answers[2]
    assert isinstance(first, list)
    assert isinstance(last, list)
    assert (first[1].tolist(), last[1].tolist()) == ([1], [3])
    assert (await turns.run(feed(7), 1))[1].tolist() == [7]


async def test_a_lone_request_waits_for_nobody_and_those_that_queue_wait_for_more() -> None:
    machine = Machine()
    turns = Turns(machine.run, most_rows=3, delay_seconds=60)
    async with asyncio.timeout(20):
        await turns.run(feed(1), 1)
        tasks = await held(turns, machine, feed(2), feed(3))
        machine.go.set()
        while machine.sizes != [1, 1]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert machine.sizes == [1, 1]
        full = await asyncio.gather(*tasks, turns.run(feed(4), 1))
    assert machine.sizes == [1, 1, 3]
    assert [one[1].tolist() for one in full] == [[2], [3], [4]]


async def test_a_quick_model_is_run_at_once_and_a_slow_one_is_not() -> None:
    machine = Machine()
    turns = Turns(machine.run)
    for _ in range(200):
        await turns.run(feed(1), 1)
    quick = asyncio.create_task(turns.run(feed(1), 1))
    await asyncio.sleep(0)
    assert quick.done()
    many = asyncio.create_task(turns.run(feed(*range(1000)), 1000))
    await asyncio.sleep(0)
    assert not many.done()
    await many
