"""How rows are cut into windows, by count and by event time."""

from collections.abc import Sequence
from typing import Any

import pytest

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.windows import MICROSECONDS, Lane, Plan, Rows

S = MICROSECONDS


def plan(*, rows: int = 0, seconds: int = 0, lateness: int = 0, digest: str = "d") -> Plan:
    spec = types.WindowSpec(size_rows=rows, size_seconds=seconds, lateness_seconds=lateness)
    return Plan("m", spec, digest, {}, "", frozenset({types.TRACK_PREDICTIONS}))


def rows(count: int, at: int = 0, position: int = 1, **losses: Any) -> Rows:
    """`count` rows answered from second `at` to the one after."""
    return Rows(
        count, at * S, (at + 1) * S, position, lambda start, stop: types.ProfileSet(rows=stop - start), **losses
    )


def lane() -> Lane:
    return Lane("m", "v", types.TRACK_PREDICTIONS)


def shape(one: Lane) -> list[tuple[int, bool]]:
    return [(window.profiles.rows, window.closed) for window in one.windows]


def bounds(one: Lane) -> Sequence[tuple[float, float, int, bool]]:
    return [(w.start / S, w.end / S, w.profiles.rows, w.closed) for w in one.windows]


def test_windows_by_count_hold_exactly_their_rows_whatever_the_batches() -> None:
    one = lane()
    for position, size in enumerate([7, 1, 25, 3], start=1):
        one.add(plan(rows=10), rows(size, position=position))
    assert shape(one) == [(10, True), (10, True), (10, True), (6, False)]
    assert [(w.position, w.offset) for w in one.windows] == [(1, 0), (3, 2), (3, 12), (3, 22)]


def test_losses_count_once_even_when_a_batch_fills_several_windows() -> None:
    one = lane()
    one.add(plan(rows=10), rows(25, dropped_rows=3, failed_requests=2))
    assert [(w.profiles.dropped_rows, w.profiles.failed_requests) for w in one.windows] == [(3, 2), (0, 0), (0, 0)]


def test_failures_without_a_single_answer_open_a_window() -> None:
    one = lane()
    one.add(plan(rows=10), rows(0, failed_requests=5))
    one.add(plan(rows=10), rows(4, at=3))
    assert [(w.profiles.rows, w.profiles.failed_requests) for w in one.windows] == [(4, 5)]
    assert (one.windows[0].start, one.windows[0].end) == (0, 4 * S)


def test_windows_by_time_are_aligned_and_close_when_event_time_has_passed() -> None:
    one = lane()
    for at in (61, 75, 119):
        one.add(plan(seconds=60), rows(1, at=at))
    assert bounds(one) == [(60, 120, 3, False)]
    one.add(plan(seconds=60), rows(1, at=120))
    assert bounds(one) == [(60, 120, 3, True), (120, 180, 1, False)]


def test_lateness_keeps_a_window_open_beside_the_next() -> None:
    one = lane()
    one.add(plan(seconds=60, lateness=30), rows(1, at=70))
    one.add(plan(seconds=60, lateness=30), rows(1, at=140))
    one.add(plan(seconds=60, lateness=30), rows(1, at=110))
    assert bounds(one) == [(60, 120, 2, False), (120, 180, 1, False)]
    one.add(plan(seconds=60, lateness=30), rows(1, at=150))
    assert bounds(one) == [(60, 120, 2, True), (120, 180, 2, False)]


def test_rows_that_come_too_late_are_told_by_the_window_that_closes_next() -> None:
    one = lane()
    one.add(plan(seconds=60), rows(1, at=70))
    one.add(plan(seconds=60), rows(1, at=130))
    one.add(plan(seconds=60), rows(4, at=100))
    assert one.late_rows == 4
    one.add(plan(seconds=60), rows(1, at=200))
    assert [(w.profiles.rows, w.profiles.late_rows) for w in one.windows] == [(1, 0), (1, 4), (1, 0)]
    assert one.late_rows == 0


def test_the_clock_closes_what_event_time_does_not() -> None:
    one = lane()
    one.add(plan(seconds=60, lateness=5), rows(1, at=70))
    one.close_until(plan(seconds=60, lateness=5), 124 * S)
    assert bounds(one) == [(60, 120, 1, False)]
    one.close_until(plan(seconds=60, lateness=5), 125 * S)
    assert bounds(one) == [(60, 120, 1, True)]


def test_a_quiet_version_has_one_empty_window_however_long_it_was_quiet() -> None:
    one = lane()
    one.add(plan(seconds=60), rows(1, at=70))
    for now in (125, 185, 1_000):
        one.close_until(plan(seconds=60), now * S)
        one.close_empty(plan(seconds=60), now * S, answering=True)
    assert bounds(one) == [(60, 120, 1, True), (120, 180, 0, True), (900, 960, 0, True)]


@pytest.mark.parametrize("answering", [True, False])
def test_windows_before_a_lane_began_are_not_its_own(answering: bool) -> None:
    one = lane()
    one.close_empty(plan(seconds=60), 500 * S, answering=answering)
    assert bounds(one) == []
    assert one.closed_until == 480 * S


def test_a_version_that_does_not_answer_has_no_empty_windows() -> None:
    one = lane()
    one.close_empty(plan(seconds=60), 100 * S, answering=True)
    one.close_empty(plan(seconds=60), 500 * S, answering=False)
    one.close_empty(plan(seconds=60), 530 * S, answering=True)
    assert bounds(one) == []
    one.close_empty(plan(seconds=60), 545 * S, answering=True)
    assert bounds(one) == [(480, 540, 0, True)]


def test_a_window_that_took_other_terms_is_closed_as_it_is() -> None:
    one = lane()
    one.add(plan(rows=10, digest="old"), rows(4, position=1))
    one.add(plan(rows=10, digest="new"), rows(4, position=2))
    assert shape(one) == [(4, True), (4, False)]
    assert [w.baseline_digest for w in one.windows] == ["old", "new"]
    one.close_until(plan(seconds=5), 0)
    assert shape(one) == [(4, True), (4, True)]


def test_replaying_the_same_batches_makes_the_same_windows() -> None:
    batches = [rows(size, at=size * 7 % 50, position=place) for place, size in enumerate([3, 9, 14, 1, 30], start=1)]
    lanes = lane(), lane()
    for one in lanes:
        for each in batches:
            one.add(plan(rows=8), each)
    assert lanes[0] == lanes[1]
