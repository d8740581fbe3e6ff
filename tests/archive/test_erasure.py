"""What may be erased, and what is recorded of it."""

import pytest

from modelog.archive.v1 import erasure_events_pb2 as facts
from modelog.archive.v1 import erasures_pb2 as types
from services.archive.domain import ERASURE
from services.archive.domain.erasure import erase, record
from testkit.scenario import life

NAME = "projects/risk/erasures/dsr-17"
BY_AUTHOR = types.ErasureScope(author="users/ann")
REQUESTED = facts.ErasureRequested(scope=BY_AUTHOR, authority="DSR 17")


def test_an_erasure_is_requested_once() -> None:
    asked = {"project": "projects/risk", "scope": BY_AUTHOR, "authority": "DSR 17"}
    life(ERASURE, NAME).when(erase, **asked).then(REQUESTED)
    life(ERASURE, NAME).given(REQUESTED).when(erase, **asked).then_refused("ERASURE_EXISTS")


@pytest.mark.parametrize(
    ("project", "scope"),
    [
        ("projects/risk", types.ErasureScope()),
        ("projects/risk", types.ErasureScope(resource="projects/other/models/m")),
        ("projects/risk", types.ErasureScope(resource="projects/risk/models")),
        ("projects/all", types.ErasureScope(resource="projects/risk/models/m")),
        ("projects/all", types.ErasureScope(facts=types.ErasedRevisions(revisions=[1]))),
    ],
)
def test_it_says_whose_or_which_texts_of_its_own_project(project: str, scope: types.ErasureScope) -> None:
    life(ERASURE, NAME).when(erase, project=project, scope=scope, authority="x").then_refused("INVALID_REQUEST")


def test_portions_add_up_and_each_is_recorded_once() -> None:
    first = facts.TextsErased(revisions=[1, 2], held_revisions=[3], portion=1, upto_revision=9)
    last = facts.TextsErased(revisions=[5], portion=2, complete=True, upto_revision=9)
    begun = life(ERASURE, NAME, actor="users/kim").given(REQUESTED)
    begun.when(record, portion=1, erased=[1, 2], held=[3], upto=9, complete=False).then(first)
    going = begun.given(first)
    going.when(record, portion=1, erased=[1, 2], held=[3], upto=9, complete=False).then_nothing()
    done = going.given(last)
    done.when(record, portion=2, erased=[5], held=[], upto=9, complete=True).then_nothing()
    state = done.state
    assert (state.erased_count, state.held_count, state.portion_count, state.upto_revision) == (3, 1, 2, 9)
    assert (state.state, state.requested_by, state.authority) == (types.ERASURE_STATE_ERASED, "users/kim", "DSR 17")
    assert state.HasField("complete_time")
