"""What a decision reads may depend on the resource it decides on: each newer state is asked again what it names."""

from functools import partial
from typing import Any

import pytest

from kernel.errors import NotAllowedNow
from modelog.log.v1.fact_pb2 import Fact
from testkit.memory_log import MemoryLog
from tests.kernel.test_repeated import cause, label, process
from tests.kernel.toy import TOY, M, make

ONE, RED, BLUE = (f"projects/p/toys/{name}" for name in ("one", "red", "blue"))


def named(toy: Any) -> list[tuple[Any, str]]:
    """The toy is called by the colour of another one."""
    return [(TOY, f"projects/p/toys/{toy.label}")] if toy.label else []


def copy(toy: Any, *others: Any) -> Any:
    """Takes the label of the toy it names; refuses when that is another one than it names now."""
    if not others:
        raise NotAllowedNow("UNNAMED", "it names no other")
    (other,) = others
    if other.name != f"projects/p/toys/{toy.label}":
        raise AssertionError(f"{toy.label} was read as {other.name}")
    if other.label == "broken":
        raise NotAllowedNow("BROKEN", "it is broken")
    return M.ToyMade(label=other.label)


async def test_whoever_loses_a_race_reads_what_the_newer_state_names() -> None:
    log = MemoryLog()
    slow, fast = process(log), process(log)
    await slow(TOY, RED, cause("red"), partial(make, label="from-red"))
    await slow(TOY, BLUE, cause("blue"), partial(make, label="from-blue"))
    await slow(TOY, ONE, cause("one"), partial(make, label="red"))
    moved = await fast(TOY, ONE, cause("moved"), partial(label, to="blue"))
    done = await slow(TOY, ONE, cause("copy"), copy, reads=named)
    assert done.state.label == "from-blue"
    entry = await log.next(TOY.subject(ONE), moved.revision)
    assert entry is not None
    assert [read.resource for read in Fact.FromString(entry.payload).reads] == [BLUE]


async def test_a_refusal_is_about_what_is_named_now() -> None:
    log = MemoryLog()
    slow, fast = process(log), process(log)
    await slow(TOY, RED, cause("red"), partial(make, label="broken"))
    await slow(TOY, BLUE, cause("blue"), partial(make, label="whole"))
    await slow(TOY, ONE, cause("one"), partial(make, label="red"))
    await fast(TOY, ONE, cause("moved"), partial(label, to="blue"))
    # As far as it knows it would be refused; the log says that it names another one now.
    assert (await slow(TOY, ONE, cause("copy"), copy, reads=named)).state.label == "whole"
    await fast(TOY, ONE, cause("back"), partial(label, to="red"))
    with pytest.raises(NotAllowedNow) as caught:
        await process(log)(TOY, ONE, cause("again"), copy, reads=named)
    assert caught.value.reason == "BROKEN"
