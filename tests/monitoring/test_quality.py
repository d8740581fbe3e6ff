"""Data quality, drift by default, drift of the data set, and accuracy estimated without labels."""

import numpy as np
import pytest

from kernel.errors import Invalid
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate, evaluate_all, reevaluate
from services.monitoring.domain.baseline import baseline_of
from services.monitoring.domain.checking import complete_checks
from services.monitoring.methods import METHODS, track_of
from services.monitoring.performance import count_pairs, text_of
from services.monitoring.profile import capture, count, encode, layout_of, merge
from tests.monitoring.build import INPUT, OUTPUT, check, compared, numbers, profiled, texts

RANDOM = np.random.default_rng(23)
REFERENCE = RANDOM.normal(size=5_000)


def column_of(result: types.CheckResult) -> tuple[float, types.Outcome]:
    return result.columns[0].statistic, result.columns[0].outcome


def test_values_out_of_range_and_unseen_are_shares_of_the_values_there_are() -> None:
    baseline, window = compared(numbers("age", [0.0, 1.0, 2.0]), numbers("age", [-1.0, 1.0, 9.0, 2.0, np.nan]))
    assert column_of(evaluate(check(types.METHOD_OUT_OF_RANGE_SHARE, 0.4), window, baseline)) == (
        0.5,
        types.OUTCOME_FAILED,
    )
    baseline, window = compared(texts("kind", ["a", "b"]), texts("kind", ["a", "c", "", "b", "a"]))
    assert column_of(evaluate(check(types.METHOD_UNSEEN_SHARE, 0.3), window, baseline)) == (0.25, types.OUTCOME_OK)


def test_unseen_categories_are_not_told_where_the_baseline_has_too_many() -> None:
    baseline, window = compared(texts("kind", [f"{at}" for at in range(300)]), texts("kind", ["x"]))
    assert "lists only 256" in evaluate(check(types.METHOD_UNSEEN_SHARE), window, baseline).explanation


def test_a_column_that_became_constant_is_told_and_one_that_always_was_is_not() -> None:
    baseline, window = compared(numbers("age", REFERENCE), numbers("age", [3.0] * 50))
    assert column_of(evaluate(check(types.METHOD_CONSTANT, 0.5), window, baseline)) == (1.0, types.OUTCOME_FAILED)
    baseline, window = compared(numbers("age", [1.0, 1.0]), numbers("age", [3.0] * 50))
    assert column_of(evaluate(check(types.METHOD_CONSTANT, 0.5), window, baseline)) == (0.0, types.OUTCOME_OK)
    baseline, window = compared(texts("kind", ["a", "b"]), texts("kind", ["new"] * 50))
    assert column_of(evaluate(check(types.METHOD_CONSTANT, 0.5), window, baseline)) == (1.0, types.OUTCOME_FAILED)
    _, window = compared(texts("kind", ["a", "b"]), texts("kind", ["new", "newer"] * 50))
    assert column_of(evaluate(check(types.METHOD_CONSTANT, 0.5), window, baseline)) == (0.0, types.OUTCOME_OK)


def test_rows_that_were_there_before_are_duplicates() -> None:
    columns = numbers("age", np.tile(REFERENCE[:500], 4)), texts("kind", ["a", "b"] * 1000)
    result = evaluate(check(types.METHOD_DUPLICATE_SHARE, 0.5), profiled({}, *columns), None)
    assert result.statistic == pytest.approx(0.75, abs=3 * result.error_bound)
    assert 0 < result.error_bound < 0.01
    assert result.outcome == types.OUTCOME_FAILED
    fresh = evaluate(check(types.METHOD_DUPLICATE_SHARE, 0.2), profiled({}, numbers("age", REFERENCE)), None)
    assert fresh.outcome == types.OUTCOME_OK


