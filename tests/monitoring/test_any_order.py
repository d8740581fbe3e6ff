"""Whatever way rows come, in order or late within the lateness, whole or split: the windows are the same."""

from random import Random
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.profile import capture, encode, layout_of
from services.monitoring.segments import Segments, values_of
from services.monitoring.sliding import window_of
from services.monitoring.telemetry.batches import Predictions
from services.monitoring.telemetry.rows import part_of, rows_of
from services.monitoring.windows import MICROSECONDS, Lane, Plan
from tests.monitoring.build import ENDPOINT, MONITOR, VERSION, numbers, texts

LATENESS = 20
LAYOUT = layout_of(capture([numbers("age", np.arange(100.0)), texts("country", ["DE", "FR"] * 50)]))
Windows = dict[tuple[str, int, int], bytes]


class Came(NamedTuple):
    """Some rows of one moment, in seconds, and how much later than it they came."""

    at: int
    delay: int
    rows: list[tuple[float, str]]


ROWS = st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["DE", "FR", "IT", ""])), min_size=1, max_size=6)
CAME = st.lists(st.builds(Came, st.integers(100, 300), st.integers(0, LATENESS - 1), ROWS), min_size=1, max_size=25)
SPECS = st.sampled_from(
    [
        types.WindowSpec(size_seconds=10, lateness_seconds=LATENESS),
        types.WindowSpec(size_seconds=60, step_seconds=15, lateness_seconds=LATENESS),
    ]
)


def filled(spec: types.WindowSpec, came: list[Came]) -> Windows:
    """Windows of all rows and of each country, by segment and bounds, once telemetry of much later has come."""
    plan = Plan(MONITOR, spec, "", LAYOUT, "", frozenset({types.TRACK_PREDICTIONS}))
    lanes: dict[str, Lane] = {}
    segments = Segments([])
    end = Came(10_000, 0, [(1.0, one) for one in ("DE", "FR", "IT")])
    for position, one in enumerate([*came, end], start=1):
        columns = [numbers("age", [age for age, _ in one.rows]), texts("country", [name for _, name in one.rows])]
        at = one.at * MICROSECONDS
        told = Predictions(f"b{position}", ENDPOINT, VERSION, at, at, len(one.rows), (), columns, 0, 0)
        parts = [("", told)]
        split = segments.split("country", values_of("country", columns))
        parts += [(segment, part_of(told, places)) for segment, places in split]
        for segment, part in parts:
            lane = lanes.setdefault(segment, Lane(MONITOR, VERSION, types.TRACK_PREDICTIONS, segment=segment))
            lane.add(plan, rows_of(plan, part, position))
    windows: Windows = {}
    for segment, lane in lanes.items():
        assert not lane.late_rows
        for window in lane.windows:
            window.settle()
        closed = sorted((one for one in lane.windows if one.closed), key=lambda one: one.end)
        for at in range(len(closed)):
            made = window_of(spec, closed[: at + 1])
            assert made is not None
            windows[segment, made.start, made.end] = encode(made.profiles)
    return windows


@settings(max_examples=60, deadline=None)
@given(SPECS, CAME, st.randoms(use_true_random=False))
def test_any_order_within_the_lateness_and_any_split_give_the_same_windows(
    spec: types.WindowSpec, came: list[Came], random: Random
) -> None:
    in_order = sorted(came, key=lambda one: one.at)
    late = sorted(came, key=lambda one: one.at + one.delay)
    halves = [one._replace(rows=part) for one in late for part in _cut(one.rows, random.randint(0, len(one.rows)))]
    assert filled(spec, late) == filled(spec, in_order) == filled(spec, halves)


def _cut(rows: list[tuple[float, str]], at: int) -> list[list[tuple[float, str]]]:
    return [one for one in (rows[:at], rows[at:]) if one]
