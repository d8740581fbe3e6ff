"""Which facts a pack rests on."""

import pytest

from modelog.known_events import kinds_of
from modelog.packs.paragraphs import BESIDE, KINDS, MARKET, OPERATION, RISK, sorted_out
from modelog.packs.scope import Selection, about, within
from tests.packs.ground import ABOUT_THE_MODEL, BEGIN, ENDPOINT, ENTRIES, MODEL, MONITOR, PROJECT, SELECTION


def revisions(selection: Selection) -> list[int]:
    return [one.revision for one in selection.of(ENTRIES)]


def test_a_model_takes_in_what_names_it_and_the_whole_of_what_is_about_it() -> None:
    """Pausing its rollout, answering its alert and the silence name it nowhere; others' windows are not its own."""
    assert revisions(SELECTION) == ABOUT_THE_MODEL


def test_rules_of_the_project_are_taken_in_where_they_are_asked_for() -> None:
    assert revisions(Selection([PROJECT], names=[MODEL])) == [one for one in ABOUT_THE_MODEL if one != 19]


def test_windows_in_which_all_held_are_only_counted() -> None:
    assert [one.revision for one in SELECTION.whole(ENTRIES)] == sorted([*ABOUT_THE_MODEL, 10])


def test_an_endpoint_takes_in_what_is_below_it() -> None:
    assert revisions(Selection([PROJECT], names=[ENDPOINT])) == [6, 7, 8, 9, 12, 13]


def test_names_that_only_begin_alike_are_others() -> None:
    assert within(MODEL, [MODEL])
    assert within(f"{MODEL}/versions/1", [MODEL])
    assert not within(f"{MODEL}ulent", [MODEL])
    assert [one.revision for one in about(ENTRIES, [f"{MODEL}ulent"])] == [3, 14, 16, 17, 18]


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    def at(revision: int) -> str:
        fact = ENTRIES[revision - 1].fact
        assert fact is not None
        return fact.recorded_at.ToJsonString()

    assert revisions(Selection([PROJECT], names=[MODEL], start=at(4), end=at(8))) == [4, 6, 7]
    assert at(1).startswith("2023-11-14")
    assert ENTRIES[0].fact.recorded_at.seconds == BEGIN + 60 if ENTRIES[0].fact else False


def test_kinds_and_projects_narrow_too() -> None:
    assert revisions(Selection([PROJECT], ["ModelCreated", "RoleGranted"])) == [2, 3, 15]
    assert revisions(Selection(["projects/other"])) == [5]
    assert revisions(Selection([MONITOR])) == [11, 12, 13, 14, 16]
    assert revisions(Selection([])) == []


def test_a_selection_is_the_same_after_a_manifest() -> None:
    whole = Selection(
        (PROJECT,), ("ModelCreated",), (MODEL,), ("PolicySet",), "2023-11-14T22:13:20Z", "2024-01-01T00:00:00Z"
    )
    assert Selection.read(whole.told()) == whole
    for broken in (None, {"start": "yesterday"}, {"projects": 5}):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            Selection.read(broken)


def test_every_kind_of_fact_bears_on_a_point_or_stands_beside() -> None:
    """A new kind of fact has to be put somewhere on purpose; until then it stands beside, where nobody looks."""
    inner = {"Episode", "Judgement"}  # Parts of facts that are declared beside them.
    known = {kind for service in ("registry", "deployment", "monitoring", "archive") for kind in kinds_of(service)}
    placed = frozenset().union(*KINDS.values())
    assert known - placed == inner
    assert not KINDS[BESIDE] & (KINDS[RISK] | KINDS[MARKET] | KINDS[OPERATION])


def test_facts_are_sorted_by_the_points_they_bear_on() -> None:
    found = {point: [one.revision for one in several] for point, several in sorted_out(SELECTION.of(ENTRIES)).items()}
    assert found == {RISK: [2, 4, 8, 12, 19], MARKET: [11, 12, 13, 16], OPERATION: [6, 7, 8, 13, 17, 18], BESIDE: [15]}
