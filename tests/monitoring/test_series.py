"""Checks that follow the statistic of another check from window to window."""

from collections.abc import Sequence

import pytest

from kernel.errors import Invalid
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import series
from services.monitoring.checks import continued, evaluate_all
from services.monitoring.domain.checking import complete_checks
from services.monitoring.performance import count_pairs
from tests.monitoring.build import check


def followed(
    method: types.Method, rates: Sequence[float], threshold: float, **fields: object
) -> list[types.CheckResult]:
    """What a check says about windows of 1000 labels with these shares of right predictions, one after the other."""
    one = check(method, threshold, id="series", watched=types.METHOD_ACCURACY, **fields)
    results: list[types.CheckResult] = []
    before: Sequence[float] = ()
    for rate in rates:
        right = round(rate * 1000)
        window = types.ProfileSet(
            rows=1000, performance=count_pairs([("1", "1")] * right + [("0", "1")] * (1000 - right))
        )
        results += evaluate_all([one], types.TRACK_LABELS, window, None, before={"series": before})
        before = continued(results[-1])
    return results


STEADY = [0.9, 0.91, 0.89, 0.9, 0.92, 0.9, 0.88, 0.9, 0.91, 0.9]


def outcomes(results: Sequence[types.CheckResult]) -> list[types.Outcome]:
    return [one.outcome for one in results]


def test_an_anomaly_is_far_from_what_was_before() -> None:
    results = followed(types.METHOD_ANOMALY, [*STEADY, 0.6, 0.9], 3.5)
    assert outcomes(results[:8]) == [types.OUTCOME_INCONCLUSIVE] * 8
    assert outcomes(results[8:]) == [types.OUTCOME_OK, types.OUTCOME_OK, types.OUTCOME_FAILED, types.OUTCOME_OK]
    assert results[10].observed == 0.6
    assert list(results[10].series) == STEADY


def test_a_season_is_no_anomaly() -> None:
    week = [0.9, 0.9, 0.7, 0.9]
    noisy = [value + 0.001 * (at % 3) for at, value in enumerate(week * 10)]
    with_season = followed(types.METHOD_ANOMALY, noisy, 3.5, season_windows=4)
    assert types.OUTCOME_FAILED not in outcomes(with_season)
    assert types.OUTCOME_FAILED in outcomes(followed(types.METHOD_ANOMALY, noisy, 3.5))
    surprising = followed(types.METHOD_ANOMALY, [*noisy, 0.9, 0.7], 3.5, season_windows=4)
    assert surprising[-1].outcome == types.OUTCOME_FAILED


def test_page_and_hinkley_add_up_small_steps_and_begin_anew() -> None:
    results = followed(types.METHOD_PAGE_HINKLEY, [*STEADY, *[0.85] * 12], 0.1, allowance=0.005)
    assert types.OUTCOME_FAILED not in outcomes(results[:10])
    first = outcomes(results).index(types.OUTCOME_FAILED)
    assert first < 16
    assert len(results[first].series) == first
    assert list(results[first + 1].series) == []


def test_adwin_tells_two_levels_apart() -> None:
    results = followed(types.METHOD_ADWIN, [*STEADY, *[0.7] * 8], 0.5, minimum_rows=100)
    assert types.OUTCOME_FAILED not in outcomes(results[:10])
    assert types.OUTCOME_FAILED in outcomes(results[10:])


def test_ddm_tells_when_errors_rise() -> None:
    errors = [1 - value for value in STEADY]
    results = followed(types.METHOD_DDM, [*errors, 0.25, 0.3, 0.35], 3.0, minimum_rows=1000)
    assert types.OUTCOME_FAILED not in outcomes(results[:10])
    assert types.OUTCOME_FAILED in outcomes(results[10:])


def test_ddm_watches_rates_only() -> None:
    one = check(types.METHOD_DDM, 3.0, id="series", watched=types.METHOD_MAE)
    window = types.ProfileSet(performance=count_pairs([("5", "9")]))
    (result,) = evaluate_all([one], types.TRACK_LABELS, window, None)
    assert (result.outcome, result.explanation) == (types.OUTCOME_INCONCLUSIVE, "the watched statistic is no rate")


def test_a_series_remembers_its_newest_values() -> None:
    results = followed(types.METHOD_ANOMALY, [0.9 + at % 2 * 0.01 for at in range(80)], 100)
    assert len(results[-1].series) == series.MOST_VALUES
    assert results[-1].series[-1] == results[-2].observed


def test_a_window_that_says_nothing_leaves_the_series_as_it_is() -> None:
    one = check(types.METHOD_ANOMALY, 3.5, id="series", watched=types.METHOD_ACCURACY)
    (result,) = evaluate_all([one], types.TRACK_LABELS, types.ProfileSet(), None, before={"series": [0.9, 0.8]})
    assert (result.outcome, list(continued(result))) == (types.OUTCOME_NO_DATA, [0.9, 0.8])
    assert not result.HasField("observed")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"method": types.METHOD_ADWIN}, "NOTHING_WATCHED"),
        ({"method": types.METHOD_ADWIN, "watched": types.METHOD_DDM}, "NOTHING_WATCHED"),
        ({"method": types.METHOD_PSI, "watched": types.METHOD_MAE}, "NO_SERIES"),
        ({"method": types.METHOD_MAE, "allowance": 1.0}, "NO_ALLOWANCE"),
        ({"method": types.METHOD_MAE, "season_windows": 2}, "NO_SEASON"),
        ({"method": types.METHOD_MAE, "cut": 0.5}, "NO_CUT"),
        ({"method": types.METHOD_MAE, "positive": "1"}, "NO_LABEL"),
        ({"method": types.METHOD_ESTIMATED_ACCURACY}, "NO_SCORE_COLUMN"),
        ({"method": types.METHOD_DATASET_DRIFT, "failing_columns": 2}, "NO_COLUMNS"),
        ({"method": types.METHOD_JENSEN_SHANNON, "significance": 0.1}, "NO_P_VALUE"),
        ({"method": types.METHOD_HELLINGER, "threshold": 2.0}, "NO_SHARE"),
    ],
)
def test_checks_that_make_no_sense_are_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(Invalid) as refusal:
        complete_checks([types.Check(id="c", **({"threshold": 0.5} | fields))])  # type: ignore[arg-type]
    assert [one.reason for one in refusal.value.violations] == [reason]


def test_only_few_checks_follow_a_series() -> None:
    checks = [types.Check(id=f"c{at}", method=types.METHOD_DDM, watched=types.METHOD_ACCURACY) for at in range(9)]
    with pytest.raises(Invalid, match="at most 8"):
        complete_checks(checks)
