"""Random histories: whatever comes in whatever order, no cause has two open alerts, and replaying changes nothing."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as some

from kernel.fold import apply
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import ALERT, MONITOR
from services.monitoring.domain import alert as alerts
from services.monitoring.domain import monitor as monitors
from services.monitoring.domain.rules import complete_rules
from testkit.scenario import START, Life, life
from tests.monitoring.build import ENDPOINT, NEXT_VERSION, VERSION, check
from tests.monitoring.build import MONITOR as NAME

CHECKS = (
    check(types.METHOD_VOLUME, 10, id="rows", resolve_after_windows=2),
    check(types.METHOD_VOLUME, 50, id="more", raise_after_windows=2),
)
HOUR = timedelta(hours=1)
Verb = Callable[..., Any]
VERSIONS = (VERSION, NEXT_VERSION)


class Seen(NamedTuple):
    """A window that comes: its hour need not be the next one."""

    hour: int
    rows: int
    version: str
    segment: str


class Replaced(NamedTuple):
    version: str


class Ruled(NamedTuple):
    rules: tuple[types.AlertRule, ...]


class ByHand(NamedTuple):
    """Somebody ends an alert."""

    number: int


RULES = some.builds(
    types.AlertRule,
    id=some.sampled_from(["first", "first", "second"]),
    when=some.sampled_from(["failed", "value < 20.0", "checks['rows'].failed", "failed && previous.failed"]),
    group_by=some.lists(some.sampled_from([2, 3, 4]), unique=True),
    for_windows=some.integers(0, 2),
    for_seconds=some.sampled_from([0, 7200]),
    clear_when=some.sampled_from(["", "value > 40.0"]),
    clear_windows=some.integers(0, 2),
    reopen_within_seconds=some.sampled_from([0, 3600, 36000]),
)
RULED = some.lists(RULES, max_size=2, unique_by=lambda rule: rule.id).map(lambda rules: Ruled(tuple(rules)))
WINDOWS = some.builds(
    Seen,
    hour=some.integers(0, 12),
    rows=some.sampled_from([5, 30, 60]),
    version=some.sampled_from(VERSIONS),
    segment=some.sampled_from(["", "country=DE"]),
)
STEPS = some.one_of(
    WINDOWS,
    WINDOWS,
    WINDOWS,
    some.builds(Replaced, version=some.sampled_from(VERSIONS)),
    RULED,
    some.builds(ByHand, number=some.integers(1, 4)),
)


class World:
    """A monitor and its alerts, driven as the service drives them."""

    def __init__(self) -> None:
        self.monitor = life(MONITOR, NAME).given(
            facts.MonitorCreated(endpoint=ENDPOINT, window=types.WindowSpec(size_seconds=3600), checks=CHECKS)
        )
        self.answering = list(VERSIONS)
        self.alerts: dict[int, Life] = {}
        self.newest: dict[tuple[str, str], int] = {}

    def take(self, step: Seen | Replaced | Ruled | ByHand) -> None:
        match step:
            case Seen():
                self._window(step)
            case Replaced():
                self.answering = [one for one in VERSIONS if one != step.version]
                endpoint = types.KnownEndpoint(name=ENDPOINT, versions=self.answering)
                event = self.monitor.when(partial(monitors.version_replaced, version=step.version), endpoint).event
                if isinstance(event, facts.VersionReplaced):
                    self.monitor.given(event)
                    self._end(event.closed, types.RESOLUTION_VERSION_REPLACED)
                self.answering = list(VERSIONS)
            case Ruled():
                event = self.monitor.when(monitors.change, rules=complete_rules(step.rules, CHECKS)).event
                if isinstance(event, facts.MonitorChanged):
                    self.monitor.given(event)
                    self._end(event.closed, types.RESOLUTION_CHECK_REMOVED)
            case ByHand():
                if step.number in self.alerts:
                    self._on(step.number, partial(alerts.resolve, resolution=types.RESOLUTION_BY_HAND))

    def _window(self, step: Seen) -> None:
        window = types.Window(version=step.version, track=types.TRACK_PREDICTIONS, rows=step.rows, segment=step.segment)
        window.start_time.FromDatetime(START + step.hour * HOUR)
        window.end_time.FromDatetime(START + (step.hour + 1) * HOUR)
        verb = partial(monitors.evaluate, window=window, profiles=types.ProfileSet(rows=step.rows), baseline=None)
        event = self.monitor.when(verb, types.KnownEndpoint(name=ENDPOINT, versions=self.answering)).event
        assert isinstance(event, facts.WindowEvaluated)
        self.monitor.given(event)
        for episode in event.opened:
            raise_: Verb = alerts.reopen if episode.again else partial(alerts.raise_, monitor=NAME)
            assert episode.again == (episode.alert in self.alerts)
            self._on(episode.alert, partial(raise_, evaluated=event, episode=episode))
        for episode in event.joined:
            self._on(episode.alert, partial(alerts.join, evaluated=event, episode=episode))
        self._end(event.closed, types.RESOLUTION_RECOVERED)
        lane = (step.version, step.segment)
        newest = self.newest.get(lane, -1)
        if step.hour < newest:
            assert not [*event.opened, *event.closed, *event.joined, *event.judgements]
        self.newest[lane] = max(newest, step.hour)

    def _end(self, episodes: Iterable[facts.Episode], resolution: types.Resolution) -> None:
        for episode in episodes:
            self._on(episode.alert, partial(alerts.resolve, resolution=resolution))

    def _on(self, number: int, verb: Verb) -> None:
        one = self.alerts.setdefault(number, life(ALERT, f"{NAME}/alerts/{number}"))
        outcome = one.when(partial(verb, now=START))
        assert outcome.refusal is None
        if outcome.event is not None:
            one.given(outcome.event)

    def causes_of_open_alerts(self) -> list[tuple[str, str, str, str, str]]:
        """By the alerts themselves, not by what the monitor thinks of them."""
        found = []
        for one in self.alerts.values():
            alert: types.Alert = one.state
            if alert.state != types.ALERT_STATE_RESOLVED:
                by = {rule.id: rule.group_by for rule in self.monitor.state.rules}.get(alert.rule, [2, 4])
                member = alert.members[0]
                check, segment = member.check if 2 in by else "", member.segment if 4 in by else ""
                found.append((alert.rule, alert.version, check, member.column if 3 in by else "", segment))
        return found


@settings(max_examples=400, deadline=None)
@given(some.lists(STEPS, min_size=1, max_size=40))
def test_no_cause_ever_has_two_open_alerts(steps: list[Seen | Replaced | Ruled | ByHand]) -> None:
    world = World()
    for step in steps:
        if isinstance(step, Replaced):
            world.newest = {lane: hour for lane, hour in world.newest.items() if lane[0] != step.version}
        world.take(step)
        counted = Counter(world.causes_of_open_alerts())
        assert not [cause for cause, alerts in counted.items() if alerts > 1], counted
        opened = {cause.alert for cause in world.monitor.state.causes if cause.alert}
        firing = {number for number, one in world.alerts.items() if one.state.state != types.ALERT_STATE_RESOLVED}
        assert firing <= opened  # One that was ended by hand is still watched until it recovers.
    assert sorted(world.alerts) == list(range(1, world.monitor.state.alerts + 1))
    replayed = life(MONITOR, NAME)
    for fact in world.monitor.facts:
        apply(MONITOR, replayed.state, fact, replayed.revision + 1)
        replayed.revision += 1
    assert replayed.state == world.monitor.state
