"""The monitor: what is watched on an endpoint, what each window says, and what that means for alerts."""

from collections.abc import Collection, Iterable, Sequence

from google.protobuf.message import Message

from kernel.errors import AlreadyExists, Conflict, NotAllowedNow, NotFound, UnknownFact, invalid_field
from kernel.fold import kind
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import alert_events_pb2 as later
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import continued, evaluate_all
from services.monitoring.domain import episodes
from services.monitoring.domain.checking import complete_checks, complete_window, refuse_unsampled
from services.monitoring.domain.rules import CONCLUSIVE, complete_rules, judge
from services.monitoring.domain.target import answers
from services.monitoring.fitting import fitted, still_fitted
from services.monitoring.methods import sensitive_of

_MOST_JUDGED_BYTES = 48 * 1024  # Of a window's fact, which may have 64 KiB, with judgements; episodes come after.
_CLOCKS_DIFFER_NANOSECONDS = 60 * 10**9  # As far ahead of ours as telemetry is taken.
_MOST_LANES = 128  # The same of versions and their segments.
_MOST_VERSIONS = 8  # Whose standing a monitor remembers; each fact writes the monitor again, so it has to stay small.


def create(
    monitor: types.Monitor,
    endpoint: types.KnownEndpoint,
    *,
    endpoint_name: str,
    description: str,
    window: types.WindowSpec,
    checks: Iterable[types.Check],
    prediction_column: str,
    rules: Iterable[types.AlertRule] = (),
) -> Message:
    if monitor.name:
        raise AlreadyExists("MONITOR_EXISTS", f"{monitor.name} exists already; update it or take another id")
    if not endpoint.name:
        raise NotFound("ENDPOINT_NOT_FOUND", f"there is no {endpoint_name}; create the endpoint first")
    if endpoint.removed:
        raise NotAllowedNow("ENDPOINT_REMOVED", f"{endpoint_name} was removed and answers nothing any more")
    complete = complete_checks(checks)
    created = facts.MonitorCreated(
        endpoint=endpoint_name,
        description=description,
        window=complete_window(window),
        checks=complete,
        prediction_column=prediction_column,
        rules=complete_rules(rules, complete),
    )
    refuse_unsampled(created.window, created.checks)
    return created


def change(
    monitor: types.Monitor,
    *,
    description: str | None = None,
    window: types.WindowSpec | None = None,
    checks: Iterable[types.Check] | None = None,
    prediction_column: str | None = None,
    rules: Iterable[types.AlertRule] | None = None,
) -> Message | None:
    """None for a field leaves it as it is."""
    _must_exist(monitor)
    changed = facts.MonitorChanged(
        description=monitor.description if description is None else description,
        window=monitor.window if window is None else complete_window(window),
        checks=monitor.checks if checks is None else complete_checks(checks),
        prediction_column=monitor.prediction_column if prediction_column is None else prediction_column,
    )
    # Rules are looked at even when only the checks change, which they may name.
    changed.rules.extend(complete_rules(monitor.rules if rules is None else rules, changed.checks))
    same = facts.MonitorChanged(
        description=monitor.description,
        window=monitor.window,
        checks=monitor.checks,
        prediction_column=monitor.prediction_column,
        rules=monitor.rules,
    )
    if changed == same:
        return None
    refuse_unsampled(changed.window, changed.checks)
    kept = {episodes.key_of(cause) for cause in _meant(monitor, changed)}
    changed.closed.extend(episodes.ended(one for one in monitor.causes if episodes.key_of(one) not in kept))
    return changed


def _meant(monitor: types.Monitor, changed: facts.MonitorChanged) -> list[types.Cause]:
    return episodes.meant(monitor.causes, monitor.rules, changed.rules, changed.checks)


def pause(monitor: types.Monitor) -> Message | None:
    _must_exist(monitor)
    return None if monitor.state == types.MONITOR_STATE_PAUSED else facts.MonitorPaused()


def resume(monitor: types.Monitor) -> Message | None:
    _must_exist(monitor)
    return None if monitor.state == types.MONITOR_STATE_ACTIVE else facts.MonitorResumed()


def capture_baseline(
    monitor: types.Monitor,
    *,
    baseline: types.Baseline,
    judged: Iterable[types.Check] = (),
    sampled: Collection[str] = (),
) -> Message | None:
    """judged: the checks whose thresholds stand in the baseline. sampled: the columns whose values are kept row by
    row."""
    _must_exist(monitor)
    if kept := sorted(set(sampled) & set(sensitive_of(monitor.checks))):
        reason = f"{', '.join(kept)}: rows of a sensitive column are never kept; leave it out, or sample_rows"
        raise invalid_field("values.sample_rows", reason, "SENSITIVE")
    if baseline.thresholds and list(judged) != list(monitor.checks):
        raise Conflict("CHECKS_CHANGED", f"the checks of {monitor.name} were changed meanwhile; capture it again")
    present = types.Baseline()
    present.CopyFrom(monitor.baseline)
    for one in (present, other := types.Baseline.FromString(baseline.SerializeToString())):
        one.ClearField("capture_time")
        one.ClearField("description")
    if not other.thresholds:  # Who gives the profiles alone says nothing of chunks.
        for field in ("thresholds", "chunk_rows"):
            present.ClearField(field)
    if present == other:
        return None  # The same profiles, to the byte, with the same thresholds.
    return facts.BaselineCaptured(baseline=baseline)


