"""The monitor: what is watched on an endpoint, what each window says, and what that means for alerts."""

from collections.abc import Collection, Iterable, Sequence

from google.protobuf.message import Message

from kernel.errors import AlreadyExists, NotAllowedNow, NotFound, UnknownFact, invalid_field
from kernel.fold import kind
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import continued, evaluate_all
from services.monitoring.domain.checking import complete_checks, complete_window, refuse_unsampled
from services.monitoring.domain.target import answers
from services.monitoring.methods import sensitive_of

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
) -> Message:
    if monitor.name:
        raise AlreadyExists("MONITOR_EXISTS", f"{monitor.name} exists already; update it or take another id")
    if not endpoint.name:
        raise NotFound("ENDPOINT_NOT_FOUND", f"there is no {endpoint_name}; create the endpoint first")
    if endpoint.removed:
        raise NotAllowedNow("ENDPOINT_REMOVED", f"{endpoint_name} was removed and answers nothing any more")
    created = facts.MonitorCreated(
        endpoint=endpoint_name,
        description=description,
        window=complete_window(window),
        checks=complete_checks(checks),
        prediction_column=prediction_column,
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
) -> Message | None:
    """None for a field leaves it as it is."""
    _must_exist(monitor)
    changed = facts.MonitorChanged(
        description=monitor.description if description is None else description,
        window=monitor.window if window is None else complete_window(window),
        checks=monitor.checks if checks is None else complete_checks(checks),
        prediction_column=monitor.prediction_column if prediction_column is None else prediction_column,
    )
    same = facts.MonitorChanged(
        description=monitor.description,
        window=monitor.window,
        checks=monitor.checks,
        prediction_column=monitor.prediction_column,
    )
    if changed == same:
        return None
    refuse_unsampled(changed.window, changed.checks)
    kept = {check.id for check in changed.checks}
    for status in monitor.statuses:
        if status.alert and status.check not in kept:
            changed.closed.add(alert=status.alert, check=status.check)
    return changed


def pause(monitor: types.Monitor) -> Message | None:
    _must_exist(monitor)
    return None if monitor.state == types.MONITOR_STATE_PAUSED else facts.MonitorPaused()


def resume(monitor: types.Monitor) -> Message | None:
    _must_exist(monitor)
    return None if monitor.state == types.MONITOR_STATE_ACTIVE else facts.MonitorResumed()


def capture_baseline(
    monitor: types.Monitor, *, baseline: types.Baseline, sampled: Collection[str] = ()
) -> Message | None:
    """sampled: the columns whose values are kept row by row."""
    _must_exist(monitor)
    if kept := sorted(set(sampled) & set(sensitive_of(monitor.checks))):
        reason = f"{', '.join(kept)}: rows of a sensitive column are never kept; leave it out, or sample_rows"
        raise invalid_field("values.sample_rows", reason, "SENSITIVE")
    if monitor.baseline.digest == baseline.digest:
        return None  # The same profiles, to the byte.
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
    standing = {status.check: status for status in monitor.statuses if _lane(status) == _lane(window)}
    before = {check: status.series for check, status in standing.items()}
    results = evaluate_all(monitor.checks, window.track, profiles, baseline, window, before)
    if not results or (not window.rows and not _says_something(results, standing)):
        return None
    event = facts.WindowEvaluated(endpoint=monitor.endpoint, window=window, results=results)
    event.window.number = monitor.windows + 1
    alert = monitor.alerts
    for result in results:
        status = _after(standing.get(result.check.id), result)
        if _ends(status, result):
            event.closed.add(alert=status.alert, check=result.check.id)
        elif _opens(status, result) and answers(endpoint, window.version):
            alert += 1
            event.opened.add(alert=alert, check=result.check.id)
    return event


def _says_something(results: Sequence[types.CheckResult], standing: dict[str, types.CheckStatus]) -> bool:
    """Whether an empty window changes where a check stands: a run of empty windows is recorded once."""
    for result in results:
        known = standing.get(result.check.id)
        if known is None or result.outcome != known.last_outcome:
            return True
        if result.outcome == types.OUTCOME_FAILED and known.condition != types.CONDITION_FIRING:
            return True
    return False


