"""What monitoring decides: monitors, episodes, alerts, retrainings."""

from functools import partial
from typing import Any

import pytest
from google.protobuf.message import Message

from modelog.deployment.v1 import events_pb2 as deployment
from modelog.deployment.v1 import types_pb2 as deployment_types
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from services.monitoring.domain import KNOWN_ENDPOINT, KNOWN_VERSION, MONITOR
from services.monitoring.domain import monitor as monitors
from services.monitoring.domain.baseline import baseline_of
from services.monitoring.profile import capture
from testkit.scenario import Life, Outcome, life
from tests.monitoring.build import ENDPOINT, NEXT_VERSION, VERSION, check, numbers
from tests.monitoring.build import MONITOR as NAME

SERVING = types.KnownEndpoint(name=ENDPOINT, versions=[VERSION, NEXT_VERSION])
WINDOW = types.WindowSpec(size_rows=100)
VOLUME = check(types.METHOD_VOLUME, 10, id="rows")
RETRAINING_NAME = f"{NAME}/retrainings/1"


def created(*checks: types.Check, window: types.WindowSpec = WINDOW) -> facts.MonitorCreated:
    return facts.MonitorCreated(endpoint=ENDPOINT, window=window, checks=checks or [VOLUME])


def monitor(*checks: types.Check) -> Life:
    return life(MONITOR, NAME).given(created(*checks))


class Watch:
    """A monitor that judges one window after another; keeps the facts."""

    def __init__(self, *checks: types.Check) -> None:
        self.life = monitor(*checks)
        self.endpoint = SERVING

    def judge(self, rows: int, version: str = VERSION) -> Outcome:
        window = types.Window(version=version, track=types.TRACK_PREDICTIONS, rows=rows)
        profiles = types.ProfileSet(rows=rows)
        verb = partial(monitors.evaluate, window=window, profiles=profiles, baseline=None)
        outcome = self.life.when(verb, self.endpoint)
        if outcome.event is not None:
            self.life.given(outcome.event)
        return outcome

    def episodes(self, rows: int, version: str = VERSION) -> tuple[list[int], list[int]]:
        event = self.judge(rows, version).event
        assert isinstance(event, facts.WindowEvaluated)
        return [one.alert for one in event.opened], [one.alert for one in event.closed]

    def condition(self, version: str = VERSION) -> types.Condition:
        statuses: list[types.CheckStatus] = list(self.life.state.statuses)
        return next(one.condition for one in statuses if one.version == version)


def create(state: types.Monitor, endpoint: types.KnownEndpoint, **fields: Any) -> Message | None:
    values: dict[str, Any] = {
        "endpoint_name": ENDPOINT,
        "description": "",
        "window": WINDOW,
        "checks": [VOLUME],
        "prediction_column": "",
    }
    return monitors.create(state, endpoint, **(values | fields))


def test_a_monitor_records_every_default() -> None:
    bare = types.Check(id="drift", method=types.METHOD_PSI, threshold=0.25)
    complete = check(types.METHOD_PSI, 0.25, minimum_rows=100)
    life(MONITOR, NAME).when(create, SERVING, checks=[bare]).then(created(complete))


def test_a_monitor_needs_an_endpoint_that_is_there() -> None:
    life(MONITOR, NAME).when(create, types.KnownEndpoint()).then_refused("ENDPOINT_NOT_FOUND")
    gone = types.KnownEndpoint(name=ENDPOINT, removed=True)
    life(MONITOR, NAME).when(create, gone).then_refused("ENDPOINT_REMOVED")
    monitor().when(create, SERVING).then_refused("MONITOR_EXISTS")


@pytest.mark.parametrize(
    "fields",
    [
        {"window": types.WindowSpec()},
        {"window": types.WindowSpec(size_rows=1, size_seconds=1)},
        {"window": types.WindowSpec(size_rows=1, lateness_seconds=1)},
        {"checks": []},
        {"checks": [VOLUME, VOLUME]},
        {"checks": [types.Check(id="x", threshold=1)]},
        {"checks": [types.Check(id="X", method=types.METHOD_VOLUME)]},
        {"checks": [types.Check(id="x", method=types.METHOD_ACCURACY, threshold=1.5)]},
        {"checks": [types.Check(id="x", method=types.METHOD_VOLUME, columns=["age"])]},
        {"checks": [types.Check(id="x", method=types.METHOD_VOLUME, failing_columns=2)]},
        {"checks": [types.Check(id="x", method=types.METHOD_PSI, bins=1)]},
        {"checks": [types.Check(id="x", method=types.METHOD_ACCURACY, bins=10)]},
        {"checks": [types.Check(id="x", method=types.METHOD_PSI, significance=0.05)]},
        {"checks": [types.Check(id="x", method=types.METHOD_PSI, columns=[f"{i:0128}" for i in range(200)])]},
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any]) -> None:
    life(MONITOR, NAME).when(create, SERVING, **fields).then_refused("INVALID_REQUEST")


