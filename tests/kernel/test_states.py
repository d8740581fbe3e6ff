"""The cache of folded resources is never older than the rows, whatever comes between a row's being read and kept."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from kernel.states import States
from tests.kernel.toy import TOY, M

NAME = "projects/p/toys/ball"


def toy(revision: int) -> bytes:
    return bytes(M.Toy(name=NAME, generation=1, revision=revision).SerializeToString())


class Rows:
    """One table. A query takes what the table holds when it is asked, and answers when the test lets it."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.queries = 0

    async def fetch(self, _sql: str, _names: Sequence[str]) -> list[tuple[str, bytes]]:
        self.queries += 1
        found = [] if self.body is None else [(NAME, self.body)]
        self.asked.set()
        await self.answer.wait()
        return found


def states(rows: Rows) -> States:
    made = States(cast(Any, None), cast(Any, rows))
    made.maintained()
    return made


async def loaded_while(rows: Rows, cache: States, revision: int) -> Any:
    """What a load answers while the projector folds a newer state under it."""
    loading = asyncio.create_task(cache.load(TOY, NAME))
    await rows.asked.wait()
    rows.body = toy(revision)
    cache.folded(TOY, NAME, rows.body, revision)
    rows.answer.set()
    return await loading


async def test_a_state_folded_while_its_row_was_read_is_not_missed() -> None:
    rows = Rows()
    rows.body = toy(3)
    cache = states(rows)
    assert (await loaded_while(rows, cache, 4)).revision == 4
    assert (await cache.load(TOY, NAME)).revision == 4


async def test_a_resource_that_begins_while_it_was_looked_for_is_not_missed() -> None:
    rows = Rows()
    cache = states(rows)
    assert (await loaded_while(rows, cache, 1)).revision == 1


async def test_that_there_is_none_is_remembered_until_there_is_one() -> None:
    rows = Rows()
    rows.answer.set()
    cache = states(rows)
    for _ in range(3):
        assert (await cache.load(TOY, NAME)).revision == 0
    assert rows.queries == 1
    cache.folded(TOY, NAME, toy(5), 5)
    assert (await cache.load(TOY, NAME)).revision == 5


async def test_without_a_projector_here_nothing_is_taken_for_granted() -> None:
    rows = Rows()
    rows.answer.set()
    cache = states(rows)
    cache.unmaintained()
    for _ in range(3):
        assert (await cache.load(TOY, NAME)).revision == 0
    assert rows.queries == 3
