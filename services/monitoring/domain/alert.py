"""The alert: one episode of one cause. Its monitor numbers it, so a cause has one alert; see `episodes`."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import Invalid, NotAllowedNow, NotFound, UnknownFact, invalid_field
from kernel.fold import kind
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import alert_events_pb2 as later
from modelog.monitoring.v1 import alerts_pb2 as silenced
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain.episodes import MOST_MEMBERS
from services.monitoring.domain.silence import matching

_MOST_COLUMNS = 10
_NO_SEVERITY = types.SEVERITY_UNSPECIFIED

Silences = Sequence[silenced.Silence]


def failed_columns(result: types.CheckResult, only: str = "") -> list[types.ColumnResult]:
    """The columns that failed, worst first, as far as an alert shows them; or one of them."""
    if only:
        return [one for one in result.columns if one.column == only]
    return [one for one in result.columns if one.outcome == types.OUTCOME_FAILED][:_MOST_COLUMNS]


def raise_(
    alert: types.Alert,
    *,
    monitor: str,
    evaluated: facts.WindowEvaluated,
    episode: facts.Episode,
    silences: Silences = (),
    now: datetime,
) -> Message | None:
    """Opens it for the first time. silences: those of the project that hold now."""
    if alert.name:
        return None  # Raised already: the window's fact was delivered again.
    result = next(one for one in evaluated.results if one.check.id == episode.check)
    rule, column = _rule(evaluated, episode), result.column
    members = list(episode.members)
    if episode.rule:
        column, statistic, severity, actions = members[0].column, members[0].statistic, episode.severity, rule.actions
    else:
        statistic, severity, actions = result.statistic, result.check.severity, result.check.actions
        members = [types.AlertMember(check=episode.check, segment=evaluated.window.segment, statistic=statistic)]
    if not members[0].column:
        members[0].column = result.column
    raised = facts.AlertRaised(
        monitor=monitor,
        endpoint=evaluated.endpoint,
        version=evaluated.window.version,
        check=result.check.id,
        method=result.check.method,
        severity=severity,
        statistic=statistic,
        threshold=result.check.threshold,
        columns=failed_columns(result, only=column if types.GROUPING_COLUMN in rule.group_by else ""),
        window=evaluated.window,
        actions=actions,
        rule=episode.rule,
        members=members,
        escalate_after_seconds=rule.escalate_after_seconds,
        escalate_to=rule.escalate_to,
    )
    matched = matching(silences, monitor, raised.version, raised.rule, members, severity, now)
    raised.silences.extend(one.name for one in matched)
    raised.silent = bool(matched)
    if any(one.hold_actions for one in matched):
        raised.held = True
        del raised.actions[:]
    return raised


def reopen(
    alert: types.Alert,
    *,
    evaluated: facts.WindowEvaluated,
    episode: facts.Episode,
    silences: Silences = (),
    now: datetime,
) -> Message | None:
    """Opens it again, for it failed again soon after."""
    _must_exist(alert)
    if alert.state != types.ALERT_STATE_RESOLVED:
        return None
    matched = _matching(alert, silences, now, severity=episode.severity)
    rule = _rule(evaluated, episode)
    return later.AlertReopened(
        window=evaluated.window,
        statistic=episode.members[0].statistic,
        members=_new(alert, episode.members),
        endpoint=evaluated.endpoint,
        version=alert.version,
        check=episode.check,
        severity=max(alert.severity, episode.severity),
        escalate_after_seconds=rule.escalate_after_seconds,
        escalate_to=rule.escalate_to,
        silences=[one.name for one in matched],
        held=any(one.hold_actions for one in matched),
        silent=_is_silent(alert, silences, now),
    )


def _rule(evaluated: facts.WindowEvaluated, episode: facts.Episode) -> types.AlertRule:
    return next((rule for rule in evaluated.rules if rule.id == episode.rule), types.AlertRule())


def join(
    alert: types.Alert,
    *,
    evaluated: facts.WindowEvaluated,
    episode: facts.Episode,
    silences: Silences = (),
    now: datetime,
) -> Message | None:
    """More fails; an alert that somebody ended meanwhile opens again by it."""
    _must_exist(alert)
    if not (members := _new(alert, episode.members)):
        return None
    if alert.state == types.ALERT_STATE_RESOLVED:
        return reopen(alert, evaluated=evaluated, episode=episode, silences=silences, now=now)
    return later.AlertJoined(members=members, window=evaluated.window.number, silent=_is_silent(alert, silences, now))


def _new(alert: types.Alert, members: Iterable[types.AlertMember]) -> list[types.AlertMember]:
    known = {(one.check, one.column, one.segment) for one in alert.members}
    new = [one for one in members if (one.check, one.column, one.segment) not in known]
    return new[: max(0, MOST_MEMBERS - len(alert.members))]


def acknowledge(alert: types.Alert, *, note: str, silences: Silences = (), now: datetime) -> Message | None:
    _must_be_open(alert)
    if alert.state == types.ALERT_STATE_ACKNOWLEDGED and alert.note == note:
        return None
    return facts.AlertAcknowledged(note=note, silent=_is_silent(alert, silences, now))


def silence(alert: types.Alert, *, until: Timestamp, now: datetime) -> Message | None:
    _must_be_open(alert)
    if until.ToDatetime(tzinfo=UTC) <= now:
        raise Invalid("SILENCE_IN_THE_PAST", "until: name a moment that is still to come")
    return None if alert.silenced_until == until else facts.AlertSilenced(until=until)


def escalate(
    alert: types.Alert, *, severity: types.Severity, to: str, silences: Silences = (), now: datetime
) -> Message | None:
    """Somebody else has to look at it, or sooner."""
    _must_be_open(alert)
    if not severity and not to:
        raise invalid_field("severity", "name a higher severity, or who is to look at it in `to`", "NO_ESCALATION")
    if severity and severity < alert.severity:
        raise NotAllowedNow("SEVERITY_LOWERED", f"{alert.name} is worse than that already; leave the severity out")
    raised = severity or alert.severity
    if raised == alert.severity and to == alert.escalated_to and alert.HasField("escalate_time"):
        return None
    silent = _is_silent(alert, silences, now, severity=raised)
    return later.AlertEscalated(severity=raised, to=to, silent=silent)


def escalate_overdue(alert: types.Alert, *, silences: Silences = (), now: datetime) -> Message | None:
    """Nobody has acknowledged it in time."""
    if alert.state != types.ALERT_STATE_FIRING or alert.HasField("escalate_time"):
        return None
    silent = _is_silent(alert, silences, now, severity=types.SEVERITY_CRITICAL)
    return later.AlertEscalated(severity=types.SEVERITY_CRITICAL, to=alert.escalate_to, silent=silent)


def unsilence(alert: types.Alert, *, silences: Silences = (), now: datetime) -> Message | None:
    """Nothing keeps it silent any more, and nobody has taken it."""
    if alert.state != types.ALERT_STATE_FIRING or not (alert.silences or alert.HasField("silenced_until")):
        return None
    if _is_silent(alert, silences, now):
        return None
    return later.AlertUnsilenced(severity=alert.severity, version=alert.version, check=alert.check)


def resolve(
    alert: types.Alert, *, resolution: types.Resolution, window: int = 0, silences: Silences = (), now: datetime
) -> Message | None:
    _must_exist(alert)
    if alert.state == types.ALERT_STATE_RESOLVED:
        return None
    return facts.AlertResolved(resolution=resolution, window=window, silent=_is_silent(alert, silences, now))


def _matching(alert: types.Alert, silences: Silences, now: datetime, severity: types.Severity) -> Silences:
    monitor = alert.name.rpartition("/alerts/")[0]
    worst = max(severity, alert.severity)
    return matching(silences, monitor, alert.version, alert.rule, alert.members, worst, now)


def _is_silent(alert: types.Alert, silences: Silences, now: datetime, severity: types.Severity = _NO_SEVERITY) -> bool:
    """Whether nobody is to be notified: it was silenced itself, or a silence of the project matches it."""
    until = alert.silenced_until.ToDatetime(tzinfo=UTC) if alert.HasField("silenced_until") else now
    return until > now or bool(_matching(alert, silences, now, severity))


def _must_exist(alert: types.Alert) -> None:
    if not alert.name:
        raise NotFound("ALERT_NOT_FOUND", "there is no such alert")


def _must_be_open(alert: types.Alert) -> None:
    _must_exist(alert)
    if alert.state == types.ALERT_STATE_RESOLVED:
        raise NotAllowedNow("ALERT_RESOLVED", f"{alert.name} is over; a new failure opens another alert")


def evolve(alert: types.Alert, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.AlertRaised():
            _evolve_raised(alert, fact)
        case later.AlertReopened():
            _evolve_reopened(alert, fact)
        case later.AlertJoined():
            alert.members.extend(fact.members)
        case facts.AlertAcknowledged():
            alert.state, alert.note = types.ALERT_STATE_ACKNOWLEDGED, fact.note
            alert.acknowledged_by = envelope.actor.id
        case facts.AlertResolved():
            alert.state, alert.resolution = types.ALERT_STATE_RESOLVED, fact.resolution
            alert.resolve_time.CopyFrom(envelope.recorded_at)
            if fact.resolution == types.RESOLUTION_BY_HAND:
                alert.resolved_by = envelope.actor.id
        case _:
            _evolve_told(alert, fact, envelope)


def _evolve_told(alert: types.Alert, fact: Message, envelope: Fact) -> None:
    """Who is told of it, and who is not."""
    match fact:
        case facts.AlertSilenced():
            alert.silenced_until.CopyFrom(fact.until)
            alert.silence_reason = envelope.reason
        case later.AlertUnsilenced():
            for field in ("silences", "silenced_until", "silence_reason"):
                alert.ClearField(field)
        case later.AlertEscalated():
            alert.severity, alert.escalated_to = fact.severity, fact.to
            alert.escalate_time.CopyFrom(envelope.recorded_at)
        case _:
            raise UnknownFact(fact)


def _evolve_raised(alert: types.Alert, fact: facts.AlertRaised) -> None:
    alert.endpoint, alert.version = fact.endpoint, fact.version
    alert.check, alert.method, alert.severity = fact.check, fact.method, fact.severity
    alert.statistic, alert.threshold = fact.statistic, fact.threshold
    alert.columns.extend(fact.columns)
    alert.window.CopyFrom(fact.window)
    alert.actions.extend(fact.actions)
    alert.rule, alert.escalate_to = fact.rule, fact.escalate_to
    alert.members.extend(fact.members)
    alert.silences.extend(fact.silences)
    alert.state = types.ALERT_STATE_FIRING


def _evolve_reopened(alert: types.Alert, fact: later.AlertReopened) -> None:
    alert.state, alert.severity = types.ALERT_STATE_FIRING, fact.severity
    alert.reopenings += 1
    alert.reopen_window, alert.escalate_to = fact.window.number, fact.escalate_to
    alert.members.extend(fact.members)
    alert.silences[:] = fact.silences
    for field in ("resolution", "resolved_by", "resolve_time", "acknowledged_by", "note"):
        alert.ClearField(field)
    for field in ("escalated_to", "escalate_time"):
        alert.ClearField(field)


ALERT = kind("monitoring", "projects/*/monitors/*/alerts/#", types.Alert, evolve)
