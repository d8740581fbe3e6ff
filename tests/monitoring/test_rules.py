"""Rules: what a monitor takes, and when its alerts open, grow, end and open again."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from google.protobuf.message import Message

from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import MONITOR
from services.monitoring.domain import monitor as monitors
from services.monitoring.domain.rules import complete_rules
from testkit.scenario import START, life
from tests.monitoring.build import ENDPOINT, NEXT_VERSION, VERSION, check
from tests.monitoring.build import MONITOR as NAME

ROWS = check(types.METHOD_VOLUME, 10, id="rows", severity=types.SEVERITY_CRITICAL)
MORE = check(types.METHOD_VOLUME, 50, id="more")
HOUR = timedelta(hours=1)


def rule(when: str = "failed", **fields: Any) -> types.AlertRule:
    return types.AlertRule(id="rule", when=when, **fields)


class Watch:
    """A monitor by the hour with rules; `judge` tells what opened, ended and joined."""

    def __init__(self, *rules: types.AlertRule, checks: tuple[types.Check, ...] = (ROWS,), hours: bool = True) -> None:
        window = types.WindowSpec(size_seconds=3600) if hours else types.WindowSpec(size_rows=100)
        self.life = life(MONITOR, NAME).given(
            facts.MonitorCreated(endpoint=ENDPOINT, window=window, checks=checks, rules=complete_rules(rules, checks))
        )
        self.endpoint = types.KnownEndpoint(name=ENDPOINT, versions=[VERSION, NEXT_VERSION])

    def record(self, hour: int, rows: int, version: str = VERSION, segment: str = "") -> facts.WindowEvaluated:
        window = types.Window(version=version, track=types.TRACK_PREDICTIONS, rows=rows, segment=segment)
        window.start_time.FromDatetime(START + hour * HOUR)
        window.end_time.FromDatetime(START + (hour + 1) * HOUR)
        verb = partial(monitors.evaluate, window=window, profiles=types.ProfileSet(rows=rows), baseline=None)
        event = self.life.when(verb, self.endpoint).event
        assert isinstance(event, facts.WindowEvaluated)
        self.life.given(event)
        return event

    def judge(self, hour: int, rows: int, version: str = VERSION, segment: str = "") -> str:
        """`+1` for an alert that opened, `~1` for one that opened again, `-1` for one that ended, `&1` for one that
        grew."""
        event = self.record(hour, rows, version, segment)
        told = [f"{'~' if one.again else '+'}{one.alert}" for one in event.opened]
        told += [f"-{one.alert}" for one in event.closed] + [f"&{one.alert}" for one in event.joined]
        return " ".join(told)

    def change(self, **fields: Any) -> Message | None:
        event = self.life.when(monitors.change, **fields).event
        if event is not None:
            self.life.given(event)
        return event


def test_a_rule_holds_for_so_many_windows_before_it_raises_and_is_clear_for_so_many_before_it_is_over() -> None:
    watch = Watch(rule(for_windows=2, clear_windows=2))
    seen = [watch.judge(hour, rows) for hour, rows in enumerate([5, 50, 5, 5, 50, 5, 50, 50])]
    assert seen == ["", "", "", "+1", "", "", "", "-1"]


def test_a_rule_holds_for_so_long_by_the_time_of_events() -> None:
    watch = Watch(rule(for_seconds=7200, clear_seconds=7200))
    assert [watch.judge(hour, rows) for hour, rows in enumerate([5, 5, 5, 50, 50])] == ["", "+1", "", "", "-1"]
    # A window that is missing does not shorten what the others span.
    assert [watch.judge(hour, 5) for hour in (10, 12)] == ["", "+2"]


def test_between_the_two_conditions_nothing_changes() -> None:
    watch = Watch(rule("value < 10.0", clear_when="value > 20.0"))
    assert [watch.judge(hour, rows) for hour, rows in enumerate([15, 5, 15, 15, 25, 15, 5])] == [
        *("", "+1", "", "", "-1", "", "+2"),
    ]


def test_what_fails_again_soon_opens_the_same_alert() -> None:
    watch = Watch(rule(reopen_within_seconds=7200))
    assert [watch.judge(hour, rows) for hour, rows in enumerate([5, 50, 5, 50, 50, 50, 5])] == [
        *("+1", "-1", "~1", "-1", "", "", "+2"),
    ]


def test_windows_that_come_too_late_change_nothing() -> None:
    watch = Watch(rule())
    assert [watch.judge(hour, rows) for hour, rows in [(3, 5), (4, 50), (2, 5), (5, 50), (4, 5)]] == [
        *("+1", "-1", "", "", ""),
    ]
    assert not watch.life.state.causes
    assert watch.life.state.statuses[0].passed_windows == 2
    # Without rules as well.
    watch = Watch()
    assert [watch.judge(hour, rows) for hour, rows in [(3, 5), (4, 50), (2, 5), (2, 50)]] == ["+1", "-1", "", ""]


def test_windows_by_count_share_their_moments() -> None:
    watch = Watch(rule(), hours=False)
    assert [watch.judge(1, rows) for rows in (5, 50, 5)] == ["+1", "-1", "+2"]
    assert [watch.judge(hour, 50) for hour in (0, 0)] == ["-2", ""]
    assert [watch.judge(hour, 5) for hour in (-1, 0)] == ["", "+3"]


def test_what_fails_together_is_one_alert_until_the_last_has_recovered() -> None:
    watch = Watch(rule(), checks=(ROWS, MORE))
    event = watch.record(0, 30)
    assert [one.check for one in event.opened[0].members] == ["more"]
    assert event.opened[0].severity == types.SEVERITY_WARNING
    event = watch.record(1, 5)
    assert [(one.alert, [member.check for member in one.members]) for one in event.joined] == [(1, ["rows"])]
    assert [watch.judge(hour, rows) for hour, rows in [(2, 30), (3, 5), (4, 60)]] == ["", "", "-1"]


@pytest.mark.parametrize(
    ("by", "alerts"),
    [
        ([], 1),
        ([types.GROUPING_VERSION], 1),
        ([types.GROUPING_CHECK], 2),
        ([types.GROUPING_SEGMENT], 3),
        ([types.GROUPING_CHECK, types.GROUPING_SEGMENT], 6),
    ],
)
def test_alerts_are_told_apart_by_what_the_rule_groups_by(by: list[types.Grouping], alerts: int) -> None:
    watch = Watch(rule(group_by=by), checks=(ROWS, MORE))
    for segment in ("", "country=DE", "country=FR"):
        watch.record(0, 5, segment=segment)
    assert watch.life.state.alerts == alerts
    for segment in ("", "country=DE", "country=FR"):
        watch.record(1, 60, segment=segment)
    assert not watch.life.state.causes


def test_versions_are_always_apart() -> None:
    watch = Watch(rule())
    assert [watch.judge(0, 5, VERSION), watch.judge(0, 5, NEXT_VERSION), watch.judge(1, 50, VERSION)] == [
        *("+1", "+2", "-1"),
    ]
    watch.endpoint = types.KnownEndpoint(name=ENDPOINT, versions=[VERSION])
    event = watch.life.when(partial(monitors.version_replaced, version=NEXT_VERSION), watch.endpoint).event
    assert isinstance(event, facts.VersionReplaced)
    assert [one.alert for one in event.closed] == [2]
    assert watch.judge(1, 5, NEXT_VERSION) == ""


def test_a_rule_sees_other_checks_and_the_window_before() -> None:
    watch = Watch(rule("check == 'rows' && checks['more'].failed && previous.failed"), checks=(ROWS, MORE))
    assert [watch.judge(hour, rows) for hour, rows in enumerate([30, 5, 5, 60])] == ["", "", "+1", "-1"]
    for condition in ("checks[check].failed && checks['more'].failed", "checks.all(one, checks[one].failed)"):
        watch = Watch(rule(condition), checks=(ROWS, MORE))
        assert [watch.judge(hour, rows) for hour, rows in enumerate([30, 5, 60])][1] in ("+1", "&1")
    watch = Watch(rule("value < previous.value / 2.0"))
    assert [watch.judge(hour, rows) for hour, rows in enumerate([100, 90, 40, 40])] == ["", "", "+1", "-1"]


def test_what_cannot_be_answered_neither_raises_nor_ends() -> None:
    watch = Watch(rule("failed || (value > 15.0 && int(version) > 0)"))
    event = watch.record(0, 20)
    assert not event.opened
    assert event.judgements[0].fault
    assert [watch.judge(1, 5), watch.judge(2, 20), watch.judge(3, 12)] == ["+1", "", "-1"]


def test_alerts_end_with_their_rule_their_grouping_and_their_checks() -> None:
    def closed(**fields: Any) -> list[int]:
        watch = Watch(rule(), checks=(ROWS, MORE))
        watch.record(0, 5)
        event = watch.change(**fields)
        assert isinstance(event, facts.MonitorChanged)
        assert bool(event.closed) != bool(watch.life.state.causes)
        return [one.alert for one in event.closed]

    assert closed(rules=[]) == [1]
    assert closed(rules=[types.AlertRule(id="other", when="failed")]) == [1]
    assert closed(rules=[rule(group_by=[types.GROUPING_CHECK])]) == [1]
    assert closed(rules=[rule("value < 3.0")]) == []
    assert closed(checks=[ROWS]) == []
    assert closed(checks=[check(types.METHOD_VOLUME, 1, id="others")]) == [1]
    watch = Watch()
    watch.record(0, 5)
    event = watch.change(rules=[rule()])
    assert isinstance(event, facts.MonitorChanged)
    assert [(one.alert, one.check) for one in event.closed] == [(1, "rows")]
    assert watch.judge(1, 5) == "+2"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (rule("value >"), "Write a condition"),
        (rule("valu > 1.0"), "unknown name 'valu'"),
        (rule("value"), "not true or false"),
        (rule("value / 2 > 1"), "same type"),
        (rule("checks['drift'].failed"), "checks has rows"),
        (rule("failed && check > 1"), "Write a condition"),
        (rule(clear_when="value > 'x'"), "Write a condition"),
        (rule(checks=["drift"]), "no check 'drift'; take some of rows"),
        (rule(escalate_to="users/ada"), "say after how long"),
        (types.AlertRule(id="rule"), "say what has to hold"),
        (types.AlertRule(id="Rule", when="failed"), "not an id"),
    ],
)
def test_a_rule_that_cannot_be_answered_is_refused_with_what_to_write(wrong: types.AlertRule, says: str) -> None:
    outcome = Watch().life.when(monitors.change, rules=[wrong])
    outcome.then_refused("INVALID_REQUEST")
    assert says in str(outcome.refusal)


def test_rules_are_looked_at_when_checks_change() -> None:
    watch = Watch(rule("checks['rows'].failed"))
    watch.life.when(monitors.change, checks=[MORE]).then_refused("INVALID_REQUEST")
    watch.life.when(monitors.change, rules=[rule(), rule()]).then_refused("INVALID_REQUEST")


def test_columns_are_judged_one_by_one_where_a_rule_groups_by_them() -> None:
    missing = check(types.METHOD_MISSING_SHARE, 0.1, id="missing")
    watch = Watch(rule("value > 0.3", group_by=[types.GROUPING_COLUMN]), checks=(missing,))
    columns = [types.Profile(name=name, rows=100, missing=lost) for name, lost in [("a", 50), ("b", 40), ("c", 20)]]
    window = types.Window(version=VERSION, track=types.TRACK_PREDICTIONS, rows=100)
    profiles = types.ProfileSet(rows=100, columns=columns)
    verb = partial(monitors.evaluate, window=window, profiles=profiles, baseline=None)
    event = watch.life.when(verb, watch.endpoint).event
    assert isinstance(event, facts.WindowEvaluated)
    assert [(one.alert, one.group.column, one.members[0].statistic) for one in event.opened] == [
        (1, "a", 0.5),
        (2, "b", 0.4),
    ]


def test_a_fact_has_room_whatever_fails_at_once() -> None:
    missing = check(types.METHOD_MISSING_SHARE, 0.1, id="m" * 63)
    rules = [
        types.AlertRule(
            id=f"rule-{number}", when="failed || " + "failed || " * 30 + "failed", group_by=[types.GROUPING_COLUMN]
        )
        for number in range(16)
    ]
    watch = Watch(*rules, checks=(missing,))
    columns = [types.Profile(name=f"{number:0128}", rows=100, missing=50) for number in range(200)]
    profiles = types.ProfileSet(rows=100, columns=columns)
    sizes, opened = [], 0
    for hour in range(6):
        window = types.Window(version=VERSION, track=types.TRACK_PREDICTIONS, rows=100)
        window.start_time.FromDatetime(START + hour * HOUR)
        window.end_time.FromDatetime(START + (hour + 1) * HOUR)
        verb = partial(monitors.evaluate, window=window, profiles=profiles, baseline=None)
        event = watch.life.when(verb, watch.endpoint).event
        assert isinstance(event, facts.WindowEvaluated)
        watch.life.given(event)
        sizes.append(event.ByteSize())
        opened += len(event.opened)
    assert max(sizes) < 62 * 1024
    assert watch.life.state.alerts == opened
    assert len({(one.rule, one.group.column) for one in watch.life.state.causes if one.alert}) == opened
    assert opened >= 50
