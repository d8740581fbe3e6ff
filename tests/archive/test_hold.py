"""Legal holds."""

import pytest

from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import types_pb2 as types
from services.archive.domain import HOLD
from services.archive.domain.hold import covers, place, release
from testkit.scenario import life

NAME = "projects/risk/holds/case-17"
MODEL = "projects/risk/models/fraud"
PLACED = facts.HoldPlaced(resources=[MODEL, "projects/risk/records/old-1"], title="Case 17", authority="court")


def placing(*resources: str) -> dict[str, object]:
    return {"project": "projects/risk", "resources": resources, "title": "Case 17", "authority": "court"}


def test_a_hold_is_placed_once() -> None:
    life(HOLD, NAME).when(place, **placing("projects/risk/records/old-1", MODEL)).then(PLACED)
    life(HOLD, NAME).given(PLACED).when(place, **placing(MODEL)).then_refused("HOLD_EXISTS")


@pytest.mark.parametrize(
    "resource",
    ["projects/other/models/x", "projects/risky", "projects/risk/models", "projects/risk/models/UPPER", "x", ""],
)
def test_a_hold_covers_resources_of_its_own_project(resource: str) -> None:
    life(HOLD, NAME).when(place, **placing(MODEL, resource)).then_refused("INVALID_REQUEST")


def test_a_hold_is_released_once_and_stays_as_history() -> None:
    life(HOLD, NAME).when(release).then_refused("HOLD_NOT_FOUND")
    held = life(HOLD, NAME, actor="users/ada").given(PLACED)
    held.when(release).then(facts.HoldReleased())
    released = held.given(facts.HoldReleased(), by="users/bob")
    released.when(release).then_nothing()
    state = released.state
    assert (state.state, state.placed_by, state.released_by) == (types.HOLD_STATE_RELEASED, "users/ada", "users/bob")
    assert state.release_time == state.update_time
    assert list(state.resources) == list(PLACED.resources)


def test_a_hold_covers_what_is_below_while_it_is_active() -> None:
    held = life(HOLD, NAME).given(PLACED)
    assert covers(held.state, MODEL)
    assert covers(held.state, MODEL + "/versions/3")
    assert not covers(held.state, MODEL + "-2/versions/3")
    assert not covers(held.state, "projects/risk")
    assert not covers(held.given(facts.HoldReleased()).state, MODEL)
