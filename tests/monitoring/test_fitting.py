"""Thresholds fitted on chunks, against numpy on the same; the stated share of false alarms, against fresh rows."""

from typing import Any

import numpy as np
import pytest

from kernel.errors import Invalid, NotAllowedNow
from modelog.evaluate.intervals import wilson
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import fits_pb2 as fits
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.capturing import Captured, captured_of
from services.monitoring.checks import evaluate
from services.monitoring.domain import MONITOR as MONITORS
from services.monitoring.domain.checking import complete_checks
from services.monitoring.fitting import fit_all, fitted, threshold_of
from services.monitoring.profile import capture, count, layout_of
from testkit.scenario import life
from tests.monitoring.build import ENDPOINT, MONITOR, check, column, numbers, profiled

BY_DEVIATIONS = fits.FITTING_STANDARD_DEVIATIONS
BY_200 = types.WindowSpec(size_rows=200)
DEVIATIONS = fits.Fit(fitting=BY_DEVIATIONS, deviations=2)
QUANTILE = fits.Fit(fitting=fits.FITTING_QUANTILE, quantile=0.9)


def captured(rows: int, seed: int = 1, *, labelled: bool = False) -> Captured:
    draw = np.random.default_rng(seed)
    inputs = [column("age", draw.normal(40, 10, rows)), column("income", draw.lognormal(1, 0.5, rows))]
    scores = draw.random(rows)
    values = rpc.BaselineValues(inputs=inputs, outputs=[column("score", scores)])
    if labelled:
        values.labels.CopyFrom(column("score", (draw.random(rows) < scores).astype(float)))
    return captured_of(values, 200)


def fit(method: types.Method, how: fits.Fit, **fields: Any) -> types.Check:
    return check(method, 0.0, fit=how, **fields)


def statistics(asked: types.Check, made: Captured) -> list[float]:
    """Of each chunk against the rows of all others, counted anew."""
    layout = layout_of(made.profiles)
    draw = np.random.default_rng(1)
    ages, incomes = draw.normal(40, 10, made.profiles.rows), draw.lognormal(1, 0.5, made.profiles.rows)
    found = []
    for start in range(0, made.profiles.rows, 200):
        mine = slice(start, start + 200)
        rest = count(
            [numbers("age", np.delete(ages, mine)), numbers("income", np.delete(incomes, mine))],
            layout,
            made.profiles.rows - 200,
        )
        window = profiled(layout, numbers("age", ages[mine]), numbers("income", incomes[mine]))
        judged = evaluate(asked, window, rest).columns
        found.append(max(one.statistic for one in judged if one.column in ("age", "income")))
    return found


@pytest.mark.parametrize("method", [types.METHOD_PSI, types.METHOD_KOLMOGOROV_SMIRNOV])
@pytest.mark.parametrize("how", [DEVIATIONS, QUANTILE])
def test_a_threshold_is_that_of_the_chunks_each_against_the_others(method: types.Method, how: fits.Fit) -> None:
    made = captured(4_000)
    asked = fit(method, how, columns=["age", "income"])
    (found,) = fit_all([asked], made.chunks, BY_200)
    expected = np.array(statistics(check(method, 1.0, columns=["age", "income"]), made))
    wanted = np.quantile(expected, 0.9) if how is QUANTILE else expected.mean() + 2 * expected.std()
    assert found.threshold == pytest.approx(wanted, rel=1e-12)
    assert (found.mean, found.deviation) == pytest.approx((expected.mean(), expected.std()), rel=1e-12)
    assert found.chunks == 20
    assert found.failed_chunks == sum(expected > found.threshold)
    assert found.false_alarm_share == (found.failed_chunks + 0.5) / 21


def test_where_low_is_bad_the_threshold_lies_below() -> None:
    made = captured(4_000, labelled=True)
    (found,) = fit_all([fit(types.METHOD_ROC_AUC, DEVIATIONS)], made.chunks, BY_200)
    assert found.threshold == pytest.approx(found.mean - 2 * found.deviation)
    assert 0 < found.threshold < found.least + found.deviation
    values = np.array([0.2, 0.3, 0.4])
    assert threshold_of(fit(types.METHOD_ACCURACY, QUANTILE), values) == pytest.approx(0.22)
    assert threshold_of(fit(types.METHOD_PSI, QUANTILE), values) == pytest.approx(0.38)
    assert threshold_of(fit(types.METHOD_ACCURACY, fits.Fit(deviations=9)), values) == 0.0


@pytest.mark.parametrize("how", [QUANTILE, DEVIATIONS, None])
def test_the_stated_share_of_false_alarms_is_that_of_fresh_rows(how: fits.Fit | None) -> None:
    """Over twelve references: the shares that fail of 40 fresh windows each, beside what was stated, on average."""
    stated, failed, windows = 0.0, 0, 0
    for seed in range(12):
        made = captured(6_000, seed)
        asked = check(types.METHOD_PSI, 0.14, columns=["age", "income"])
        if how is not None:
            asked = fit(types.METHOD_PSI, how, columns=["age", "income"])
        (told,) = found = fit_all([asked], made.chunks, BY_200)
        stated += told.false_alarm_share / 12
        (judging,) = fitted([asked], found)
        layout = layout_of(made.profiles)
        draw = np.random.default_rng(1_000 + seed)
        for _ in range(40):
            fresh = [numbers("age", draw.normal(40, 10, 200)), numbers("income", draw.lognormal(1, 0.5, 200))]
            windows += 1
            failed += evaluate(judging, profiled(layout, *fresh), made.profiles).outcome == types.OUTCOME_FAILED
    # Twelve thresholds vary too, so the interval is that of a quarter of the windows.
    interval = wilson(failed / 4, windows / 4, 0.99)
    assert interval.low <= stated <= interval.high, (stated, failed / windows)


