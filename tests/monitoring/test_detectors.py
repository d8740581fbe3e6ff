"""Detectors against what river found in the same streams (`make oracle-monitoring`), and what they find at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.monitoring.detectors import Adwin, Ddm, PageHinkley
from tests.oracle.streams import CHANGE, all_streams, errors_step, normal_step

TOLD = json.loads((Path(__file__).parents[1] / "oracle" / "detectors.json").read_text(encoding="utf-8"))
OURS: dict[str, Callable[[], Any]] = {
    "adwin": Adwin,
    "adwin every value": lambda: Adwin(every=1),
    "page-hinkley": PageHinkley,
    "page-hinkley strict": lambda: PageHinkley(20.0, 0.1, 0.9999, 10),
    "ddm": Ddm,
}


def changes(make: Callable[[], Any], stream: list[float]) -> list[int]:
    """Where a detector sees a change, if it begins anew after each as river's do."""
    found, detector = [], make()
    for place, value in enumerate(stream):
        if detector.update(value):
            found.append(place)
            detector = make()
    return found


@pytest.mark.parametrize("name", OURS)
def test_changes_are_seen_where_river_sees_them(name: str) -> None:
    cases = [one for one in TOLD["cases"] if one["detector"] == name]
    streams = {seed: all_streams(seed) for seed in {one["seed"] for one in cases}}
    assert any(one["changes"] for one in cases)
    for one in cases:
        assert changes(OURS[name], streams[one["seed"]][one["stream"]]) == one["changes"], one


def test_adwin_forgets_what_was_before_the_change_and_keeps_the_rest() -> None:
    detector = Adwin(every=1)
    stream = normal_step(1, 1.0)
    seen = [place for place, value in enumerate(stream) if detector.update(value)]
    assert min(seen) > CHANGE
    assert detector.width < len(stream) - CHANGE + 100
    assert detector.mean == pytest.approx(1.0, abs=0.15)


def test_adwin_keeps_few_buckets_however_many_values_come() -> None:
    detector = Adwin()
    for value in normal_step(2, 0.0) * 10:
        detector.update(value)
    assert sum(map(len, detector.rows)) <= 5 * 15
    assert detector.mean == pytest.approx(0.0, abs=0.05)


def test_ddm_takes_counts_as_well_as_single_answers() -> None:
    one, counted = Ddm(), Ddm()
    stream = errors_step(3, 0.1, 0.1)[:200]
    for value in stream:
        one.update(value)
    counted.update(sum(stream), len(stream))
    assert (one.values, one.errors) == (counted.values, counted.errors)


def test_the_same_values_give_the_same_answers() -> None:
    stream = normal_step(4, 0.7)
    for make in OURS.values():
        if make is not Ddm:
            assert changes(make, stream) == changes(make, stream)
