"""History under other settings: its own settings give what was recorded, and both ways of judging again agree."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import simulations_pb2 as told
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate
from services.monitoring.domain import MONITOR
from services.monitoring.domain import monitor as monitors
from services.monitoring.domain.rules import complete_rules
from services.monitoring.profile import capture, layout_of
from services.monitoring.simulation.rejudging import rejudged
from services.monitoring.simulation.replaying import Simulation
from testkit.scenario import START, life
from tests.monitoring.build import ENDPOINT, NEXT_VERSION, VERSION, batch, check, numbers, profiled
from tests.monitoring.build import MONITOR as NAME
from tests.monitoring.station import Station

HOUR = timedelta(hours=1)
CHECKS = (
    check(types.METHOD_VOLUME, 10, id="rows", resolve_after_windows=2),
    check(types.METHOD_VOLUME, 50, id="more", raise_after_windows=2),
    check(types.METHOD_PAGE_HINKLEY, 40, id="slow", watched=types.METHOD_VOLUME, minimum_rows=1),
)
RULES = some.lists(
    some.builds(
        types.AlertRule,
        id=some.sampled_from(["first", "second"]),
        when=some.sampled_from(["failed", "value < 20.0", "failed && previous.failed"]),
        group_by=some.lists(some.sampled_from([2, 4]), unique=True),
        for_windows=some.integers(0, 2),
        clear_windows=some.integers(0, 2),
        reopen_within_seconds=some.sampled_from([0, 3600]),
    ),
    max_size=2,
    unique_by=lambda rule: rule.id,
)
WINDOW = some.tuples(
    some.integers(0, 12), some.sampled_from([0, 5, 30, 60]), some.sampled_from([VERSION, NEXT_VERSION])
)
Windows = list[tuple[int, int, str]]


def began(rules: list[types.AlertRule]) -> types.Monitor:
    made = facts.MonitorCreated(
        endpoint=ENDPOINT,
        window=types.WindowSpec(size_seconds=3600),
        checks=CHECKS,
        rules=complete_rules(rules, CHECKS),
    )
    state: types.Monitor = life(MONITOR, NAME).given(made).state
    return state


def window_of(hour: int, rows: int, version: str) -> types.Window:
    window = types.Window(version=version, track=types.TRACK_PREDICTIONS, rows=rows)
    window.start_time.FromDatetime(START + hour * HOUR)
    window.end_time.FromDatetime(START + (hour + 1) * HOUR)
    return window


def recorded(rules: list[types.AlertRule], windows: Windows) -> tuple[list[facts.WindowEvaluated], types.Monitor]:
    monitor = life(MONITOR, NAME).given(
        facts.MonitorCreated(
            endpoint=ENDPOINT,
            window=types.WindowSpec(size_seconds=3600),
            checks=CHECKS,
            rules=complete_rules(rules, CHECKS),
        )
    )
    endpoint = types.KnownEndpoint(name=ENDPOINT, versions=[VERSION, NEXT_VERSION])
    found = []
    for hour, rows, version in windows:
        verb = partial(
            monitors.evaluate,
            window=window_of(hour, rows, version),
            profiles=types.ProfileSet(rows=rows),
            baseline=None,
        )
        event = monitor.when(verb, endpoint).event
        if isinstance(event, facts.WindowEvaluated):
            monitor.given(event)
            found.append(event)
    return found, monitor.state


@settings(max_examples=60, deadline=None)
@given(rules=RULES, windows=some.lists(WINDOW, max_size=25))
def test_its_own_settings_give_what_was_recorded(rules: list[types.AlertRule], windows: Windows) -> None:
    events, end = recorded(rules, windows)
    simulation = Simulation(began(rules), CHECKS, complete_rules(rules, CHECKS))
    for event in events:
        assert not simulation.needs_profiles(event)
        simulation.take(event, None)
    assert all(one.simulated == told.SIMULATED_BOTH for one in simulation.alerts())
    assert [one.recorded for one in simulation.alerts()] == [one.simulated_span for one in simulation.alerts()]
    assert len(simulation.alerts()) == sum(len(event.opened) for event in events)
    assert simulation.state.statuses == end.statuses
    assert simulation.state.causes == end.causes


@settings(max_examples=40, deadline=None)
@given(rules=RULES, windows=some.lists(WINDOW, max_size=25), threshold=some.sampled_from([4.0, 20.0, 45.0]))
def test_other_thresholds_give_what_would_have_been_recorded(
    rules: list[types.AlertRule], windows: Windows, threshold: float
) -> None:
    """Against a monitor that had them from the beginning."""
    checks = [types.Check.FromString(one.SerializeToString()) for one in CHECKS]
    checks[0].threshold = threshold
    events, _ = recorded(rules, windows)
    simulation = Simulation(began(rules), checks, complete_rules(rules, checks))
    had = began(rules)
    had.checks[0].threshold = threshold
    opened = 0
    for event in events:
        simulation.take(event, None)
        had.windows = event.window.number - 1
        endpoint = types.KnownEndpoint(name=ENDPOINT, versions=[VERSION, NEXT_VERSION])
        rows = types.ProfileSet(rows=event.window.rows)
        would = monitors.evaluate(had, endpoint, window=event.window, profiles=rows, baseline=None)
        if isinstance(would, facts.WindowEvaluated):
            monitors.evolve(had, would, Fact())
            opened += len(would.opened)
    alerts = simulation.alerts()
    assert sum(one.simulated != told.SIMULATED_NO_LONGER for one in alerts) == opened
    assert simulation.state.causes == had.causes


DRAW = np.random.default_rng(6)
BASELINE = capture([numbers("age", DRAW.normal(40, 10, 2_000)), numbers("income", DRAW.normal(9, 3, 2_000))])


@pytest.mark.parametrize("method", [types.METHOD_PSI, types.METHOD_KOLMOGOROV_SMIRNOV, types.METHOD_MISSING_SHARE])
@pytest.mark.parametrize("changed", [{"threshold": 0.01}, {"threshold": 2.0}, {"failing_columns": 2}])
@pytest.mark.parametrize("shift", [0, 4, 30])
def test_recorded_statistics_judge_as_profiles_do(method: types.Method, changed: dict[str, Any], shift: int) -> None:
    draw = np.random.default_rng(shift)
    window = profiled(
        layout_of(BASELINE), numbers("age", draw.normal(40 + shift, 10, 500)), numbers("income", [9.0] * 500)
    )
    was = evaluate(check(method, 0.2), window, BASELINE)
    asked = check(method, **{"threshold": 0.2, **changed})
    again, computed = rejudged(was, asked), evaluate(asked, window, BASELINE)
    assert again is not None
    for one in computed.columns:
        del one.changes[:]
    for one in again.columns:
        del one.changes[:]
    assert again == computed


def test_what_takes_profiles_is_computed_from_them_or_said_to_be_gone() -> None:
    psi = check(types.METHOD_PSI, 0.2, columns=["age"])
    window = profiled(
        layout_of(BASELINE), numbers("age", DRAW.normal(70, 10, 500)), numbers("income", DRAW.normal(9, 3, 500))
    )
    was = evaluate(psi, window, BASELINE)
    assert rejudged(was, check(types.METHOD_PSI, 0.2, columns=["income"])) is None
    assert rejudged(was, check(types.METHOD_HELLINGER, 0.2, columns=["age"], bins=10, failing_columns=1)) is None
    was.omitted_columns = 1
    assert rejudged(was, check(types.METHOD_PSI, 0.1, columns=["age"])) is None
    fact = facts.WindowEvaluated(endpoint=ENDPOINT, window=window_of(1, 500, VERSION), results=[was])
    fact.window.number = 1
    hellinger = check(types.METHOD_HELLINGER, 0.3, columns=["age"], bins=10, failing_columns=1)
    for profiles, alerts in (((window, BASELINE), 1), (None, 0)):
        simulation = Simulation(
            types.Monitor(name=NAME, checks=[psi], state=types.MONITOR_STATE_ACTIVE), [hellinger], []
        )
        assert simulation.needs_profiles(fact)
        simulation.take(fact, profiles)
        assert (simulation.recomputed, simulation.expired) == (alerts, 1 - alerts)
        assert [one.simulated for one in simulation.alerts()] == [told.SIMULATED_NEWLY] * alerts


async def test_a_running_monitor_tells_what_would_have_fired(live: Station) -> None:
    start = datetime.now(UTC)
    psi = check(types.METHOD_PSI, 0.2, id="drift", columns=["age"])
    await live.create(psi, window=types.WindowSpec(size_rows=100))
    draw = np.random.default_rng(3)
    await live.baseline(draw.normal(40, 10, 2_000), np.ones(2_000))
    for at, shift in enumerate([0, 6, 6, 40, 0]):
        await live.send(batch(f"b{at}", draw.normal(40 + shift, 10, 100)))
    await live.monitor(lambda monitor: monitor.windows == 5)
    ask = partial(live.call, "SimulateMonitor", name=NAME, start_time=start)
    same = await ask()
    assert {one.simulated for one in same.alerts} == {told.SIMULATED_BOTH}
    assert (same.windows, same.recomputed_results, same.recorded_alerts) == (5, 0, same.simulated_alerts)
    loose = await ask(thresholds={"drift": 2.0})
    assert [one.simulated_span.from_window for one in loose.alerts if one.HasField("simulated_span")] == [4]
    other = await ask(checks=[check(types.METHOD_WASSERSTEIN, 2.0, id="drift", columns=["age"], failing_columns=1)])
    assert (other.recomputed_results, other.expired_results) == (5, 0)
    assert [one.simulated_span.from_window for one in other.alerts if one.HasField("simulated_span")] == [4]
    ruled = await ask(rules=[types.AlertRule(id="twice", when="failed", for_windows=2)])
    assert [one.rule for one in ruled.alerts if one.simulated != told.SIMULATED_NO_LONGER] == ["twice"]
    code, _, fields = await live.refused("SimulateMonitor", name=NAME, start_time=start, thresholds={"x": 1.0})
    assert (code, fields) == ("INVALID_ARGUMENT", ["thresholds"])