def test_a_change_holds_everything_and_no_change_is_nothing() -> None:
    other = check(types.METHOD_VOLUME, 20, id="rows")
    changed = facts.MonitorChanged(description="", window=WINDOW, checks=[other])
    monitor().when(monitors.change, checks=[other]).then(changed)
    monitor().when(monitors.change, description="", checks=[VOLUME]).then_nothing()
    life(MONITOR, NAME).when(monitors.change, description="x").then_refused("MONITOR_NOT_FOUND")


def test_pausing_twice_is_once() -> None:
    one = monitor()
    one.when(monitors.resume).then_nothing()
    one.when(monitors.pause).then(facts.MonitorPaused())
    one.given(facts.MonitorPaused()).when(monitors.pause).then_nothing()
    one.when(monitors.resume).then(facts.MonitorResumed())


def test_a_paused_monitor_judges_nothing() -> None:
    watch = Watch()
    watch.life.given(facts.MonitorPaused())
    watch.judge(100).then_refused("MONITOR_PAUSED")


def test_the_same_baseline_again_changes_nothing() -> None:
    baseline = types.Baseline(digest="aa", rows=10)
    one = monitor()
    one.when(monitors.capture_baseline, baseline=baseline).then(facts.BaselineCaptured(baseline=baseline))
    one.given(facts.BaselineCaptured(baseline=baseline))
    assert one.state.baseline.capture_time.ToJsonString() == "2026-03-01T14:00:00Z"
    one.when(monitors.capture_baseline, baseline=baseline).then_nothing()


def test_windows_are_numbered_and_say_everything() -> None:
    watch = Watch()
    event = watch.judge(100).event
    assert isinstance(event, facts.WindowEvaluated)
    assert (event.endpoint, event.window.number, event.window.rows) == (ENDPOINT, 1, 100)
    assert [(one.check.id, one.outcome) for one in event.results] == [("rows", types.OUTCOME_OK)]
    assert watch.judge(100).event.window.number == 2  # type: ignore[union-attr]


def test_an_episode_opens_once_and_ends_once() -> None:
    watch = Watch()
    seen = [watch.episodes(rows) for rows in (100, 5, 5, 5, 100, 100, 5, 100)]
    assert seen == [([], []), ([1], []), ([], []), ([], []), ([], [1]), ([], []), ([2], []), ([], [2])]
    assert watch.life.state.alerts == 2


def test_a_check_may_fail_for_a_while_before_it_fires_and_pass_for_a_while_before_it_is_over() -> None:
    watch = Watch(check(types.METHOD_VOLUME, 10, id="rows", raise_after_windows=3, resolve_after_windows=2))
    conditions = []
    for rows in (5, 5, 100, 5, 5, 5, 100, 5, 100, 100):
        watch.judge(rows)
        conditions.append(types.Condition.Name(watch.condition()).removeprefix("CONDITION_"))
    assert conditions == ["PENDING", "PENDING", "OK", "PENDING", "PENDING", *["FIRING"] * 4, "OK"]
    assert watch.life.state.alerts == 1


def test_versions_are_judged_apart() -> None:
    watch = Watch()
    assert watch.episodes(5, VERSION) == ([1], [])
    assert watch.episodes(5, NEXT_VERSION) == ([2], [])
    assert watch.episodes(100, VERSION) == ([], [1])
    assert watch.condition(NEXT_VERSION) == types.CONDITION_FIRING


def test_two_checks_may_open_two_episodes_with_one_window() -> None:
    watch = Watch(VOLUME, check(types.METHOD_ERROR_RATE, 0, id="errors"), check(types.METHOD_VOLUME, 50, id="more"))
    assert watch.episodes(5) == ([1, 2], [])
    assert [one.check for one in watch.life.state.statuses if one.alert] == ["rows", "more"]


def test_a_window_without_data_changes_nothing_that_stands() -> None:
    watch = Watch(check(types.METHOD_MISSING_SHARE, 0.1, id="missing"))
    watch.judge(0)
    assert watch.life.state.statuses[0].last_outcome == types.OUTCOME_NO_DATA
    assert watch.condition() == types.CONDITION_UNSPECIFIED
    watch.judge(0).then_nothing()


def test_a_run_of_empty_windows_is_recorded_until_it_says_nothing_new() -> None:
    watch = Watch(check(types.METHOD_VOLUME, 10, id="rows", raise_after_windows=3))
    recorded = [watch.judge(0).event is not None for _ in range(5)]
    assert recorded == [True, True, True, False, False]
    assert watch.condition() == types.CONDITION_FIRING