def test_a_schema_that_changed_is_told_column_by_column() -> None:
    baseline = capture([numbers("age", REFERENCE), texts("kind", ["a"] * 5_000), numbers("score", REFERENCE, OUTPUT)])
    given = [texts("age", ["old"] * 4), numbers("score", [0.1] * 4, OUTPUT), numbers("new", [1.0] * 4)]
    window = count(given, layout_of(baseline), 4)
    result = evaluate(check(types.METHOD_SCHEMA, 0.0), window, baseline)
    assert {one.column: one.outcome for one in result.columns} == {
        "age": types.OUTCOME_FAILED,
        "kind": types.OUTCOME_FAILED,
        "new": types.OUTCOME_FAILED,
        "score": types.OUTCOME_OK,
    }
    assert column_of(evaluate(check(types.METHOD_INVALID_SHARE, 0.1), window, baseline)) == (1.0, types.OUTCOME_FAILED)


def test_columns_that_the_baseline_lacks_are_named_whatever_the_order_of_merging() -> None:
    layout = layout_of(capture([numbers("age", REFERENCE)]))
    parts = [count([numbers(f"x{at:02}", [1.0])], layout, 1) for at in range(40)]
    forth, back = types.ProfileSet(), types.ProfileSet()
    for one, other in zip(parts, reversed(parts), strict=True):
        forth, back = merge(forth, one), merge(back, other)
    assert [one.name for one in forth.unknown_columns] == [f"x{at:02}" for at in range(32)]
    assert encode(forth) == encode(back)


def test_a_window_without_new_rows_is_stale() -> None:
    bounds = types.Window()
    bounds.start_time.FromSeconds(1000)
    bounds.end_time.FromSeconds(1600)
    window = types.ProfileSet(rows=5, newest_microseconds=1_200_000_000)
    stale = check(types.METHOD_FRESHNESS, 300)
    (result,) = evaluate_all([stale], types.TRACK_PREDICTIONS, window, None, bounds)
    assert (result.statistic, result.outcome) == (400.0, types.OUTCOME_FAILED)
    (empty,) = evaluate_all([stale], types.TRACK_PREDICTIONS, types.ProfileSet(), None, bounds)
    assert (empty.statistic, empty.outcome) == (600.0, types.OUTCOME_FAILED)


@pytest.mark.parametrize(
    ("rows", "shift", "method", "outcome"),
    [
        (5_000, 0.0, "wasserstein/1", types.OUTCOME_OK),
        (5_000, 0.5, "wasserstein/1", types.OUTCOME_FAILED),
        (300, 0.0, "kolmogorov-smirnov/2", types.OUTCOME_OK),
        (300, 0.5, "kolmogorov-smirnov/2", types.OUTCOME_FAILED),
    ],
)
def test_drift_of_numbers_is_told_as_suits_their_number(
    rows: int, shift: float, method: str, outcome: types.Outcome
) -> None:
    current = np.random.default_rng(3).normal(size=rows) + shift
    baseline, window = compared(numbers("age", REFERENCE), numbers("age", current))
    result = evaluate(check(types.METHOD_DRIFT, 0.1, bins=10), window, baseline)
    assert (result.outcome, result.columns[0].method) == (outcome, method)


@pytest.mark.parametrize(("many", "method"), [(600, "jensen-shannon/1"), (50, "chi-square/1")])
def test_drift_of_categories_and_of_few_different_numbers_compares_shares(many: int, method: str) -> None:
    for reference, current in (
        (texts("x", ["a", "b"] * 600), texts("x", ["a", "a", "b"] * many)),
        (numbers("x", [0.0, 1.0] * 600), numbers("x", [0.0, 0.0, 1.0] * many)),
    ):
        baseline, window = compared(reference, current)
        result = evaluate(check(types.METHOD_DRIFT, 0.1, bins=10), window, baseline)
        assert (result.outcome, result.columns[0].method) == (types.OUTCOME_FAILED, method)


