"""Random rules, holds, versions and times, with others writing between every look and what follows from it.

Nothing that is held ever goes, nothing goes before its time or by another rule than the first, what is due goes, and a
rebuild is what was live.
"""

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from kernel.folding import Folding
from modelog.archive.v1 import retention_events_pb2 as facts
from services.archive.domain import KINDS
from services.archive.domain.record import record_name
from tests.archive.expiring_world import CHOICES, World, do

NUMBERS = (1, 2, 3)

numbers, ids = st.sampled_from(NUMBERS), st.sampled_from(["a", "b", "c"])
uses, filters = st.sampled_from(["", "credit", "debit"]), st.sampled_from(list(CHOICES))
covered = st.sampled_from(
    ["", "models/fraud", "models/other", "models/fraud/versions/2", "records/fraud-1", "models/fraud/versions/3"]
)
writes = st.one_of(
    st.tuples(st.just("rule"), ids, filters, st.integers(0, 2), st.sampled_from([0, 1, 5, 30])),
    st.tuples(st.just("unrule"), ids),
    st.tuples(st.just("hold"), st.sampled_from("abcdefgh"), covered, filters),
    st.tuples(st.just("unhold"), st.sampled_from("abcdefgh")),
    st.tuples(st.just("tag"), numbers, st.sampled_from(["credit", "debit"])),
    st.tuples(st.just("bring_back"), numbers),
)
lives = st.one_of(
    st.tuples(st.just("register"), numbers, uses, st.booleans()),
    st.tuples(st.just("retire"), numbers),
)
waits = st.tuples(st.just("wait"), st.sampled_from([0, 1, 4, 29, 30]))
looks = st.tuples(st.just("look"), st.lists(writes, max_size=4))
rounds = st.tuples(st.lists(st.one_of(writes, lives), max_size=3), waits, looks)
short = st.tuples(st.just("rule"), ids, filters, st.just(1), st.sampled_from([5, 30]))
BEGUN = [("register", 1, "credit", True), ("register", 2, "", False), ("register", 3, "debit", True)]
ENDED = [*BEGUN, ("retire", 1), ("retire", 2), ("retire", 3), ("wait", 4)]


def rebuilt(world: World) -> dict[str, bytes]:
    folding = Folding("archive", KINDS, projected=())
    items = folding.read(world.log)
    for kind, names in folding.missing(items, trust_first=False).items():
        folding.hold(kind, names, {})
    batch = folding.fold(items)
    assert not batch.quarantined
    return {name: row.body for rows in batch.newest.values() for name, row in rows.items()}


@settings(max_examples=400, deadline=None)
@given(short, st.lists(rounds, min_size=1, max_size=6))
def test_nothing_held_ever_goes_and_a_rebuild_is_what_was_live(first: Any, sequence: list[Any]) -> None:
    world = World()
    for step in [*ENDED, first, *(one for before, *later in sequence for one in [*before, *later]), ("look", [])]:
        do(world, step)
    withdrawn = sum(facts.RecordExpiryWithdrawn.DESCRIPTOR.full_name.encode() in one.payload for one in world.log)
    event(f"erased {len(world.gone)}, withdrawn {withdrawn}")
    for one in world.versions.values():
        assert not world.due(one), "what is due goes at the next look"
    assert rebuilt(world) == {
        name: state.SerializeToString(deterministic=True) for name, state in world.states.items() if state.name
    }
    told = [one for one in world.states.values() if "/records/" in one.name and one.HasField("erase_time")]
    assert {one.name for one in told} == world.gone


def test_a_hold_that_comes_between_looking_and_recording_wins() -> None:
    world = World()
    for step in [*ENDED, ("rule", "a", "", 0, 1), ("look", [("hold", "a", "", "tags.use = credit")])]:
        do(world, step)
    records = [world.states[record_name(world.versions[one].name)] for one in NUMBERS]
    assert [one.HasField("erase_time") for one in records] == [False, True, True]
    assert [one.generation for one in records] == [4, 4, 4], "the first one expired, and that was withdrawn"
