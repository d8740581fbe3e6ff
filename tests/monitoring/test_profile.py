"""Profiles add up: any split of the rows, in any order, gives the same bytes."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import exact_sums, mean_of, number_of, value_of, variance_of
from services.monitoring.performance import MOST_CELLS, count_pairs, merge_performance, text_of
from services.monitoring.profile import capture, digest_of, edges_of, encode, layout_of, merge
from tests.monitoring.build import INPUT, numbers, profiled, texts

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.one_of(st.floats(), st.integers(-5, 5).map(float), st.sampled_from([0.0, -0.0, 5e-324, 1e308]))
WORDS = st.sampled_from(["", "card", "cash", "wire", "cheque", "a" * 300])

BASELINE = capture([numbers("x", np.random.default_rng(1).normal(size=2_000))])
LAYOUT = layout_of(BASELINE)
KINDS = capture([texts("kind", ["card"] * 3 + ["cash"] * 2 + ["wire"])])


@given(st.lists(FINITE, max_size=40))
def test_sums_do_not_round(values: list[float]) -> None:
    total, squares = exact_sums(np.array(values, dtype=np.float64))
    assert value_of(total) == sum(map(Fraction, values))
    assert value_of(squares) == sum(Fraction(value) ** 2 for value in values)


def test_sums_do_not_round_over_many_rows_of_all_sizes() -> None:
    random = np.random.default_rng(4)
    values = random.normal(size=100_000) * 10.0 ** random.integers(-30, 30, size=100_000)
    total, squares = exact_sums(values)
    fractions = [Fraction(value) for value in values.tolist()]
    assert value_of(total) == sum(fractions)
    assert value_of(squares) == sum(one * one for one in fractions)


@given(st.integers(-(2**90), 2**90), st.integers(-200, 200))
def test_a_number_has_one_form(mantissa: int, exponent: int) -> None:
    value = Fraction(mantissa) * Fraction(2) ** exponent
    number = number_of(value)
    assert value_of(number) == value
    if mantissa:
        assert int.from_bytes(number.mantissa, "big", signed=True) % 2
    else:
        assert number == types.ExactNumber()


def test_moments_are_numpys() -> None:
    values = np.random.default_rng(2).normal(1e9, 1.0, size=5_000)
    profile = capture([numbers("x", values)]).columns[0].numbers
    assert mean_of(profile) == pytest.approx(values.mean(), rel=1e-14)
    assert variance_of(profile) == pytest.approx(float(np.var(values - 1e9, ddof=1)), rel=1e-9)


def test_moments_of_too_few_values_are_not_numbers() -> None:
    assert math.isnan(mean_of(types.NumberProfile()))
    assert math.isnan(variance_of(capture([numbers("x", [1.0])]).columns[0].numbers))


@settings(max_examples=60)
@given(st.lists(st.lists(ANY, max_size=12), min_size=1, max_size=5), st.randoms())
def test_any_split_and_order_of_numbers_gives_the_same_bytes(parts: list[list[float]], random: object) -> None:
    whole = profiled(LAYOUT, numbers("x", [value for part in parts for value in part]))
    random.shuffle(parts)  # type: ignore[attr-defined]
    merged = types.ProfileSet()
    for part in parts:
        merged = merge(merged, profiled(LAYOUT, numbers("x", part)))
    assert encode(merged) == encode(whole)


@settings(max_examples=60)
@given(st.lists(st.lists(WORDS, max_size=12), min_size=3, max_size=3))
def test_merging_categories_is_associative_and_commutative(parts: list[list[str]]) -> None:
    a, b, c = (profiled(layout_of(KINDS), texts("kind", part)) for part in parts)
    assert encode(merge(merge(a, b), c)) == encode(merge(a, merge(b, c)))
    assert encode(merge(a, b)) == encode(merge(b, a))


def test_every_value_is_counted_once() -> None:
    values = [math.nan, math.inf, -math.inf, -1e9, 1e9, 0.0]
    profile = profiled(LAYOUT, numbers("x", values)).columns[0]
    assert (profile.rows, profile.missing, profile.invalid) == (6, 1, 2)
    assert (profile.numbers.below, profile.numbers.above, sum(profile.numbers.counts)) == (1, 1, 1)
    assert (profile.numbers.minimum, profile.numbers.maximum) == (-1e9, 1e9)


def test_categories_the_baseline_does_not_know_are_unseen() -> None:
    profile = profiled(layout_of(KINDS), texts("kind", ["cash", "", "barter", "cash"])).columns[0]
    assert [(one.value, one.count) for one in profile.categories.categories] == [("card", 0), ("cash", 2), ("wire", 0)]
    assert (profile.missing, profile.categories.unseen) == (1, 1)


def test_a_baseline_keeps_its_most_frequent_categories_and_counts_the_rest() -> None:
    words = [f"w{index:03}" for index in range(300) for _ in range(300 - index)]
    profile = capture([texts("kind", words)]).columns[0].categories
    assert len(profile.categories) == 256
    assert profile.other == sum(300 - index for index in range(256, 300))
    assert profile.unseen == 0


def test_edges_are_values_of_the_baseline_with_equal_shares_between_them() -> None:
    values = np.random.default_rng(6).lognormal(size=10_000)
    edges = edges_of(values)
    assert len(edges) == 256
    assert set(edges[:-1]) <= set(values.tolist())
    counts = capture([numbers("x", values)]).columns[0].numbers.counts
    assert max(counts) <= 41  # 10,000 rows over 254 parts, rounded up, and the edge itself.


def test_few_distinct_values_get_a_part_each() -> None:
    profile = capture([numbers("x", [3.0, 1.0, 2.0, 3.0, 3.0])]).columns[0].numbers
    assert list(profile.counts) == [1, 1, 3]


@pytest.mark.parametrize("value", [0.0, -0.0, 7.5, 1.7976931348623157e308])
def test_a_constant_column_has_one_part(value: float) -> None:
    profile = capture([numbers("x", [value] * 5)]).columns[0].numbers
    assert list(profile.counts) == [5]


def test_a_column_that_the_rows_lack_is_missing_and_one_of_another_kind_is_invalid() -> None:
    profile = profiled(LAYOUT, numbers("z", [1.0, 2.0])).columns[0]
    assert (profile.name, profile.missing) == ("x", 2)
    assert profiled(LAYOUT, texts("x", ["a", "b", ""])).columns[0].invalid == 3


def test_without_a_baseline_only_missing_and_invalid_values_are_counted() -> None:
    counted = profiled({}, numbers("x", [1.0, math.nan, math.inf]), texts("kind", ["a", "", "b"]))
    assert [(one.name, one.missing, one.invalid) for one in counted.columns] == [("kind", 1, 0), ("x", 1, 1)]
    assert all(one.WhichOneof("values") is None for one in counted.columns)


def test_profiles_of_different_baselines_do_not_merge() -> None:
    other = capture([numbers("x", [1.0, 2.0])])
    with pytest.raises(ValueError, match="edges"):
        merge(BASELINE, other)
    with pytest.raises(ValueError, match="same way"):
        merge(BASELINE, capture([texts("x", ["a"])]))


def test_the_digest_is_that_of_the_bytes_of_golden_profiles() -> None:
    """Facts name profiles by this digest: a change would make every recorded window impossible to compute again."""
    captured = capture([numbers("age", [1.0, 2.0, 2.0, 40.5]), texts("kind", ["a", "b", "a", ""], INPUT)])
    assert digest_of(encode(captured)) == "59791c588e022d6b3c07dabedc402a7d3866e168a8bf92551b8b4919ab56e978"


def test_performance_keeps_the_same_cells_however_it_is_merged() -> None:
    pairs = [(f"p{index % 50:02}", f"l{index % 41:02}") for index in range(6_000)]
    whole = count_pairs(pairs)
    merged = types.Performance()
    for start in range(0, len(pairs), 700):
        merge_performance(merged, count_pairs(pairs[start : start + 700]))
    assert len(whole.confusion) == MOST_CELLS
    assert whole.other > 0
    assert merged == whole
    assert sum(one.count for one in whole.confusion) + whole.other == whole.pairs == 6_000


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (0.5, "0.5"), (-3.0, "-3"), ("fraud", "fraud"), (math.nan, ""), (1e300, "1e+300")]
)
def test_one_value_has_one_text(value: float | str, text: str) -> None:
    assert text_of(value) == text