def test_drift_shows_the_parts_that_changed_most() -> None:
    baseline, window = compared(texts("kind", ["card"] * 900 + ["cash"] * 100), texts("kind", ["cash"] * 1000))
    (column,) = evaluate(check(types.METHOD_DRIFT, 0.1, bins=10), window, baseline).columns
    assert [(one.part, one.before, one.after) for one in column.changes] == [("card", 0.9, 0.0), ("cash", 0.1, 1.0)]
    baseline, window = compared(numbers("age", np.arange(1000.0)), numbers("age", np.full(2000, 5000.0)))
    (column,) = evaluate(check(types.METHOD_DRIFT, 0.1, bins=4), window, baseline).columns
    assert column.changes[0].part.endswith(", inf)")
    assert column.changes[0].after == 1.0


def test_drift_of_the_data_set_is_the_share_of_columns_that_drifted_among_all() -> None:
    random = np.random.default_rng(29)
    names = [f"x{at}" for at in range(40)]
    baseline = capture([numbers(name, random.normal(size=3_000)) for name in names])
    moved = {f"x{at}" for at in range(10)}
    window = profiled(
        layout_of(baseline), *(numbers(name, random.normal(0.5 if name in moved else 0, size=500)) for name in names)
    )
    together = check(types.METHOD_DATASET_DRIFT, 0.2, bins=10)
    result = evaluate(together, window, baseline)
    assert {one.column for one in result.columns if one.outcome == types.OUTCOME_FAILED} >= moved
    assert result.statistic == pytest.approx(0.25, abs=0.05)
    assert result.outcome == types.OUTCOME_FAILED
    same = profiled(layout_of(baseline), *(numbers(name, random.normal(size=500)) for name in names))
    assert evaluate(together, same, baseline).outcome == types.OUTCOME_OK
    assert evaluate(together, types.ProfileSet(), baseline).outcome == types.OUTCOME_NO_DATA


def test_accuracy_is_estimated_from_scores_that_are_probabilities() -> None:
    random = np.random.default_rng(31)
    baseline, window = compared(numbers("p", random.beta(2, 2, 5_000)), numbers("p", random.beta(0.5, 0.7, 4_000)))
    scores = random.beta(0.5, 0.7, 4_000)
    _, window = compared(numbers("p", random.beta(2, 2, 5_000)), numbers("p", scores))
    right = (scores >= 0.5) == (random.uniform(size=4_000) < scores)
    result = evaluate(check(types.METHOD_ESTIMATED_ACCURACY, 0.9, columns=["p"]), window, baseline)
    assert result.statistic == pytest.approx(np.maximum(scores, 1 - scores).mean(), abs=result.error_bound + 1e-6)
    assert result.error_bound < 0.001
    assert result.interval.low <= right.mean() <= result.interval.high
    assert result.outcome == types.OUTCOME_FAILED
    _, odd = compared(numbers("p", REFERENCE), numbers("p", REFERENCE))
    assert "outside 0..1" in evaluate(check(types.METHOD_ESTIMATED_ACCURACY, columns=["p"]), odd, baseline).explanation


def test_scores_that_are_no_probabilities_become_some_by_the_labels_of_the_baseline() -> None:
    random = np.random.default_rng(41)
    chances = random.beta(1, 2, 20_000)
    scores, labels = chances**3, (random.uniform(size=20_000) < chances).astype(float)
    baseline = capture([numbers("p", scores, OUTPUT)])
    pairs = [(text_of(one), text_of(label)) for one, label in zip(scores.tolist(), labels.tolist(), strict=True)]
    uncalibrated = types.ProfileSet()
    uncalibrated.CopyFrom(baseline)
    baseline.performance.CopyFrom(count_pairs(pairs))
    later = random.beta(2, 2, 5_000)
    window = profiled(layout_of(baseline), numbers("p", later**3, OUTPUT))
    estimate = check(types.METHOD_ESTIMATED_ACCURACY, 0.5, columns=["p"])
    expected = np.where(later**3 >= 0.5, later, 1 - later).mean()
    assert evaluate(estimate, window, baseline).statistic == pytest.approx(expected, abs=0.005)
    assert abs(evaluate(estimate, window, uncalibrated).statistic - expected) > 0.05