def test_a_version_that_no_longer_answers_opens_no_alert() -> None:
    watch = Watch()
    watch.endpoint = types.KnownEndpoint(name=ENDPOINT, versions=[NEXT_VERSION])
    assert watch.episodes(5) == ([], [])
    watch.endpoint = SERVING
    assert watch.episodes(5) == ([1], [])


def test_a_replaced_version_is_forgotten_with_its_alerts_and_begins_anew() -> None:
    watch = Watch()
    watch.judge(5)
    replaced = facts.VersionReplaced(version=VERSION, closed=[facts.Episode(alert=1, check="rows")])
    verb = partial(monitors.version_replaced, version=VERSION)
    watch.life.when(verb, SERVING).then_nothing()
    watch.life.when(verb, types.KnownEndpoint(name=ENDPOINT)).then(replaced)
    watch.life.given(replaced)
    assert not watch.life.state.statuses
    assert watch.episodes(5) == ([2], [])


def test_a_monitor_remembers_eight_versions_those_judged_last() -> None:
    watch = Watch()
    names = [f"projects/risk/models/fraud/versions/{number}" for number in range(1, 12)]
    watch.endpoint = types.KnownEndpoint(name=ENDPOINT, versions=names)
    for name in [*names, names[3]]:
        watch.judge(100, name)
    assert [one.version for one in watch.life.state.statuses] == [*names[4:], names[3]]


def test_a_check_that_is_gone_stands_nowhere() -> None:
    watch = Watch()
    watch.judge(5)
    other = check(types.METHOD_VOLUME, id="other")
    ended = [facts.Episode(alert=1, check="rows")]
    changed = facts.MonitorChanged(window=WINDOW, checks=[other], closed=ended)
    watch.life.when(monitors.change, checks=[other]).then(changed)
    watch.life.given(changed)
    assert not watch.life.state.statuses


def test_a_window_that_no_check_looks_at_any_more_says_nothing() -> None:
    Watch(check(types.METHOD_ACCURACY, id="right")).judge(100).then_nothing()


def test_a_baseline_must_add_up() -> None:
    good = capture([numbers("a", [1.0, 2.0]), numbers("b", [1.0, 2.0])])
    assert [one.name for one in baseline_of(good, digest="d", description="").columns] == ["a", "b"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.ClearField("columns"),
        lambda p: p.columns.reverse(),
        lambda p: setattr(p.columns[0], "role", types.COLUMN_ROLE_UNSPECIFIED),
        lambda p: setattr(p.columns[1], "name", "a"),
        lambda p: setattr(p.columns[0], "rows", 3),
        lambda p: setattr(p.columns[0], "missing", 2),
        lambda p: setattr(p.columns[0].numbers, "below", 1),
        lambda p: p.columns[0].numbers.edges.reverse(),
        lambda p: p.columns[0].numbers.edges.pop(),
        lambda p: p.columns[0].categories.categories.add(value="x", count=1),
    ],
)
def test_a_baseline_that_does_not_add_up_is_refused(spoil: Any) -> None:
    profiles = capture([numbers("a", [1.0, 2.0]), numbers("b", [1.0, 2.0])])
    spoil(profiles)
    life(MONITOR, NAME).when(lambda _: baseline_of(profiles, digest="d", description="")).then_refused(
        "INVALID_REQUEST"
    )


def test_what_answers_on_an_endpoint_is_known_from_its_traffic() -> None:
    share = deployment_types.TrafficShare
    one = life(KNOWN_ENDPOINT, ENDPOINT).given(
        deployment.EndpointCreated(),
        deployment.TrafficShifted(
            traffic=[share(version=VERSION, percent=10), share(version=NEXT_VERSION, percent=90), share(version="v")]
        ),
    )
    assert list(one.state.versions) == [NEXT_VERSION, VERSION]
    one.given(deployment.EndpointRemoved())
    assert (list(one.state.versions), one.state.removed) == ([], True)


def test_the_signature_of_a_version_is_known() -> None:
    column = registry_types.Column
    signature = registry_types.Signature(
        inputs=[column(name="age", type=registry_types.DATA_TYPE_FLOAT64)],
        outputs=[column(name="label", type=registry_types.DATA_TYPE_STRING)],
    )
    one = life(KNOWN_VERSION, VERSION).given(
        registry.VersionRegistered(signature=signature, answers=RETRAINING_NAME), registry.StageChanged()
    )
    assert [(c.name, c.role, c.categorical) for c in one.state.columns] == [
        ("age", types.COLUMN_ROLE_INPUT, False),
        ("label", types.COLUMN_ROLE_OUTPUT, True),
    ]
    assert (one.state.answers, one.state.generation) == (RETRAINING_NAME, 2)