def evaluate(
    monitor: types.Monitor,
    endpoint: types.KnownEndpoint,
    *,
    window: types.Window,
    profiles: types.ProfileSet,
    baseline: types.ProfileSet | None,
) -> Message | None:
    """Judges a closed window, whose number is given here. None when it says nothing: it is empty and that is known
    already, or no check looks at its track any more.

    `baseline` is the one the window was counted for, with the digest in `window`; None when there was none.
    A version that no longer answers on the endpoint gets its results, but opens no alert.
    """
    _must_exist(monitor)
    if monitor.state == types.MONITOR_STATE_PAUSED:
        raise NotAllowedNow("MONITOR_PAUSED", f"{monitor.name} is paused; resume it")
    checks = fitted(monitor.checks, monitor.baseline.thresholds)
    results = evaluate_all(checks, window.track, profiles, baseline, window, series_before(monitor, window))
    return decide(monitor, window, results, may_open=answers(endpoint, window.version))


def series_before(monitor: types.Monitor, window: types.Window) -> dict[str, Sequence[float]]:
    """By check the series that goes on with this window."""
    return {status.check: status.series for status in monitor.statuses if _lane(status) == _lane(window)}


def decide(
    monitor: types.Monitor, window: types.Window, results: Sequence[types.CheckResult], *, may_open: bool
) -> facts.WindowEvaluated | None:
    """What follows from the results of a window; None when they say nothing new of an empty one."""
    standing = {status.check: status for status in monitor.statuses if _lane(status) == _lane(window)}
    if not results or (not window.rows and not _says_something(results, standing)):
        return None
    event = facts.WindowEvaluated(endpoint=monitor.endpoint, window=window, results=results)
    event.window.number = monitor.windows + 1
    late = {check for check, status in standing.items() if _is_late(monitor, status, window)}
    after = {one.check.id: _after(standing.get(one.check.id), one, event.window) for one in results}
    for check in late:
        after.pop(check, None)
    _take_judgements(monitor, event, judge(monitor, event.window, results, standing, after))
    touched = episodes.step(monitor, event, late)
    episodes.decide(monitor, event, touched.values(), may_open=may_open)
    return event


def _take_judgements(
    monitor: types.Monitor, event: facts.WindowEvaluated, judgements: Iterable[later.Judgement]
) -> None:
    """Those that say something: of what is watched already first, then worst first, as far as there is room."""
    watched = {(one.rule, member.check, member.column) for one in monitor.causes for member in one.members}
    known, new = [], []
    for one in judgements:
        if (one.rule, one.check, one.column) in watched:
            known.append(one)
        elif one.holds or one.fault:
            new.append(one)
    size = event.ByteSize()
    for one in (*known, *new):
        size += one.ByteSize() + 4  # Tag and length of the element.
        if size <= _MOST_JUDGED_BYTES:
            event.judgements.append(one)


def _is_late(monitor: types.Monitor, status: types.CheckStatus, window: types.Window) -> bool:
    """Whether a window lies wholly before the newest that was judged. Those by count may come from several producers,
    whose clocks differ."""
    if not status.HasField("newest_start_time"):
        return False
    end, newest = window.end_time.ToNanoseconds(), status.newest_start_time.ToNanoseconds()
    return end <= newest if monitor.window.size_seconds else end < newest - _CLOCKS_DIFFER_NANOSECONDS


def _says_something(results: Sequence[types.CheckResult], standing: dict[str, types.CheckStatus]) -> bool:
    """Whether an empty window changes where a check stands: a run of empty windows is recorded once."""
    for result in results:
        known = standing.get(result.check.id)
        if known is None or result.outcome != known.last_outcome:
            return True
        if result.outcome == types.OUTCOME_FAILED and known.condition != types.CONDITION_FIRING:
            return True
    return False


def _after(status: types.CheckStatus | None, result: types.CheckResult, window: types.Window) -> types.CheckStatus:
    """Where a check stands after a result, beside the alerts."""
    after = types.CheckStatus(check=result.check.id)
    if status is not None:
        after.CopyFrom(status)
    if result.outcome == types.OUTCOME_FAILED:
        after.failed_windows, after.passed_windows = after.failed_windows + 1, 0
    elif result.outcome == types.OUTCOME_OK:
        after.failed_windows, after.passed_windows = 0, after.passed_windows + 1
    if result.outcome in CONCLUSIVE:
        after.condition = types.CONDITION_OK
    after.series[:] = continued(result)
    after.last_outcome = result.outcome
    after.last_statistic, after.last_column = result.statistic, result.column
    (after.version, after.segment), after.last_window = _lane(window), window.number
    if window.start_time.ToNanoseconds() > after.newest_start_time.ToNanoseconds():
        after.newest_start_time.CopyFrom(window.start_time)
    return after


