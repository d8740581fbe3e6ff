"""What checks say about windows, beside the numbers themselves."""

import numpy as np
import pytest

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate, evaluate_all
from services.monitoring.performance import count_pairs
from services.monitoring.profile import capture, encode, layout_of, merge
from tests.monitoring.build import OUTPUT, check, compared, numbers, profiled, texts

RANDOM = np.random.default_rng(8)
REFERENCE = RANDOM.normal(size=5_000)
SAME = RANDOM.normal(size=2_000)
SHIFTED = SAME + 1.0
PSI = check(types.METHOD_PSI)


def test_drift_fails_beyond_its_threshold_and_not_before() -> None:
    baseline, same = compared(numbers("age", REFERENCE), numbers("age", SAME))
    _, shifted = compared(numbers("age", REFERENCE), numbers("age", SHIFTED))
    assert evaluate(PSI, same, baseline).outcome == types.OUTCOME_OK
    result = evaluate(PSI, shifted, baseline)
    assert (result.outcome, result.column) == (types.OUTCOME_FAILED, "age")
    assert result.statistic > 0.5
    assert result.method == "psi/1"
    assert result.check == PSI


def test_values_outside_the_baselines_range_are_drift() -> None:
    baseline, window = compared(numbers("age", REFERENCE), numbers("age", np.full(500, 1e6)))
    assert evaluate(PSI, window, baseline).outcome == types.OUTCOME_FAILED
    smirnov = evaluate(check(types.METHOD_KOLMOGOROV_SMIRNOV), window, baseline)
    assert smirnov.statistic == 1.0
    assert smirnov.columns[0].p_value < 1e-9


def test_an_unseen_category_is_drift() -> None:
    baseline, window = compared(texts("kind", ["a", "b"] * 500), texts("kind", ["a", "c"] * 100))
    assert evaluate(PSI, window, baseline).outcome == types.OUTCOME_FAILED


def test_significance_holds_a_small_sample_back() -> None:
    baseline, window = compared(numbers("age", REFERENCE), numbers("age", SHIFTED[:6]))
    careless = check(types.METHOD_KOLMOGOROV_SMIRNOV, 0.1)
    careful = check(types.METHOD_KOLMOGOROV_SMIRNOV, 0.1, significance=1e-6)
    assert evaluate(careless, window, baseline).outcome == types.OUTCOME_FAILED
    assert evaluate(careful, window, baseline).outcome == types.OUTCOME_OK


def test_too_few_rows_are_inconclusive_and_no_rows_are_no_data() -> None:
    baseline, few = compared(numbers("age", REFERENCE), numbers("age", SHIFTED[:50]))
    strict = check(types.METHOD_PSI, minimum_rows=100)
    result = evaluate(strict, few, baseline)
    assert (result.outcome, result.explanation) == (types.OUTCOME_INCONCLUSIVE, "50 rows, fewer than 100")
    assert evaluate(strict, types.ProfileSet(), baseline).outcome == types.OUTCOME_NO_DATA


def test_without_a_baseline_drift_is_inconclusive() -> None:
    result = evaluate(PSI, profiled({}, numbers("age", SAME)), None)
    assert (result.outcome, result.explanation) == (types.OUTCOME_INCONCLUSIVE, "the baseline has no column age")


def test_a_column_without_a_value_is_no_data_for_drift_and_failed_for_missing_share() -> None:
    baseline, window = compared(numbers("age", REFERENCE), numbers("age", [np.nan] * 10))
    assert evaluate(PSI, window, baseline).outcome == types.OUTCOME_NO_DATA
    missing = evaluate(check(types.METHOD_MISSING_SHARE, 0.5), window, baseline)
    assert (missing.outcome, missing.statistic) == (types.OUTCOME_FAILED, 1.0)


def test_columns_come_worst_first_and_as_many_as_asked_for_must_fail() -> None:
    baseline = capture([numbers("a", REFERENCE), numbers("b", REFERENCE), numbers("c", REFERENCE)])
    window = profiled(layout_of(baseline), numbers("a", SAME), numbers("b", SHIFTED + 1), numbers("c", SHIFTED))
    result = evaluate(PSI, window, baseline)
    assert [one.column for one in result.columns] == ["b", "c", "a"]
    assert result.outcome == types.OUTCOME_FAILED
    assert evaluate(check(types.METHOD_PSI, failing_columns=2), window, baseline).outcome == types.OUTCOME_FAILED
    assert evaluate(check(types.METHOD_PSI, failing_columns=3), window, baseline).outcome == types.OUTCOME_OK