def test_profiles_from_before_sums_were_kept_still_compare() -> None:
    baseline, window = compared(numbers("age", REFERENCE), numbers("age", REFERENCE + 1))
    for one in (*baseline.columns,):
        one.ClearField("distinct")
        for field in ("offsets", "sum_below", "sum_above"):
            one.numbers.ClearField(field)
    assert evaluate(check(types.METHOD_PSI), window, baseline).outcome == types.OUTCOME_FAILED
    assert "capture it again" in evaluate(check(types.METHOD_WASSERSTEIN), window, baseline).explanation
    assert evaluate(check(types.METHOD_DRIFT, bins=10), window, baseline).columns[0].method == "jensen-shannon/1"
    assert not merge(window, baseline).columns[0].numbers.offsets


@pytest.mark.parametrize("offsets", [[0], [-1, 0], [1 << 40, 0]])
def test_a_baseline_whose_sums_cannot_be_is_refused(offsets: list[int]) -> None:
    profiles = capture([numbers("age", [1.0, 2.0], INPUT)])
    assert len(profiles.columns[0].numbers.counts) == 2
    profiles.columns[0].numbers.offsets[:] = offsets
    with pytest.raises(Invalid, match="offset"):
        baseline_of(profiles, digest="d", description="")


@pytest.mark.parametrize("counts", [[(3, 0, 0)], [(-1, 1, 1)], [(5, 1, 1), (4, 1, 1)], [(1 << 30, 1, 1)], [(3, -1, 5)]])
def test_a_baseline_whose_scores_cannot_be_is_refused(counts: list[tuple[int, int, int]]) -> None:
    profiles = capture([numbers("p", [0.1, 0.2], OUTPUT)])
    for part, positives, negatives in counts:
        profiles.performance.scores.counts.add(part=part, positives=positives, negatives=negatives)
    with pytest.raises(Invalid, match="scores"):
        baseline_of(profiles, digest="d", description="")


@pytest.mark.parametrize("method", [one for one in METHODS if one < types.METHOD_PAGE_HINKLEY])
def test_no_numbers_break_a_method(method: types.Method) -> None:
    """A window that cannot be judged would hold up all others."""
    odd = [0.0, -0.0, 5e-324, -1.7e308, 1.7e308, 1.7e308, np.nan, np.inf, 1e70, -1e-70]
    (one,) = complete_checks([types.Check(id="c", method=method, columns=["x"] * METHODS[method].by_column)])
    one.minimum_rows = 1
    baseline, window = compared(numbers("x", odd), numbers("x", [*odd[::-1], 3.0]))
    pairs = [(text_of(a), text_of(b)) for a in odd for b in odd]
    window.performance.CopyFrom(count_pairs(pairs))
    for given in (window, types.ProfileSet()):
        for against in (baseline, window, None):
            assert evaluate(one, given, against).outcome != types.OUTCOME_UNSPECIFIED


def test_every_method_can_be_computed_again_to_the_bit() -> None:
    columns = {types.METHOD_ESTIMATED_ACCURACY: ["age"]}
    checks = complete_checks(
        types.Check(id=f"c{method}", method=method, threshold=0.5, columns=columns.get(method, []), minimum_rows=1)
        for method in METHODS
        if method < types.METHOD_PAGE_HINKLEY
    )
    baseline, window = compared(numbers("age", REFERENCE), numbers("age", np.abs(REFERENCE[:900]) / 10))
    meant = [one for one in checks if track_of(one) == types.TRACK_PREDICTIONS]
    results = evaluate_all(meant, types.TRACK_PREDICTIONS, window, baseline)
    fact = facts.WindowEvaluated(window=types.Window(track=types.TRACK_PREDICTIONS), results=results)
    stored = types.ProfileSet.FromString(encode(window)), types.ProfileSet.FromString(encode(baseline))
    assert reevaluate(fact, *stored) == results
    assert len(results) > 15