def version_replaced(monitor: types.Monitor, endpoint: types.KnownEndpoint, *, version: str) -> Message | None:
    """Forgets where the checks of a version stand once it no longer answers, and ends its alerts."""
    _must_exist(monitor)
    if version not in standing_versions(monitor) or answers(endpoint, version):
        return None
    closed = episodes.ended(cause for cause in monitor.causes if cause.version == version)
    return facts.VersionReplaced(version=version, closed=closed)


def standing_versions(monitor: types.Monitor) -> list[str]:
    """Versions of which something is remembered."""
    return sorted({one.version for one in monitor.statuses} | {one.version for one in monitor.causes})


def _must_exist(monitor: types.Monitor) -> None:
    if not monitor.name:
        raise NotFound("MONITOR_NOT_FOUND", "there is no such monitor; create it first")


def evolve(monitor: types.Monitor, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.MonitorCreated():
            monitor.endpoint = fact.endpoint
            monitor.state = types.MONITOR_STATE_ACTIVE
            _take(monitor, fact)
        case facts.MonitorChanged():
            causes = _meant(monitor, fact)
            found = still_fitted(monitor.baseline.thresholds, monitor.checks, fact.checks)
            del monitor.baseline.thresholds[:]
            monitor.baseline.thresholds.extend(found)
            _take(monitor, fact)
            checks = {check.id for check in monitor.checks}
            _keep(monitor, [status for status in monitor.statuses if status.check in checks], causes)
        case facts.MonitorPaused():
            monitor.state = types.MONITOR_STATE_PAUSED
        case facts.MonitorResumed():
            monitor.state = types.MONITOR_STATE_ACTIVE
        case facts.BaselineCaptured():
            monitor.baseline.CopyFrom(fact.baseline)
            monitor.baseline.capture_time.CopyFrom(envelope.recorded_at)
        case facts.WindowEvaluated():
            _evolve_window(monitor, fact)
        case facts.VersionReplaced():
            causes = [cause for cause in monitor.causes if cause.version != fact.version]
            _keep(monitor, [status for status in monitor.statuses if status.version != fact.version], causes)
        case _:
            raise UnknownFact(fact)


def _take(monitor: types.Monitor, fact: facts.MonitorCreated | facts.MonitorChanged) -> None:
    monitor.description = fact.description
    monitor.window.CopyFrom(fact.window)
    monitor.prediction_column = fact.prediction_column
    del monitor.checks[:]
    monitor.checks.extend(fact.checks)
    del monitor.rules[:]
    monitor.rules.extend(fact.rules)


def _evolve_window(monitor: types.Monitor, fact: facts.WindowEvaluated) -> None:
    """The statuses of the lane judged last come last, so that the first are those to forget."""
    version, lane = fact.window.version, _lane(fact.window)
    monitor.windows = fact.window.number
    monitor.alerts = max([monitor.alerts, *(episode.alert for episode in fact.opened)])
    mine = {status.check: status for status in monitor.statuses if _lane(status) == lane}
    others = [status for status in monitor.statuses if _lane(status) != lane]
    late = {check for check, status in mine.items() if _is_late(monitor, status, fact.window)}
    causes = episodes.applied(monitor, fact, episodes.step(monitor, fact, late))
    for result in fact.results:
        if result.check.id not in late:
            mine[result.check.id] = _after(mine.get(result.check.id), result, fact.window)
    last = dict.fromkeys(status.version for status in reversed(others) if status.version != version)
    recent = {version, *list(last)[: _MOST_VERSIONS - 1]}
    lanes = set(list(dict.fromkeys(_lane(status) for status in reversed(others)))[: _MOST_LANES - 1])
    kept = [one for one in others if one.version in recent and _lane(one) in lanes]
    _keep(monitor, [*kept, *mine.values()], causes)


def _lane(of: types.CheckStatus | types.Window) -> tuple[str, str]:
    return of.version, of.segment


def _keep(monitor: types.Monitor, statuses: Sequence[types.CheckStatus], causes: Sequence[types.Cause]) -> None:
    """Writes both; a status tells the alert that is open for it."""
    kept = [types.CheckStatus.FromString(status.SerializeToString(deterministic=True)) for status in statuses]
    watched = [types.Cause.FromString(cause.SerializeToString(deterministic=True)) for cause in causes]
    alerts: dict[tuple[str, str, str] | None, int] = {}  # 0 where it may soon be.
    for cause in watched:
        for member in cause.members:
            told = (cause.version, member.segment, member.check)
            alerts[told] = alerts.get(told) or cause.alert
    for status in kept:
        place = (status.version, status.segment, status.check) if alerts else None
        if place in alerts:
            status.alert = alerts[place]
            status.condition = types.CONDITION_FIRING if status.alert else types.CONDITION_PENDING
        elif status.alert or status.condition > types.CONDITION_OK:
            status.alert, status.condition = 0, types.CONDITION_OK
    del monitor.statuses[:]
    monitor.statuses.extend(kept)
    del monitor.causes[:]
    monitor.causes.extend(watched)


MONITOR = kind("monitoring", "projects/*/monitors/*", types.Monitor, evolve)
