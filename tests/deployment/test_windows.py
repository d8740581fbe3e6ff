"""Windows: what is counted of both versions, whoever starts anew in between, and when it is looked at."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelog.deployment.v1 import analysis_pb2 as wire
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.analysis_events_pb2 import WindowFailed
from services.deployment.domain import progress
from services.deployment.domain.windows import Counted, Window
from services.deployment.fetch import Unreachable
from services.deployment.gateway.config import cluster_of
from services.deployment.gateway.counts import Counts
from services.deployment.windows import Windows
from testkit.scenario import Life
from tests.deployment.build import ENDPOINT_NAME, back, canary, passed, progressing, seconds, step, version_name

NEW, OLD = (cluster_of(ENDPOINT_NAME, version_name(number)) for number in (2, 1))
METRIC = wire.AnalysisMetric(
    id="errors", source=wire.METRIC_SOURCE_ERROR_RATE, compared=wire.Comparison(), monitor="projects/risk/monitors/m"
)


@dataclass
class Gateway:
    """Counts what the test says."""

    counted: dict[str, Counts] = field(default_factory=dict)
    away: bool = False

    async def counts_of(self, clusters: Iterable[str]) -> dict[str, Counts]:
        if self.away:
            raise Unreachable("away")
        return {cluster: self.counted.get(cluster, Counts()) for cluster in clusters}


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def counted(requests: int, errors: int = 0) -> Counts:
    return Counts(requests, errors, ((10.0, requests - errors), (100.0, requests)))


async def _no_monitor(name: str) -> wire.KnownMonitor:
    return wire.KnownMonitor()


def windows() -> Windows:
    return Windows(_no_monitor)


def under_way(*events: Any, **analysis: Any) -> Life:
    strategy = canary(10, 100, hold=80, metrics=[METRIC], **analysis)
    return progressing(strategy, step(1, 10), *events)


async def of(some: Windows, rollout: Life, gateway: Any, late: float = 0.0) -> Window | None:
    begun = rollout.state.window_start_time.ToDatetime(tzinfo=UTC)
    found: Window | None = await some.of(rollout.state, gateway, begun + timedelta(seconds=late))
    return found


async def test_both_versions_are_counted_since_the_window_began(clock: Clock) -> None:
    gateway, made, rollout = Gateway({NEW: counted(100, 5), OLD: counted(900)}), windows(), under_way()
    first = await of(made, rollout, gateway)
    assert first is not None
    assert (first.requests, first.running) == (0, Counted(0, 0, ((10.0, 0), (100.0, 0))))
    gateway.counted = {NEW: counted(130, 6), OLD: counted(1200, 3)}
    clock.seconds += 30
    second = await of(made, rollout, gateway)
    assert second == Window(
        30.0,
        30,
        1,
        ((10.0, 29), (100.0, 30)),
        running=Counted(300, 3, ((10.0, 297), (100.0, 300))),
        version=version_name(2),
        endpoint=ENDPOINT_NAME,
        since=rollout.state.window_start_time.ToDatetime(tzinfo=UTC),
        monitors={METRIC.monitor: wire.KnownMonitor()},
        number=1,
        steps=2,
        whole=False,
        look=True,
    )


async def test_what_was_counted_before_the_gateway_started_anew_stays_counted(clock: Clock) -> None:
    gateway, made, rollout = Gateway({NEW: counted(100)}), windows(), under_way()
    await of(made, rollout, gateway)
    gateway.counted = {NEW: counted(150, 2)}
    await of(made, rollout, gateway)
    gateway.counted = {NEW: counted(20, 1)}  # It began again from nothing.
    await of(made, rollout, gateway)
    gateway.counted = {NEW: counted(180, 1)}  # By now it has more than it ever had before.
    window = await of(made, rollout, gateway)
    assert window is not None
    assert (window.requests, window.errors) == (50 + 180, 2 + 1)
    assert window.latency == ((10.0, 48 + 179), (100.0, 50 + 180))


async def test_a_gateway_that_is_away_is_not_taken_for_one_without_requests(clock: Clock) -> None:
    gateway, made, rollout = Gateway(away=True), windows(), under_way()
    assert await of(made, rollout, gateway) is None


async def test_each_early_look_is_taken_once(clock: Clock) -> None:
    gateway, made, rollout = Gateway(), windows(), under_way()
    looks, whole = [], []
    for _ in range(10):
        window = await of(made, rollout, gateway)
        assert window is not None
        looks.append(window.look)
        whole.append(window.whole)
        clock.seconds += 9
    assert looks == [False, False, True, True, False, True, False, False, False, False]
    assert whole == [False] * 9 + [True]


async def test_the_initial_delay_is_not_counted_and_only_the_first_window_has_one(clock: Clock) -> None:
    gateway, made = Gateway({NEW: counted(10, 10)}), windows()
    rollout = under_way(initial_delay=seconds(5))
    assert await of(made, rollout, gateway, late=4.9) is None
    window = await of(made, rollout, gateway, late=5.0)
    assert window is not None
    assert (window.requests, window.seconds) == (0, 0.0)
    rollout.given(WindowFailed(step=1))
    again = await of(made, rollout, gateway)
    assert again is not None
    assert again.number == 2


async def test_a_step_that_gets_everything_has_nothing_to_compare_with(clock: Clock) -> None:
    rollout = under_way(passed(1), step(2, 100))
    window = await of(windows(), rollout, Gateway({OLD: counted(5)}))
    assert window is not None
    assert window.running is None


async def test_another_window_begins_from_nothing(clock: Clock) -> None:
    gateway, made, rollout = Gateway({NEW: counted(100)}), windows(), under_way()
    await of(made, rollout, gateway)
    gateway.counted = {NEW: counted(160)}
    rollout.given(WindowFailed(step=1))
    window = await of(made, rollout, gateway)
    assert window is not None
    assert window.requests == 0


FAILED = types.AnalysisResult(verdict=types.VERDICT_FAILED, finding="bad")


def test_failed_windows_are_tolerated_up_to_the_limit_and_then_it_goes_back() -> None:
    rollout = under_way(failure_limit=1)
    rollout.when(progress.end_window, step=1, result=FAILED).then(WindowFailed(step=1, result=FAILED))
    rollout.given(WindowFailed(step=1, result=FAILED))
    assert (rollout.state.window, rollout.state.failed_windows, rollout.state.last_result.finding) == (2, 1, "bad")
    assert rollout.state.state == types.ROLLOUT_STATE_PROGRESSING
    rollout.when(progress.end_window, step=1, result=FAILED).then(
        type(back())(cause="bad", trigger=types.TRIGGER_ANALYSIS, result=FAILED)
    )


def test_without_a_limit_the_first_failed_window_goes_back() -> None:
    rollout = under_way()
    rollout.when(progress.end_window, step=1, result=FAILED).then(
        type(back())(cause="bad", trigger=types.TRIGGER_ANALYSIS, result=FAILED)
    )


def test_a_step_begins_with_its_first_window_and_forgets_failures() -> None:
    rollout = under_way(WindowFailed(step=1), failure_limit=3)
    rollout.given(passed(1), step(2, 100))
    assert (rollout.state.window, rollout.state.failed_windows) == (1, 0)
    assert rollout.state.window_start_time.ToDatetime(tzinfo=UTC) > datetime(2000, 1, 1, tzinfo=UTC)