def test_every_check_is_told_how_often_it_fails_and_alerts_need_runs() -> None:
    made = captured(4_000)
    checks = [
        check(types.METHOD_PSI, 0.0001, id="strict", raise_after_windows=3),
        check(types.METHOD_PSI, 5.0, id="loose"),
        check(types.METHOD_VOLUME, 10.0, id="rows"),
        check(types.METHOD_PAGE_HINKLEY, 5.0, id="series", watched=types.METHOD_PSI),
    ]
    hourly = types.WindowSpec(size_seconds=7200, step_seconds=3600)
    strict, loose = fit_all(checks, made.chunks, hourly)
    assert (strict.check, strict.fitting, strict.threshold) == ("strict", fits.FITTING_CONSTANT, 0.0001)
    assert (strict.failed_chunks, loose.failed_chunks) == (20, 0)
    assert strict.windows_in_30_days == 720
    share = 20.5 / 21
    assert strict.false_alerts_in_1000_windows == pytest.approx(1000 * (1 - share) * share**3)
    assert 0 < loose.false_alarm_share < 0.03
    assert loose.false_alarm_share_high > 0.1


def test_what_cannot_be_fitted_is_refused_with_what_to_do() -> None:
    few = captured(1_900)
    assert (few.chunks, few.chunk_rows) == ((), 0)
    with pytest.raises(NotAllowedNow, match="needs 10 chunks"):
        fit_all([fit(types.METHOD_PSI, QUANTILE)], few.chunks, BY_200)
    assert fit_all([check(types.METHOD_PSI, 0.2)], few.chunks, BY_200) == []
    with pytest.raises(NotAllowedNow, match="check rows"):
        fit_all([fit(types.METHOD_VOLUME, QUANTILE, id="rows")], captured(4_000).chunks, BY_200)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"method": types.METHOD_PSI, "threshold": 0.2, "fit": QUANTILE}, "not both"),
        ({"method": types.METHOD_DRIFT, "fit": QUANTILE}, "single statistic"),
        ({"method": types.METHOD_ADWIN, "watched": types.METHOD_ACCURACY, "fit": QUANTILE}, "single statistic"),
        ({"method": types.METHOD_PSI, "fit": fits.Fit(fitting=fits.FITTING_QUANTILE, deviations=2)}, "has none"),
        (
            {"method": types.METHOD_PSI, "fit": fits.Fit(fitting=BY_DEVIATIONS, quantile=0.5)},
            "only QUANTILE",
        ),
        ({"method": types.METHOD_PSI, "fit": fits.Fit(fitting=fits.FITTING_QUANTILE, chunks=5)}, "the server says"),
    ],
)
def test_a_fit_that_makes_no_sense_is_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(Invalid, match=word):
        complete_checks([types.Check(id="c", **fields)])


def test_defaults_are_written_out_and_a_check_without_its_threshold_says_so() -> None:
    (asked,) = complete_checks([types.Check(id="c", method=types.METHOD_PSI, fit=fits.Fit(fitting=BY_DEVIATIONS))])
    assert asked.fit.deviations == 3
    baseline = capture([numbers("age", np.arange(500.0))])
    window = profiled(layout_of(baseline), numbers("age", np.arange(500.0)))
    result = evaluate(asked, window, baseline)
    assert result.outcome == types.OUTCOME_INCONCLUSIVE
    assert "not fitted yet" in result.explanation
    other = fits.FittedThreshold(check="c", fitting=fits.FITTING_QUANTILE, threshold=0.3, chunks=20)
    assert fitted([asked], [other]) == [asked]
    (judging,) = fitted([asked], [fits.FittedThreshold(check="c", fitting=BY_DEVIATIONS, threshold=0.3, chunks=20)])
    assert (judging.threshold, judging.fit.chunks) == (0.3, 20)
    assert evaluate(judging, window, baseline).outcome == types.OUTCOME_OK


def test_a_check_that_is_changed_is_fitted_anew_unless_only_alerts_look_at_it() -> None:
    asked = fit(types.METHOD_PSI, QUANTILE, id="c")
    event = facts.MonitorCreated(endpoint=ENDPOINT, window=BY_200, checks=complete_checks([asked]))
    one = life(MONITORS, MONITOR).given(event)
    told = fits.FittedThreshold(check="c", fitting=fits.FITTING_QUANTILE, threshold=0.3, chunks=20)
    one.given(facts.BaselineCaptured(baseline=types.Baseline(digest="d", thresholds=[told])))
    louder = facts.MonitorChanged(window=BY_200, checks=event.checks)
    louder.checks[0].severity = types.SEVERITY_CRITICAL
    assert list(one.given(louder).state.baseline.thresholds) == [told]
    narrower = facts.MonitorChanged(window=BY_200, checks=louder.checks)
    narrower.checks[0].columns.append("age")
    assert list(one.given(narrower).state.baseline.thresholds) == []
