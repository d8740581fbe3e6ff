"""What alerts there would have been: recorded windows judged again by the decisions that judge new ones. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import simulations_pb2 as told
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate_all
from services.monitoring.domain import monitor as monitors
from services.monitoring.domain.target import answers
from services.monitoring.fitting import fitted
from services.monitoring.methods import METHODS, track_of
from services.monitoring.simulation.rejudging import rejudged

EXPIRED = "the profiles of the window are no longer kept"
Profiles = tuple[types.ProfileSet, types.ProfileSet | None]


@dataclass
class Span:
    """An alert while it is open, and after."""

    rule: str
    check: str
    version: str
    segment: str
    span: told.AlertSpan = field(default_factory=told.AlertSpan)
    seen: bool = False

    def is_of(self, other: "Span") -> bool:
        """Whether both are alerts of one cause that were open at one time."""
        same = (self.version, self.segment) == (other.version, other.segment)
        return same and (self.rule == other.rule != "" or self.check == other.check) and _overlap(self.span, other.span)


class Spans:
    """When which alerts were open, told by the facts of windows."""

    def __init__(self, start: types.Monitor) -> None:
        self.done: list[tuple[int, Span]] = []
        self._open = {
            one.alert: Span(one.rule, one.members[0].check if one.members else one.group.check, one.version, segment)
            for one in start.causes
            if one.alert
            for segment in [one.group.segment]
        }

    def take(self, event: facts.WindowEvaluated) -> None:
        window = event.window
        for one in event.opened:
            span = Span(one.rule, one.check, window.version, one.group.segment if one.rule else window.segment)
            span.span.from_window = window.number
            span.span.start_time.CopyFrom(window.end_time)
            self._open[one.alert] = span
        for result in event.results:
            for span in self._open.values():
                if (span.check, span.version) == (result.check.id, window.version):
                    _worsen(span, result)
        for one in event.closed:
            self._close(one.alert, window.end_time.ToDatetime(), window.number)

    def replace(self, answering: types.KnownEndpoint, at: datetime) -> None:
        """Alerts of versions that no longer answer are over."""
        for alert in [alert for alert, span in self._open.items() if not answers(answering, span.version)]:
            self._close(alert, at, 0)

    def all(self) -> list[tuple[int, Span]]:
        return [*self.done, *self._open.items()]

    def _close(self, alert: int, at: datetime, window: int) -> None:
        span = self._open.pop(alert, None)
        if span is not None:
            span.span.to_window = window
            span.span.end_time.FromDatetime(at)
            self.done.append((alert, span))


class Simulation:
    """A monitor as it would have been: `state`. start: as it was when the simulation begins, under its settings of
    then."""

    def __init__(
        self, start: types.Monitor, checks: Sequence[types.Check], rules: Sequence[types.AlertRule] | None
    ) -> None:
        self.windows = self.recomputed = self.expired = 0
        self.state = types.Monitor()
        self.state.CopyFrom(start)
        self._answering: types.KnownEndpoint | None = None
        self.recorded, self.simulated = Spans(start), Spans(start)
        changed = monitors.change(self.state, checks=checks, rules=rules)
        if changed is not None:
            monitors.evolve(self.state, changed, Fact())

    def needs_profiles(self, fact: facts.WindowEvaluated) -> bool:
        return any(self._rejudged(fact, check) is None for check in self._checks(fact))

    def take(self, fact: facts.WindowEvaluated, profiles: Profiles | None) -> None:
        """One recorded window, with its profiles where they are needed and kept."""
        self.windows += 1
        self.recorded.take(fact)
        self.state.windows = fact.window.number - 1
        may_open = self._answering is None or answers(self._answering, fact.window.version)
        event = monitors.decide(self.state, fact.window, self._results(fact, profiles), may_open=may_open)
        if event is not None:
            monitors.evolve(self.state, event, Fact())
            self.simulated.take(event)

    def shift(self, versions: Collection[str], at: datetime) -> None:
        """The endpoint is answered by these versions from then on."""
        self._answering = types.KnownEndpoint(name=self.state.endpoint, versions=versions)
        for version in monitors.standing_versions(self.state):
            event = monitors.version_replaced(self.state, self._answering, version=version)
            if event is not None:
                monitors.evolve(self.state, event, Fact())
        for spans in (self.recorded, self.simulated):
            spans.replace(self._answering, at)

    def alerts(self) -> list[told.SimulatedAlert]:
        """Those recorded and those that would have been, by when they began."""
        left = [span for _, span in self.simulated.all()]
        found = []
        for alert, was in self.recorded.all():
            would = next((one for one in left if was.is_of(one)), None)
            if would is not None:
                left.remove(would)
            found.append(self._told(alert, was, would))
        found += [self._told(0, None, one) for one in left]
        return sorted(found, key=_begin)

    def _told(self, alert: int, was: Span | None, would: Span | None) -> told.SimulatedAlert:
        one = would or was
        assert one is not None
        state = told.SIMULATED_BOTH if was and would else told.SIMULATED_NO_LONGER if was else told.SIMULATED_NEWLY
        made = told.SimulatedAlert(
            simulated=state, alert=alert, rule=one.rule, check=one.check, version=one.version, segment=one.segment
        )
        if was is not None:
            made.recorded.CopyFrom(was.span)
        if would is not None:
            made.simulated_span.CopyFrom(would.span)
            rule = next((rule for rule in self.state.rules if rule.id == would.rule), None)
            check = next((check for check in self.state.checks if check.id == would.check), None)
            source = rule or check
            made.actions.extend(source.actions if source is not None else ())
        return made

    def _checks(self, fact: facts.WindowEvaluated) -> list[types.Check]:
        return [check for check in self.state.checks if track_of(check) == fact.window.track]

    def _rejudged(self, fact: facts.WindowEvaluated, check: types.Check) -> types.CheckResult | None:
        recorded = next((one for one in fact.results if one.check.id == check.id), None)
        return None if recorded is None else rejudged(recorded, check)

    def _results(self, fact: facts.WindowEvaluated, profiles: Profiles | None) -> list[types.CheckResult]:
        results: list[types.CheckResult] = []
        before = monitors.series_before(self.state, fact.window)
        for check in self._checks(fact):
            result = self._rejudged(fact, check)
            if result is None:
                result = self._recomputed(fact, check, profiles, before)
            results.append(result)
        return results

    def _recomputed(
        self,
        fact: facts.WindowEvaluated,
        check: types.Check,
        profiles: Profiles | None,
        before: dict[str, Sequence[float]],
    ) -> types.CheckResult:
        if profiles is None:
            self.expired += 1
            return types.CheckResult(
                check=check,
                outcome=types.OUTCOME_INCONCLUSIVE,
                method=METHODS[check.method].version,
                rows=fact.window.rows,
                series=before.get(check.id, ()),
                explanation=EXPIRED,
            )
        self.recomputed += 1
        (asked,) = fitted([check], self.state.baseline.thresholds)
        (result,) = evaluate_all([asked], fact.window.track, *profiles, fact.window, before)
        return result


def _worsen(span: Span, result: types.CheckResult) -> None:
    if result.outcome not in (types.OUTCOME_OK, types.OUTCOME_FAILED):
        return
    low = METHODS[result.check.method].low_is_bad
    worse = result.statistic < span.span.worst if low else result.statistic > span.span.worst
    if worse or not span.seen:
        span.span.worst, span.seen = result.statistic, True


def _overlap(one: told.AlertSpan, other: told.AlertSpan) -> bool:
    begins = max(_from(one), _from(other))
    return all(not span.HasField("end_time") or span.end_time.ToMicroseconds() >= begins for span in (one, other))


def _from(span: told.AlertSpan) -> int:
    return span.start_time.ToMicroseconds() if span.HasField("start_time") else 0


def _begin(one: told.SimulatedAlert) -> tuple[int, str, str]:
    spans = [span for span in (one.recorded, one.simulated_span) if span.ByteSize()]
    return min(map(_from, spans), default=0), one.version, one.check
