"""What deployment knows of monitors, and metrics that rest on it."""

from datetime import UTC

from google.protobuf.message import Message

from modelog.deployment.v1.analysis_pb2 import AnalysisMetric, KnownMonitor, Reading
from modelog.deployment.v1.types_pb2 import (
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_NO_DATA,
    VERDICT_PASSED,
    MetricResult,
)
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.monitoring.v1 import types_pb2 as monitoring_types
from services.deployment.domain.verdicts import hold_limit, say
from services.deployment.domain.windows import Window

MONITOR_HEARD = (
    monitoring.MonitorCreated,
    monitoring.MonitorChanged,
    monitoring.WindowEvaluated,
    monitoring.VersionReplaced,
)
# Enough for the newest windows of some versions under many checks; the oldest are forgotten first.
_MOST_READINGS = 256


def evolve_known_monitor(monitor: KnownMonitor, event: Message, envelope: Fact) -> None:
    match event:
        case monitoring.MonitorCreated():
            monitor.endpoint = event.endpoint
        case monitoring.MonitorChanged():
            checks = {check.id for check in event.checks}
            _keep_readings(monitor, [one for one in monitor.readings if one.check in checks])
            _close(monitor, {episode.alert for episode in event.closed})
        case monitoring.WindowEvaluated():
            monitor.endpoint = event.endpoint
            _fold_window(monitor, event)
        case monitoring.VersionReplaced():
            _keep_readings(monitor, [one for one in monitor.readings if one.version != event.version])
            _close(monitor, {episode.alert for episode in event.closed})


def _fold_window(monitor: KnownMonitor, event: monitoring.WindowEvaluated) -> None:
    version = event.window.version
    judged = {result.check.id: result for result in event.results}
    kept = [one for one in monitor.readings if one.version != version or one.check not in judged]
    new = [_reading(event.window, result) for result in event.results]
    _keep_readings(monitor, [*kept, *new][-_MOST_READINGS:])
    _close(monitor, {episode.alert for episode in event.closed})
    for episode in event.opened:
        severity = judged[episode.check].check.severity if episode.check in judged else 0
        _fire(monitor, episode, version, episode.severity or severity)
    for episode in event.joined:
        severities = [one.severity for one in monitor.firing if one.alert == episode.alert]
        if severities:
            _fire(monitor, episode, version, severities[0])


def _fire(monitor: KnownMonitor, episode: monitoring.Episode, version: str, severity: int) -> None:
    """An alert fires for each check that belongs to it."""
    known = {one.check for one in monitor.firing if one.alert == episode.alert}
    for check in sorted({episode.check, *(member.check for member in episode.members)} - known):
        monitor.firing.add(alert=episode.alert, check=check, version=version, severity=severity)


def _reading(window: monitoring_types.Window, result: monitoring_types.CheckResult) -> Reading:
    return Reading(
        version=window.version,
        check=result.check.id,
        value=result.statistic,
        threshold=result.check.threshold,
        outcome=result.outcome,
        rows=result.rows,
        window=window.number,
        end_time=window.end_time,
    )


def _keep_readings(monitor: KnownMonitor, readings: list[Reading]) -> None:
    copies = [Reading.FromString(one.SerializeToString()) for one in readings]
    del monitor.readings[:]
    monitor.readings.extend(copies)


def _close(monitor: KnownMonitor, alerts: set[int]) -> None:
    for index in reversed(range(len(monitor.firing))):
        if monitor.firing[index].alert in alerts:
            del monitor.firing[index]


def judge_check(metric: AnalysisMetric, window: Window) -> MetricResult:
    """The check's newest window of the version, when it ended within this window, against the limit or its own."""
    result, monitor = MetricResult(), window.monitors.get(metric.monitor, KnownMonitor())
    reading = _newest(monitor, window, metric.check)
    if reading is None:
        return say(result, VERDICT_NO_DATA, _silence(metric, monitor, window))
    result.samples, result.threshold = reading.rows, reading.threshold
    if reading.outcome == monitoring_types.OUTCOME_NO_DATA:
        return say(result, VERDICT_NO_DATA, f"window {reading.window} held nothing that {metric.check} looks at")
    result.value = reading.value
    if reading.outcome == monitoring_types.OUTCOME_INCONCLUSIVE:
        return say(result, VERDICT_INCONCLUSIVE, f"{metric.check} could not judge window {reading.window}")
    if reading.rows < metric.min_samples:
        return say(result, VERDICT_INCONCLUSIVE, f"{reading.rows} rows are fewer than {metric.min_samples}")
    if metric.WhichOneof("limit"):
        return hold_limit(metric, result)
    good = reading.outcome == monitoring_types.OUTCOME_OK
    beyond = "holds" if good else "is beyond"
    finding = f"{metric.check} of {reading.value:.4g} {beyond} its threshold {reading.threshold:.4g}"
    return say(result, VERDICT_PASSED if good else VERDICT_FAILED, finding)


def judge_alerts(metric: AnalysisMetric, window: Window) -> MetricResult:
    """Alerts of the version that fire now; that none does only counts when a window was looked at meanwhile."""
    result, monitor = MetricResult(), window.monitors.get(metric.monitor, KnownMonitor())
    reading = _newest(monitor, window, metric.check)
    firing = [
        one
        for one in monitor.firing
        if one.version == window.version
        and one.check in (metric.check or one.check,)
        and one.severity >= metric.minimum_severity
        and monitor.endpoint == window.endpoint
    ]
    if reading is None and not firing:
        return say(result, VERDICT_NO_DATA, _silence(metric, monitor, window))
    result.samples = reading.rows if reading is not None else 0
    result.value = len({one.alert for one in firing})
    hold_limit(metric, result)
    if firing:
        named = ", ".join(f"alert {one.alert} on {one.check}" for one in firing[:3])
        result.finding = f"{named} of {metric.monitor}: {result.finding}"
    return result


def _newest(monitor: KnownMonitor, window: Window, check: str) -> Reading | None:
    """The newest reading of the version that ended since the window began; check: empty means any."""
    if monitor.endpoint != window.endpoint:
        return None
    fitting = (one for one in monitor.readings if one.version == window.version and check in ("", one.check))
    fresh = (one for one in fitting if window.since is None or one.end_time.ToDatetime(tzinfo=UTC) > window.since)
    return max(fresh, key=lambda one: one.window, default=None)


def _silence(metric: AnalysisMetric, monitor: KnownMonitor, window: Window) -> str:
    """Why a monitor says nothing, so that somebody can do something about it."""
    if not monitor.name:
        return f"there is no monitor {metric.monitor}"
    if monitor.endpoint != window.endpoint:
        return f"{metric.monitor} watches {monitor.endpoint or 'nothing yet'}, not {window.endpoint}"
    what = metric.check or "it"
    return f"{what} of {metric.monitor} has judged no window of {window.version} that ended since this window began"
