"""Registers: the same for the same values however they come, and near the true number of different ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import sketches
from tests.monitoring.build import numbers, profiled, texts

LISTS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=50)


def registers_of(values: list[float]) -> types.Registers:
    return sketches.counted(sketches.hashes_of_numbers(np.array(values, dtype=np.float64)))


@given(LISTS, LISTS)
def test_registers_unite_to_those_of_all_values_in_any_order(one: list[float], other: list[float]) -> None:
    united = sketches.united(registers_of(one), registers_of(other))
    assert united == sketches.united(registers_of(other), registers_of(one)) == registers_of(other + one)
    assert sketches.united(united, united) == united


@pytest.mark.parametrize("distinct", [0, 1, 2, 10, 500, 3_000, 20_000, 400_000])
def test_the_estimate_is_within_three_standard_errors(distinct: int) -> None:
    hashes = sketches.hashes_of_numbers(np.repeat(np.arange(distinct, dtype=np.float64), 2))
    found = sketches.estimate(sketches.counted(hashes))
    assert abs(found - distinct) <= 3 * sketches.STANDARD_ERROR * distinct


def test_the_estimate_is_unbiased_over_many_sets() -> None:
    random = np.random.default_rng(3)
    draws = [sketches.mixed(random.integers(0, 2**64, 5_000, np.uint64)) for _ in range(60)]
    ratios = [sketches.estimate(sketches.counted(one)) / 5_000 for one in draws]
    assert np.mean(ratios) == pytest.approx(1.0, abs=4 * sketches.STANDARD_ERROR / math.sqrt(60))


def test_leaving_out_hashes_that_cannot_matter_changes_no_register() -> None:
    random = np.random.default_rng(5)
    hashes = sketches.mixed(random.integers(0, 2**64, 300_000, np.uint64))
    in_parts = types.Registers()
    for part in np.array_split(hashes, 20):  # Too few at a time for any to be left out.
        in_parts = sketches.united(in_parts, sketches.counted(part))
    assert sketches.counted(hashes) == in_parts


def test_a_register_that_gets_no_candidate_still_holds_its_own() -> None:
    """All hashes but one fall into other registers, and that one begins with a set bit."""
    few = np.arange(200_000, dtype=np.uint64)
    lonely = np.array([(7 << 53) | (1 << 52)], dtype=np.uint64)
    found = sketches.counted(np.append(few, lonely))
    assert found == sketches.united(sketches.counted(few), sketches.counted(lonely))
    assert found != sketches.counted(few)


def test_hashes_are_the_same_on_every_machine() -> None:
    """Profiles of old facts were counted by them."""
    assert sketches.hashes_of_numbers(np.array([0.0, -0.0, 1.5])).tolist() == [
        0xE220A8397B1DCDAF,
        0xE220A8397B1DCDAF,
        0xD6DAB18E1392608A,
    ]
    assert sketches.hashes_of_texts(["card", "", "card"]).tolist() == [
        0x60781DBC780721E8,
        0xB4B2797457A0A6E4,
        0x60781DBC780721E8,
    ]


def test_rows_are_duplicates_when_every_input_is_the_same() -> None:
    ages, kinds = [1.0, 1.0, 1.0, math.nan] * 100, ["a", "a", "b", ""] * 100
    whole = profiled({}, numbers("age", ages), texts("kind", kinds))
    assert sketches.estimate(whole.distinct_rows) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize(
    "given", [b"\0", b"\0" * 2047, b"\xff\xff\x01", b"\0\x01\0", b"\0\x02\x01\0\x01\x01", b"\xff" * 2048]
)
def test_registers_from_outside_that_are_not_as_ours_are_told(given: bytes) -> None:
    assert not sketches.is_sound(types.Registers(registers=given))


def test_our_own_registers_are_sound() -> None:
    for many in (0, 5, 681, 10_000):
        assert sketches.is_sound(registers_of(list(map(float, range(many)))))
