"""A repeated request is answered as it was the first time, however far the views are behind the log."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import pytest

from kernel.cause import Cause
from kernel.errors import Refusal
from kernel.known import KnownIds
from kernel.requests import Requests
from kernel.states import States
from kernel.transact import Decided, Transact
from modelog.type.v1.principal_pb2 import Principal
from testkit.memory_log import MemoryLog
from tests.kernel.test_access_log import NOW
from tests.kernel.toy import PART, TOY, M, add, make, make_part

NAME = "projects/p/toys/ball"


class NoRows:
    """Views into which nothing has been folded yet."""

    async def fetch(self, _sql: str, _names: Sequence[str]) -> list[Any]:
        await asyncio.sleep(0)
        return []

    async def fetchval(self, _sql: str, *_arguments: Any) -> Any:
        return None


def process(log: MemoryLog) -> Transact:
    """The writing half of a process that has just started and whose projector has not begun."""
    rows = cast(Any, NoRows())
    return Transact(cast(Any, log), States(cast(Any, log), rows), Requests(rows, "registry", KnownIds()))


def cause(request_id: str) -> Cause:
    return Cause(actor=Principal(id="users/ada"), request_id=request_id, request_digest=request_id.encode(), now=NOW)


def label(toy: Any, *, to: str) -> Any:
    return None if toy.label == to else M.ToyMade(label=to)


def known(one: Decided) -> tuple[str, int, int]:
    return one.name, one.revision, one.generation


async def test_another_request_that_read_the_log_first_changes_no_answer() -> None:
    log = MemoryLog()
    before = process(log)
    await before(TOY, NAME, cause("make"), partial(make, label="red"))
    first = await before(TOY, NAME, cause("add"), partial(add, amount=7))
    label_first = await before(TOY, NAME, cause("label"), partial(label, to="blue"))
    await before(TOY, NAME, cause("add again"), partial(add, amount=1))
    log._ids.clear()  # The server's own memory of ids lasts for minutes, ours for ever.
    after = process(log)
    with pytest.raises(Refusal):  # Reads the whole log of the resource before it says no.
        await after(TOY, NAME, cause("too much"), partial(add, amount=5000))
    assert known(await after(TOY, NAME, cause("add"), partial(add, amount=7))) == known(first)
    assert known(await after(TOY, NAME, cause("label"), partial(label, to="blue"))) == known(label_first)
    assert await log.head() == 4


async def test_a_number_taken_by_an_earlier_attempt_is_found_behind_others() -> None:
    log = MemoryLog()
    before = process(log)
    await before(TOY, NAME, cause("make"), partial(make, label="red"))
    reads = [(TOY, NAME)]
    first = await before.create_numbered(PART, NAME, cause("part"), partial(make_part, label="x"), reads=reads)
    await before.create_numbered(PART, NAME, cause("other"), partial(make_part, label="y"), reads=reads)
    log._ids.clear()
    after = process(log)
    third = await after.create_numbered(PART, NAME, cause("third"), partial(make_part, label="z"), reads=reads)
    again = await after.create_numbered(PART, NAME, cause("part"), partial(make_part, label="x"), reads=reads)
    assert (third.name, known(again)) == (f"{NAME}/parts/3", known(first))
    assert await log.head() == 4