def test_a_check_looks_at_the_columns_it_names_and_says_which_are_not_there() -> None:
    baseline = capture([numbers("a", REFERENCE), numbers("b", REFERENCE)])
    window = profiled(layout_of(baseline), numbers("a", SAME), numbers("b", SHIFTED))
    result = evaluate(check(types.METHOD_PSI, columns=["a", "z"]), window, baseline)
    assert [one.column for one in result.columns] == ["a"]
    assert (result.outcome, result.explanation) == (types.OUTCOME_OK, "no column z")


def test_an_input_and_an_output_of_one_name_are_two_columns() -> None:
    baseline = capture([numbers("age", REFERENCE), numbers("age", SHIFTED, OUTPUT)])
    window = profiled(layout_of(baseline), numbers("age", SAME), numbers("age", SAME, OUTPUT))
    result = evaluate(PSI, window, baseline)
    assert [(one.role, one.outcome) for one in result.columns] == [
        (OUTPUT, types.OUTCOME_FAILED),
        (types.COLUMN_ROLE_INPUT, types.OUTCOME_OK),
    ]


def test_categories_have_no_order_to_compare() -> None:
    baseline, window = compared(texts("kind", ["a", "b"]), texts("kind", ["a"]))
    named = check(types.METHOD_KOLMOGOROV_SMIRNOV, columns=["kind"])
    assert "no order" in evaluate(named, window, baseline).explanation
    assert not evaluate(check(types.METHOD_KOLMOGOROV_SMIRNOV), window, baseline).columns


def test_accuracy_says_on_how_many_labels_it_rests() -> None:
    window = types.ProfileSet(rows=4, performance=count_pairs([("1", "1"), ("0", "1"), ("0", "0"), ("1", "1")]))
    result = evaluate(check(types.METHOD_ACCURACY, 0.8), window, None)
    assert (result.outcome, result.statistic, result.rows) == (types.OUTCOME_FAILED, 0.75, 4)
    assert evaluate(check(types.METHOD_ACCURACY, 0.7), window, None).outcome == types.OUTCOME_OK
    assert evaluate(check(types.METHOD_ACCURACY, 0.8), types.ProfileSet(), None).outcome == types.OUTCOME_NO_DATA
    few = evaluate(check(types.METHOD_ACCURACY, 0.8, minimum_rows=5), window, None)
    assert few.outcome == types.OUTCOME_INCONCLUSIVE


def test_error_rate_and_volume_look_at_the_window_as_a_whole() -> None:
    window = types.ProfileSet(rows=90, failed_requests=10, dropped_rows=100)
    errors = evaluate(check(types.METHOD_ERROR_RATE, 0.04), window, None)
    assert (errors.statistic, errors.rows, errors.outcome) == (0.05, 200, types.OUTCOME_FAILED)
    assert evaluate(check(types.METHOD_VOLUME, 190), window, None).outcome == types.OUTCOME_OK
    assert evaluate(check(types.METHOD_VOLUME, 191), window, None).outcome == types.OUTCOME_FAILED
    assert evaluate(check(types.METHOD_VOLUME, 1), types.ProfileSet(), None).outcome == types.OUTCOME_FAILED


def test_each_track_has_its_own_checks() -> None:
    checks = [check(types.METHOD_VOLUME, id="rows"), check(types.METHOD_ACCURACY, id="right")]
    window = types.ProfileSet(rows=1)
    assert [one.check.id for one in evaluate_all(checks, types.TRACK_PREDICTIONS, window, None)] == ["rows"]
    assert [one.check.id for one in evaluate_all(checks, types.TRACK_LABELS, window, None)] == ["right"]


def test_the_same_rows_in_other_batches_give_the_same_result_to_the_bit() -> None:
    baseline = capture([numbers("age", REFERENCE)])
    layout = layout_of(baseline)
    whole = profiled(layout, numbers("age", SHIFTED))
    split = types.ProfileSet()
    for part in np.array_split(SHIFTED[::-1], 7):
        split = merge(split, profiled(layout, numbers("age", part)))
    assert encode(split) == encode(whole)
    assert evaluate(PSI, split, baseline) == evaluate(PSI, whole, baseline)


@pytest.mark.parametrize("width", [20, 128])
def test_a_window_of_many_columns_and_checks_still_fits_into_one_fact(width: int) -> None:
    names = [f"{index:03}".rjust(width, "x") for index in range(256)]
    baseline = capture([numbers(name, [1.0, 2.0, 3.0]) for name in names])
    window = profiled(layout_of(baseline), *(numbers(name, [9.0, 9.0]) for name in names))
    checks = [check(types.METHOD_PSI, id=f"c{index}") for index in range(32)]
    results = evaluate_all(checks, types.TRACK_PREDICTIONS, window, baseline)
    assert sum(result.ByteSize() for result in results) < 40 * 1024
    assert all(len(result.columns) + result.omitted_columns == 256 for result in results)
    assert all(result.columns for result in results)