def _opens(status: types.CheckStatus, result: types.CheckResult) -> bool:
    if result.outcome != types.OUTCOME_FAILED or status.alert:
        return False
    return status.failed_windows >= result.check.raise_after_windows


def _ends(status: types.CheckStatus, result: types.CheckResult) -> bool:
    if result.outcome != types.OUTCOME_OK or not status.alert:
        return False
    return status.passed_windows >= result.check.resolve_after_windows


def _after(status: types.CheckStatus | None, result: types.CheckResult) -> types.CheckStatus:
    """Where a check stands after a result; whether an alert opens or ends is written by the caller."""
    after = types.CheckStatus(check=result.check.id)
    if status is not None:
        after.CopyFrom(status)
    if result.outcome == types.OUTCOME_FAILED:
        after.failed_windows, after.passed_windows = after.failed_windows + 1, 0
        after.condition = types.CONDITION_FIRING if after.alert else types.CONDITION_PENDING
    elif result.outcome == types.OUTCOME_OK:
        after.failed_windows, after.passed_windows = 0, after.passed_windows + 1
        after.condition = types.CONDITION_FIRING if after.alert else types.CONDITION_OK
    after.series[:] = continued(result)
    after.last_outcome = result.outcome
    after.last_statistic, after.last_column = result.statistic, result.column
    return after


def version_replaced(monitor: types.Monitor, endpoint: types.KnownEndpoint, *, version: str) -> Message | None:
    """Forgets where the checks of a version stand once it no longer answers, and ends its alerts."""
    _must_exist(monitor)
    standing = [status for status in monitor.statuses if status.version == version]
    if not standing or answers(endpoint, version):
        return None
    event = facts.VersionReplaced(version=version)
    for status in standing:
        if status.alert:
            event.closed.add(alert=status.alert, check=status.check)
    return event


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
            _take(monitor, fact)
            checks = {check.id for check in monitor.checks}
            _keep(monitor, [status for status in monitor.statuses if status.check in checks])
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
            _keep(monitor, [status for status in monitor.statuses if status.version != fact.version])
        case _:
            raise UnknownFact(fact)


def _take(monitor: types.Monitor, fact: facts.MonitorCreated | facts.MonitorChanged) -> None:
    monitor.description = fact.description
    monitor.window.CopyFrom(fact.window)
    monitor.prediction_column = fact.prediction_column
    del monitor.checks[:]
    monitor.checks.extend(fact.checks)


def _evolve_window(monitor: types.Monitor, fact: facts.WindowEvaluated) -> None:
    """The statuses of the lane judged last come last, so that the first are those to forget."""
    version, lane = fact.window.version, _lane(fact.window)
    monitor.windows = fact.window.number
    opened = {episode.check: episode.alert for episode in fact.opened}
    closed = {episode.check for episode in fact.closed}
    mine = {status.check: status for status in monitor.statuses if _lane(status) == lane}
    others = [status for status in monitor.statuses if _lane(status) != lane]
    for result in fact.results:
        status = _after(mine.get(result.check.id), result)
        status.version, status.segment, status.last_window = *lane, fact.window.number
        if status.check in opened:
            status.alert, status.condition = opened[status.check], types.CONDITION_FIRING
            monitor.alerts = max(monitor.alerts, status.alert)
        elif status.check in closed:
            status.alert, status.condition = 0, types.CONDITION_OK
        mine[status.check] = status
    last = dict.fromkeys(status.version for status in reversed(others) if status.version != version)
    recent = {version, *list(last)[: _MOST_VERSIONS - 1]}
    lanes = set(list(dict.fromkeys(_lane(status) for status in reversed(others)))[: _MOST_LANES - 1])
    _keep(monitor, [one for one in others if one.version in recent and _lane(one) in lanes] + list(mine.values()))


def _lane(of: types.CheckStatus | types.Window) -> tuple[str, str]:
    return of.version, of.segment


def _keep(monitor: types.Monitor, statuses: Sequence[types.CheckStatus]) -> None:
    kept = [types.CheckStatus.FromString(status.SerializeToString(deterministic=True)) for status in statuses]
    del monitor.statuses[:]
    monitor.statuses.extend(kept)


MONITOR = kind("monitoring", "projects/*/monitors/*", types.Monitor, evolve)
