"""Metrics of an analysis: each source, each verdict, and how they come to one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kernel.errors import Invalid
from modelog.deployment.v1 import analysis_pb2 as wire
from modelog.deployment.v1 import types_pb2 as types
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.monitoring.v1 import types_pb2 as monitored
from services.deployment.domain import KNOWN_MONITOR
from services.deployment.domain.analysis import fails_already, judge
from services.deployment.domain.strategy import check_strategy
from services.deployment.domain.windows import Counted, Window
from testkit.scenario import Life, life
from tests.deployment.build import ENDPOINT_NAME, NOW, canary, version_name

PASSED, FAILED = types.VERDICT_PASSED, types.VERDICT_FAILED
INCONCLUSIVE, NO_DATA = types.VERDICT_INCONCLUSIVE, types.VERDICT_NO_DATA
NOT_JUDGED = types.VERDICT_UNSPECIFIED
MONITOR = "projects/risk/monitors/fraud-eu"
FAST = ((10.0, 900), (50.0, 1000), (100.0, 1000))
SLOW = ((10.0, 100), (50.0, 400), (100.0, 1000))
GOOD = Window(60, 1000, 10, FAST, running=Counted(9000, 90, FAST), version=version_name(2), endpoint=ENDPOINT_NAME)
BAD = replace(GOOD, errors=80, latency=SLOW)
COMPARED = wire.Comparison()
FEW = Counted(9, 0, ((10.0, 9),))


def metric(source: str, id_: str = "one", **values: Any) -> wire.AnalysisMetric:
    return wire.AnalysisMetric(id=id_, source=f"METRIC_SOURCE_{source}", **values)


def verdict(window: Window, *metrics: wire.AnalysisMetric, **analysis: Any) -> types.AnalysisResult:
    return judge(types.Analysis(metrics=metrics, **analysis), window)


@pytest.mark.parametrize(
    ("metric", "window", "wanted", "value"),
    [
        (metric("ERROR_RATE", at_most=0.02), GOOD, PASSED, 0.01),
        (metric("ERROR_RATE", at_most=0.02), BAD, FAILED, 0.08),
        (metric("SUCCESS_RATE", at_least=0.98), GOOD, PASSED, 0.99),
        (metric("SUCCESS_RATE", at_least=0.98), BAD, FAILED, 0.92),
        (metric("LATENCY", quantile=0.5, at_most=20), GOOD, PASSED, 50 / 9),
        (metric("LATENCY", quantile=0.5, at_most=20), BAD, FAILED, 50 + 50 / 6),
        (metric("ERROR_RATE", at_most=0.02, min_samples=1001), BAD, INCONCLUSIVE, 0.08),
        (metric("ERROR_RATE", at_most=0.02), Window(60), NO_DATA, None),
        (metric("ERROR_RATE", compared=COMPARED), GOOD, PASSED, 0.01),
        (metric("ERROR_RATE", compared=COMPARED), BAD, FAILED, 0.08),
        (metric("SUCCESS_RATE", compared=COMPARED), BAD, FAILED, 0.92),
        (metric("ERROR_RATE", compared=wire.Comparison(difference=0.1)), BAD, PASSED, 0.08),
        (metric("ERROR_RATE", compared=wire.Comparison(ratio=10)), BAD, PASSED, 0.08),
        (metric("LATENCY", quantile=0.5, compared=wire.Comparison(ratio=1.5)), BAD, FAILED, None),
        (metric("LATENCY", quantile=0.5, compared=wire.Comparison(ratio=1.5)), GOOD, PASSED, None),
        (metric("ERROR_RATE", compared=wire.Comparison(difference=0.05, prove=True)), GOOD, PASSED, 0.01),
        (metric("ERROR_RATE", compared=wire.Comparison(difference=0.001, prove=True)), GOOD, INCONCLUSIVE, 0.01),
        (metric("ERROR_RATE", compared=COMPARED), replace(GOOD, running=None), NOT_JUDGED, 0.01),
        (metric("ERROR_RATE", compared=COMPARED), replace(GOOD, running=Counted()), NO_DATA, 0.01),
        (
            metric("ERROR_RATE", compared=COMPARED, min_samples=500),
            replace(GOOD, running=FEW),
            INCONCLUSIVE,
            None,
        ),
        (metric("LATENCY", compared=COMPARED), replace(GOOD, running=FEW), INCONCLUSIVE, None),
        (metric("EXPRESSION", expression="fresh.error_rate <= 1.5 * running.error_rate"), GOOD, PASSED, None),
        (metric("EXPRESSION", expression="fresh.error_rate <= 1.5 * running.error_rate"), BAD, FAILED, None),
        (metric("EXPRESSION", expression="fresh.p50 < 20.0 && fresh.requests >= 500"), BAD, FAILED, None),
        (metric("EXPRESSION", expression="fresh.p50 < 20.0", min_samples=2000), BAD, INCONCLUSIVE, None),
        (metric("EXPRESSION", expression="running.p50 < 20.0"), replace(GOOD, running=None), NO_DATA, None),
        (metric("EXPRESSION", expression="fresh.requests + 1"), GOOD, INCONCLUSIVE, None),
    ],
)
def test_verdicts(metric: wire.AnalysisMetric, window: Window, wanted: int, value: float | None) -> None:
    (result,) = verdict(window, metric).metrics
    assert result.verdict == wanted, result
    assert result.finding
    if value is not None:
        assert result.value == pytest.approx(value)


def test_a_comparison_tells_what_it_rests_on() -> None:
    (result,) = verdict(BAD, metric("ERROR_RATE", compared=wire.Comparison(difference=0.01)), alpha=0.04).metrics
    assert (result.value, result.running, result.samples, result.running_samples) == (0.08, 0.01, 1000, 9000)
    assert result.threshold == pytest.approx(0.02)
    assert result.alpha == pytest.approx(0.01)  # Half of the first window's half.
    assert result.p_value < 0.01
    assert 0.02 < result.detectable < 0.08


def test_a_success_rate_is_compared_in_its_own_direction() -> None:
    (result,) = verdict(GOOD, metric("SUCCESS_RATE", compared=wire.Comparison(difference=0.01))).metrics
    assert (result.value, result.running) == (0.99, 0.99)
    assert result.threshold == pytest.approx(0.98)
    assert 0.9 < result.detectable < 0.98


def test_later_windows_more_steps_and_more_comparisons_have_less_of_alpha() -> None:
    def alpha(window: Window, count: int = 1) -> float:
        metrics = [metric("ERROR_RATE", f"m{number}", compared=COMPARED) for number in range(count)]
        return verdict(window, *metrics).metrics[0].alpha

    first = alpha(GOOD)
    assert alpha(replace(GOOD, number=3)) == pytest.approx(first / 4)
    assert alpha(replace(GOOD, steps=5)) == pytest.approx(first / 5)
    assert alpha(GOOD, 2) == pytest.approx(first / 2)
    assert alpha(replace(GOOD, whole=False, look=True)) == pytest.approx(first / 3)


def test_before_its_end_a_window_fails_by_limits_at_any_time_and_by_comparison_when_a_look_is_due() -> None:
    early = replace(BAD, whole=False)
    limited = types.Analysis(metrics=[metric("ERROR_RATE", at_most=0.02)])
    compared = types.Analysis(metrics=[metric("ERROR_RATE", compared=COMPARED)])
    condition = types.Analysis(metrics=[metric("EXPRESSION", expression="fresh.error_rate < 0.01")])
    assert fails_already(limited, early)
    assert not fails_already(compared, early)
    assert fails_already(compared, replace(early, look=True))
    assert not fails_already(condition, early)
    assert fails_already(condition, BAD)


def test_the_gravest_verdict_is_that_of_the_window() -> None:
    good, bad = metric("ERROR_RATE", "good", at_most=0.5), metric("ERROR_RATE", "bad", at_most=0.001)
    few = metric("ERROR_RATE", "few", at_most=1.0, min_samples=5000)
    none = metric("CHECK", "none", monitor=MONITOR, check="drift")
    alone = metric("ERROR_RATE", "alone", compared=COMPARED)
    without = replace(GOOD, running=None)
    assert verdict(GOOD, good, few, none, bad).verdict == FAILED
    assert verdict(GOOD, good, few, none).verdict == NO_DATA
    assert verdict(GOOD, good, few).verdict == INCONCLUSIVE
    assert verdict(without, good, alone).verdict == PASSED
    only = verdict(without, alone)
    assert (only.verdict, only.finding) == (PASSED, "nothing was to be judged in this step")
    assert verdict(GOOD, good, bad).finding == "bad: 0.01 is above 0.001"


def test_limits_of_the_analysis_hold_beside_metrics_only_when_they_are_given() -> None:
    good = metric("ERROR_RATE", "good", at_most=0.5)
    assert verdict(GOOD, good).verdict == PASSED
    assert verdict(GOOD, good, max_error_rate=0.005).finding == "error rate 0.01 is above 0.005"
    assert verdict(GOOD, good, max_latency_ms=1.0).verdict == FAILED


def evaluated(
    number: int = 1,
    value: float = 0.1,
    outcome: Any = monitored.OUTCOME_OK,
    *,
    version: int = 2,
    opened: tuple[int, ...] = (),
    closed: tuple[int, ...] = (),
    check: str = "drift",
    severity: Any = monitored.SEVERITY_WARNING,
) -> monitoring.WindowEvaluated:
    window = monitored.Window(number=number, version=version_name(version))
    window.end_time.FromDatetime(NOW + timedelta(minutes=number))
    tested = monitored.Check(id=check, threshold=0.2, severity=severity)
    result = monitored.CheckResult(check=tested, outcome=outcome, statistic=value, rows=500)
    event = monitoring.WindowEvaluated(endpoint=ENDPOINT_NAME, window=window, results=[result])
    for alert in opened:
        event.opened.add(alert=alert, check=check)
    for alert in closed:
        event.closed.add(alert=alert, check=check)
    return event


def monitor(*events: Any) -> Life:
    created = monitoring.MonitorCreated(endpoint=ENDPOINT_NAME)
    return life(KNOWN_MONITOR, MONITOR).given(created, *events)


def watched(*events: Any, **window: Any) -> Window:
    return replace(GOOD, since=NOW, monitors={MONITOR: monitor(*events).state}, **window)


BEYOND = evaluated(1, 0.7, monitored.OUTCOME_FAILED, opened=(4,))


@pytest.mark.parametrize(
    ("events", "values", "wanted"),
    [
        ([evaluated()], {}, PASSED),
        ([BEYOND], {}, FAILED),
        ([BEYOND], {"at_most": 0.8}, PASSED),
        ([evaluated()], {"at_most": 0.05}, FAILED),
        ([evaluated()], {"at_least": 0.5}, FAILED),
        ([BEYOND, evaluated(2)], {}, PASSED),
        ([evaluated()], {"min_samples": 501}, INCONCLUSIVE),
        ([evaluated(outcome=monitored.OUTCOME_INCONCLUSIVE)], {}, INCONCLUSIVE),
        ([evaluated(outcome=monitored.OUTCOME_NO_DATA)], {}, NO_DATA),
        ([evaluated(0)], {}, NO_DATA),
        ([evaluated(version=1)], {}, NO_DATA),
        ([evaluated(check="other")], {}, NO_DATA),
        ([evaluated(), monitoring.VersionReplaced(version=version_name(2))], {}, NO_DATA),
        ([evaluated(), monitoring.MonitorChanged()], {}, NO_DATA),
    ],
)
def test_a_check_of_a_monitor(events: list[Any], values: dict[str, Any], wanted: int) -> None:
    (result,) = verdict(watched(*events), metric("CHECK", monitor=MONITOR, check="drift", **values)).metrics
    assert result.verdict == wanted, result


GONE = monitoring.VersionReplaced(version=version_name(2), closed=[monitoring.Episode(alert=4, check="drift")])
CRITICAL = evaluated(1, 0.7, monitored.OUTCOME_FAILED, opened=(5,), check="worse", severity=monitored.SEVERITY_CRITICAL)


@pytest.mark.parametrize(
    ("events", "values", "wanted"),
    [
        ([evaluated()], {}, PASSED),
        ([BEYOND], {}, FAILED),
        ([BEYOND], {"minimum_severity": monitored.SEVERITY_CRITICAL}, PASSED),
        ([CRITICAL], {"minimum_severity": monitored.SEVERITY_CRITICAL}, FAILED),
        ([CRITICAL, evaluated()], {"check": "drift"}, PASSED),
        ([CRITICAL], {"check": "drift"}, NO_DATA),
        ([BEYOND], {"at_most": 1}, PASSED),
        ([BEYOND, evaluated(2, closed=(4,))], {}, PASSED),
        ([BEYOND, GONE], {}, NO_DATA),
        ([evaluated(1, opened=(9,), version=1), evaluated(2)], {}, PASSED),
        ([], {}, NO_DATA),
    ],
)
def test_alerts_of_a_monitor(events: list[Any], values: dict[str, Any], wanted: int) -> None:
    (result,) = verdict(watched(*events), metric("ALERTS", monitor=MONITOR, **values)).metrics
    assert result.verdict == wanted, result


def grouped() -> monitoring.WindowEvaluated:
    """A rule opens an alert whose members are two checks."""
    event = evaluated(1, 0.7, monitored.OUTCOME_FAILED)
    event.opened.add(alert=6, check="drift", rule="rule", severity=monitored.SEVERITY_CRITICAL)
    event.opened[0].members.extend(monitored.AlertMember(check=check) for check in ("drift", "worse"))
    return event


def joined() -> monitoring.WindowEvaluated:
    event = evaluated(2, 0.7, monitored.OUTCOME_FAILED)
    event.joined.add(alert=6, check="late", rule="rule", members=[monitored.AlertMember(check="late")])
    return event


@pytest.mark.parametrize("check", ["", "drift", "worse", "late"])
def test_an_alert_of_a_rule_is_one_and_fires_for_each_of_its_checks(check: str) -> None:
    values: dict[str, Any] = {"monitor": MONITOR, "minimum_severity": monitored.SEVERITY_CRITICAL, "check": check}
    (result,) = verdict(watched(grouped(), joined()), metric("ALERTS", **values)).metrics
    assert (result.verdict, result.value) == (FAILED, 1)
    ended = evaluated(3, closed=(6,))
    over = verdict(watched(grouped(), joined(), ended), metric("ALERTS", **values | {"check": ""})).metrics[0]
    assert over.verdict == PASSED


def test_a_monitor_that_is_missing_or_watches_something_else_says_nothing_and_why() -> None:
    asked = metric("CHECK", monitor=MONITOR, check="drift")
    unknown = verdict(GOOD, asked)
    assert (unknown.verdict, unknown.finding) == (NO_DATA, f"one: there is no monitor {MONITOR}")
    elsewhere = verdict(replace(watched(BEYOND), endpoint="projects/risk/endpoints/other"), asked)
    assert elsewhere.verdict == NO_DATA
    assert "watches projects/risk/endpoints/fraud-eu, not" in elsewhere.finding


def test_what_is_kept_of_a_monitor_is_limited() -> None:
    many = monitor(*(evaluated(number, version=number) for number in range(1, 300)))
    assert len(many.state.readings) == 256
    assert many.state.readings[-1].version == version_name(299)


def test_a_condition_sees_other_metrics_and_waits_for_their_data() -> None:
    drift = metric("CHECK", "drift", monitor=MONITOR, check="drift", at_most=10.0)
    both = metric("EXPRESSION", "both", expression="metrics.drift.value < 0.5 && fresh.error_rate < 0.02")
    assert verdict(watched(evaluated()), both, drift).metrics[0].verdict == PASSED
    assert verdict(watched(BEYOND), both, drift).metrics[0].verdict == FAILED
    assert verdict(watched(), both, drift).metrics[0].verdict == NO_DATA
    assert "metrics.drift.value = 0.7" in verdict(watched(BEYOND), both, drift).metrics[0].finding


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ([metric("ERROR_RATE")], "say at_most, at_least or compared"),
        ([metric("ERROR_RATE", at_most=1), metric("LATENCY", at_most=1)], "is there twice"),
        ([metric("ERROR_RATE", compared=wire.Comparison(prove=True))], "give a ratio above 1 or a difference"),
        ([metric("CHECK", monitor="fraud-eu", check="drift")], "monitor"),
        ([metric("CHECK", monitor=MONITOR)], "say which check"),
        ([metric("CHECK", monitor=MONITOR, check="drift", compared=COMPARED)], "only rates and latency"),
        ([metric("ALERTS", monitor=MONITOR, at_least=1)], "limited by at_most"),
        ([metric("EXPRESSION")], "write a condition"),
        ([metric("EXPRESSION", expression="fresh.requests >")], "expression"),
        ([metric("EXPRESSION", expression="other.requests > 1")], "unknown name 'other'"),
        ([metric("EXPRESSION", expression="metrics.two.value > 1.0")], "there is no metric two"),
        ([metric("EXPRESSION", expression="true", at_most=1)], "has its limit inside"),
    ],
)
def test_what_cannot_be_judged_is_refused(metrics: list[wire.AnalysisMetric], words: str) -> None:
    with pytest.raises(Invalid, match=r"strategy\.canary\.analysis") as refused:
        check_strategy(canary(50, metrics=metrics))
    assert words in str(refused.value)


def test_a_comparison_needs_a_step_with_something_to_compare() -> None:
    compared = [metric("ERROR_RATE", compared=COMPARED)]
    check_strategy(canary(50, 100, metrics=compared))
    soak = types.BlueGreen(analysis=types.Analysis(metrics=compared))
    for strategy in (canary(100, metrics=compared), types.Strategy(blue_green=soak)):
        with pytest.raises(Invalid, match="no step leaves traffic"):
            check_strategy(strategy)
