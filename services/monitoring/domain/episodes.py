"""Which alerts a window opens, ends or adds to: at most one is open for each cause, which is a rule, a version and a
group.

A cause has members, the results that belong to its group. Each member follows the windows of its own version, segment
and track, so that neither late windows nor those of another segment count for it. An alert opens when the rule has held
for one member as long as it asks, and is over when all members have been clear as long as it asks.

Pure, and the same for the verb and the fold: `step` tells where causes stand after a window, `decide` writes into its
fact what opens and ends, `applied` takes both in.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain.rules import CONCLUSIVE

MOST_MEMBERS = 64  # Of an alert, as far as it tells them.
_MOST_WATCHED = 256  # Of a cause.
_MOST_CAUSES = 512  # Each fact writes the monitor again, so it has to stay small.
_MOST_OPEN = 256
# Of a window's fact, which may have 64 KiB, before another episode and its rule are added.
_MOST_FACT_BYTES = 52 * 1024
_MOST_EPISODE_BYTES = 2 * 1024

Key = tuple[str, str, str, str, str]


class Judged(NamedTuple):
    """What a rule says of one result."""

    rule: types.AlertRule
    check: str
    column: str
    holds: bool
    clear: bool
    statistic: float


class Touched(NamedTuple):
    """A cause that a window says something of, and those of its members that it speaks of."""

    cause: types.Cause
    rule: types.AlertRule
    members: list[types.CauseMember]


def rule_of(check: types.Check) -> types.AlertRule:
    """What a check of a monitor without rules amounts to."""
    return types.AlertRule(
        when="failed",
        checks=[check.id],
        group_by=[types.GROUPING_CHECK, types.GROUPING_SEGMENT],
        severity=check.severity,
        for_windows=check.raise_after_windows,
        clear_windows=check.resolve_after_windows,
        actions=check.actions,
    )


def step(monitor: types.Monitor, fact: facts.WindowEvaluated, late: Iterable[str]) -> dict[Key, Touched]:
    """The causes that a window says something of, as they are after it, before alerts open or end. late: ids of checks
    for which it came too late."""
    causes = {key_of(cause): cause for cause in monitor.causes}
    touched: dict[Key, Touched] = {}
    for one in _judged(monitor, fact, frozenset(late)):
        group = _group(one, fact.window.segment)
        key = (one.rule.id, fact.window.version, group.check, group.column, group.segment)
        if key not in touched:
            cause = types.Cause(rule=one.rule.id, version=fact.window.version, group=group)
            if key in causes:
                cause.CopyFrom(causes[key])
            touched[key] = Touched(cause, one.rule, [])
        member = _member(touched[key].cause, one, fact.window.segment)
        if member is not None:
            _advance(member, one, fact.window)
            touched[key].members.append(member)
    return {key: one for key, one in touched.items() if one.members}


def _judged(monitor: types.Monitor, fact: facts.WindowEvaluated, late: frozenset[str]) -> Iterator[Judged]:
    if monitor.rules:
        rules = {rule.id: rule for rule in monitor.rules}
        for one in fact.judgements:
            yield Judged(rules[one.rule], one.check, one.column, one.holds, one.clear, one.statistic)
        return
    for result in fact.results:
        if result.outcome in CONCLUSIVE and result.check.id not in late:
            failed = result.outcome == types.OUTCOME_FAILED
            if not failed and not monitor.causes:
                continue  # As ever, where all is well: nothing is there to end.
            yield Judged(rule_of(result.check), result.check.id, "", failed, not failed, result.statistic)


def _group(one: Judged, segment: str) -> types.Group:
    by = one.rule.group_by
    return types.Group(
        check=one.check if types.GROUPING_CHECK in by else "",
        column=one.column if types.GROUPING_COLUMN in by else "",
        segment=segment if types.GROUPING_SEGMENT in by else "",
    )


def _member(cause: types.Cause, one: Judged, segment: str) -> types.CauseMember | None:
    """What is known of it; something new only when the rule holds."""
    for member in cause.members:
        if (member.check, member.column, member.segment) == (one.check, one.column, segment):
            return member
    if not one.holds or len(cause.members) >= _MOST_WATCHED:
        return None
    return cause.members.add(check=one.check, column=one.column, segment=segment)


def _advance(member: types.CauseMember, one: Judged, window: types.Window) -> None:
    member.statistic = one.statistic
    if one.holds:
        if not member.held_windows:
            member.held_since.CopyFrom(window.start_time)
        member.held_windows += 1
        lasted = _seconds(window.end_time) - _seconds(member.held_since)
        member.ripe = member.held_windows >= one.rule.for_windows and lasted >= one.rule.for_seconds
    else:
        member.held_windows, member.ripe = 0, False
        member.ClearField("held_since")
    if one.clear:
        if not member.clear_windows:
            member.clear_since.CopyFrom(window.start_time)
        member.clear_windows += 1
        lasted = _seconds(window.end_time) - _seconds(member.clear_since)
        member.over = member.clear_windows >= one.rule.clear_windows and lasted >= one.rule.clear_seconds
    else:
        member.clear_windows, member.over = 0, False
        member.ClearField("clear_since")


def decide(monitor: types.Monitor, fact: facts.WindowEvaluated, touched: Iterable[Touched], *, may_open: bool) -> None:
    """Writes into the fact which alerts end, open and get more members, as far as it has room; the next window says the
    rest."""
    number = monitor.alerts
    room = _MOST_OPEN - sum(bool(cause.alert) for cause in monitor.causes)
    for one in sorted(touched, key=lambda one: not one.cause.alert):
        cause, rule = one.cause, one.rule
        if rule.id and fact.ByteSize() > _MOST_FACT_BYTES:
            return
        if cause.alert:
            _go_on(fact, one)
        elif may_open and room > 0 and (ripe := [member for member in one.members if member.ripe]):
            room -= 1
            episode = _add(fact.opened, cause, rule, ripe[0].check)
            if cause.ended_alert and _soon(cause, rule, fact.window.end_time):
                episode.alert, episode.again = cause.ended_alert, True
            else:
                number += 1
                episode.alert = number
            if rule.id:
                _describe(episode, fact, rule, ripe[0].check)
                _tell(episode, [*ripe, *(two for two in cause.members if two.held_windows and two not in ripe)], 0)


def _go_on(fact: facts.WindowEvaluated, one: Touched) -> None:
    """An open alert ends, or has more members, or neither."""
    cause = one.cause
    if all(member.over for member in cause.members):
        _add(fact.closed, cause, one.rule, one.members[0].check)
        return
    told = sum(member.told for member in cause.members)
    joining = [member for member in cause.members if member.held_windows and not member.told]
    if one.rule.id and joining and told < MOST_MEMBERS:
        _tell(_add(fact.joined, cause, one.rule, joining[0].check), joining, told)


def _add(episodes: Any, cause: types.Cause, rule: types.AlertRule, check: str) -> facts.Episode:
    episode: facts.Episode = episodes.add(alert=cause.alert, check=check, rule=rule.id)
    if rule.id:
        episode.group.CopyFrom(cause.group)
    return episode


def _describe(episode: facts.Episode, fact: facts.WindowEvaluated, rule: types.AlertRule, check: str) -> None:
    severity = next(result.check.severity for result in fact.results if result.check.id == check)
    episode.severity = rule.severity or severity
    if rule.id not in {one.id for one in fact.rules}:
        fact.rules.append(rule)


def _tell(episode: facts.Episode, members: Iterable[types.CauseMember], told: int) -> None:
    for one in list(members)[: MOST_MEMBERS - told]:
        if episode.ByteSize() < _MOST_EPISODE_BYTES:
            episode.members.add(check=one.check, column=one.column, segment=one.segment, statistic=one.statistic)


def _soon(cause: types.Cause, rule: types.AlertRule, end: Timestamp) -> bool:
    return bool(rule.reopen_within_seconds) and (_seconds(end) - _seconds(cause.ended_at) <= rule.reopen_within_seconds)


def applied(monitor: types.Monitor, fact: facts.WindowEvaluated, touched: dict[Key, Touched]) -> list[types.Cause]:
    """All causes as they are after a window, those it speaks of last; those that nothing is left to say of are gone."""
    after = {key_of(cause): cause for cause in monitor.causes}
    for key, one in touched.items():
        after.pop(key, None)
        after[key] = one.cause
    window, rules = fact.window, {rule.id: rule for rule in monitor.rules}
    for episode in fact.opened:
        cause = after.setdefault(_named(episode, window), _opened_late(episode, window))
        cause.alert, cause.ended_alert = episode.alert, 0
        cause.ClearField("ended_at")
        _mark(cause, episode)
    for episode in fact.joined:
        _mark(after[_named(episode, window)], episode)
    for episode in fact.closed:
        key = _named(episode, window)
        if key in after:
            _end(after[key], rules.get(episode.rule), window.end_time)
    return _kept(after.values(), rules, window)


def _mark(cause: types.Cause, episode: facts.Episode) -> None:
    """Notes which members were told of."""
    told = {(one.check, one.column, one.segment) for one in episode.members}
    for member in cause.members:
        member.told = member.told or not told or (member.check, member.column, member.segment) in told


def _named(episode: facts.Episode, window: types.Window) -> Key:
    group = episode.group
    if not episode.rule:
        group = types.Group(check=episode.check, segment=window.segment)
    return (episode.rule, window.version, group.check, group.column, group.segment)


def _opened_late(episode: facts.Episode, window: types.Window) -> types.Cause:
    """Facts from when windows that came too late still counted."""
    cause = types.Cause(rule=episode.rule, version=window.version, group=types.Group(check=episode.check))
    cause.group.segment = window.segment
    cause.members.add(check=episode.check, segment=window.segment, held_windows=1)
    return cause


def _end(cause: types.Cause, rule: types.AlertRule | None, end: Timestamp) -> None:
    if rule is not None and rule.reopen_within_seconds:
        cause.ended_alert = cause.alert
        cause.ended_at.CopyFrom(end)
    cause.alert = 0


def _kept(causes: Iterable[types.Cause], rules: dict[str, types.AlertRule], window: types.Window) -> list[types.Cause]:
    kept = []
    for cause in causes:
        if not cause.alert:
            held = [member for member in cause.members if member.held_windows]
            if len(held) < len(cause.members):
                _replace(cause, held)
            if cause.ended_alert and not _soon(cause, rules[cause.rule], window.end_time):
                cause.ended_alert = 0
                cause.ClearField("ended_at")
        if cause.alert or cause.ended_alert or cause.members:
            kept.append(cause)
    spare = len(kept) - _MOST_CAUSES
    idle = [key_of(cause) for cause in kept if not cause.alert][: max(0, spare)]
    return [cause for cause in kept if key_of(cause) not in idle]


def _replace(cause: types.Cause, members: Sequence[types.CauseMember]) -> None:
    copies = [types.CauseMember.FromString(one.SerializeToString(deterministic=True)) for one in members]
    del cause.members[:]
    cause.members.extend(copies)


def meant(
    causes: Iterable[types.Cause],
    before: Sequence[types.AlertRule],
    rules: Sequence[types.AlertRule],
    checks: Iterable[types.Check],
) -> list[types.Cause]:
    """Those that are still watched for under other rules and checks, with the members that are."""
    former = {rule.id: list(rule.group_by) for rule in before}
    grouped = {rule.id: list(rule.group_by) for rule in rules}
    known = {check.id for check in checks}
    kept = []
    for cause in causes:
        same = grouped.get(cause.rule) == former.get(cause.rule) if cause.rule else not rules
        members = [member for member in cause.members if member.check in known]
        if same and (cause.rule in grouped or not cause.rule) and (members or cause.ended_alert):
            copy = types.Cause()
            copy.CopyFrom(cause)
            _replace(copy, members)
            kept.append(copy)
    return kept


def ended(causes: Iterable[types.Cause]) -> Iterator[facts.Episode]:
    """What ends with causes that are gone."""
    for cause in causes:
        if cause.alert:
            check = cause.members[0].check if cause.members else cause.group.check
            episode = facts.Episode(alert=cause.alert, check=check, rule=cause.rule)
            if cause.rule:
                episode.group.CopyFrom(cause.group)
            yield episode


def key_of(cause: types.Cause) -> Key:
    return (cause.rule, cause.version, cause.group.check, cause.group.column, cause.group.segment)


def _seconds(moment: Timestamp) -> float:
    return moment.seconds + moment.nanos / 1e9
