"""Findings: what reviewers found about a version, what was said to it, and whether it still blocks.

Makers answer, others confirm: what somebody behind the version's making calls resolved counts once somebody else has
looked. Nothing that was found is ever removed; one that turns out unsettled is opened again.
"""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import Denied, NotAllowedNow, NotFound, invalid_field
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import governance_events_pb2 as facts
from modelog.registry.v1.types_pb2 import (
    FINDING_STATE_ACCEPTED,
    FINDING_STATE_ANSWERED,
    FINDING_STATE_OPEN,
    FINDING_STATE_RESOLVED,
    SEVERITY_HIGH,
    SEVERITY_UNSPECIFIED,
    Finding,
    FindingAnswer,
    FindingState,
    Project,
    ReviewKind,
    Severity,
    TransitionRule,
    Version,
)
from services.registry.domain.access import NOWHERE, Access
from services.registry.domain.requests import movable

MOST_FINDINGS = 64
_UNSETTLED = (FINDING_STATE_OPEN, FINDING_STATE_ANSWERED)


def raise_finding(
    version: Version,
    project: Project,
    *,
    severity: Severity,
    kind: ReviewKind,
    title: str,
    text: str,
    evidence: Sequence[str],
) -> facts.FindingRaised:
    movable(version, project)
    if len(version.findings) >= MOST_FINDINGS:
        raise NotAllowedNow(
            "TOO_MANY_FINDINGS", f"{version.name} has {MOST_FINDINGS} findings; what is so wrong is better made anew"
        )
    return facts.FindingRaised(
        number=len(version.findings) + 1,
        severity=severity,
        kind=kind,
        title=title,
        text=text,
        evidence=evidence,
        content_revision=version.content_revision,
    )


def resolve_finding(
    version: Version,
    project: Project,
    everywhere: Project = NOWHERE,
    *,
    finding: int,
    text: str,
    evidence: Sequence[str],
    actors: Sequence[str],
    now: datetime,
) -> facts.FindingResolved | None:
    """`actors`: who says so, then for whom. Who made the version only answers; somebody else confirms."""
    known = _finding(version, project, finding)
    access = Access(project, everywhere, now)
    behind = access.people(actors)
    state = FINDING_STATE_RESOLVED if behind.isdisjoint(_makers(version, access)) else FINDING_STATE_ANSWERED
    answer = FindingAnswer(text=text, evidence=evidence, answered_by=actors[0])
    if known.state == state and _same_answer(known.answer, answer):
        return None
    if known.state not in _UNSETTLED:
        raise _settled(known)
    return facts.FindingResolved(
        finding=finding,
        text=text,
        evidence=evidence,
        state=state,
        people=sorted(behind),
        content_revision=version.content_revision,
    )


def confirm_finding(
    version: Version,
    project: Project,
    everywhere: Project = NOWHERE,
    *,
    finding: int,
    actors: Sequence[str],
    now: datetime,
) -> facts.FindingConfirmed | None:
    """Neither who made the version nor who gave the answer confirms it."""
    known = _finding(version, project, finding)
    access = Access(project, everywhere, now)
    _check_others(version, actors, _makers(version, access) | frozenset(known.answer.people), access)
    if known.state == FINDING_STATE_RESOLVED and known.confirmed_by == actors[0]:
        return None
    if known.state != FINDING_STATE_ANSWERED:
        raise NotAllowedNow(
            "FINDING_NOT_ANSWERED",
            f"finding {finding} is {told(known.state)}; only an answer that waits for somebody else is confirmed",
        )
    return facts.FindingConfirmed(finding=finding)


def accept_finding(
    version: Version,
    project: Project,
    everywhere: Project = NOWHERE,
    *,
    finding: int,
    text: str,
    evidence: Sequence[str],
    expire_time: Timestamp | None,
    actors: Sequence[str],
    now: datetime,
) -> facts.FindingAccepted | None:
    """A risk is taken by somebody who has no part in what causes it. An acceptance that ran out can be renewed."""
    known = _finding(version, project, finding)
    access = Access(project, everywhere, now)
    _check_others(version, actors, _makers(version, access), access)
    if expire_time is not None and expire_time.ToDatetime(now.tzinfo) <= now:
        raise invalid_field("expire_time", "it has passed already; name a later time or none", "EXPIRED")
    answer = FindingAnswer(text=text, evidence=evidence, answered_by=actors[0], expire_time=expire_time)
    if known.state == FINDING_STATE_ACCEPTED and _same_answer(known.answer, answer):
        return None
    if known.state == FINDING_STATE_RESOLVED or (known.state == FINDING_STATE_ACCEPTED and not ran_out(known, now)):
        raise _settled(known)
    return facts.FindingAccepted(
        finding=finding,
        text=text,
        evidence=evidence,
        expire_time=expire_time,
        people=sorted(access.people(actors)),
        content_revision=version.content_revision,
    )


def reopen_finding(version: Version, project: Project, *, finding: int, text: str) -> facts.FindingReopened:
    known = _finding(version, project, finding)
    if known.state == FINDING_STATE_OPEN:
        raise NotAllowedNow("FINDING_OPEN", f"finding {finding} is open")
    return facts.FindingReopened(finding=finding, text=text)


def blocking_from(rules: Sequence[TransitionRule]) -> Severity:
    """The lowest severity that blocks under these rules: HIGH for a rule that says nothing; nothing without rules."""
    named = (rule.findings_block_from or SEVERITY_HIGH for rule in rules)
    return min(named, default=SEVERITY_UNSPECIFIED)


def why_blocking(finding: Finding, now: datetime) -> str:
    """Why a finding is not settled, in a few words; empty when it is."""
    answer = finding.answer
    if ran_out(finding, now):
        return f"open again, for its acceptance by {answer.answered_by} ran out {answer.expire_time.ToJsonString()}"
    if finding.state == FINDING_STATE_ANSWERED:
        return f"answered by {answer.answered_by}, not confirmed by anybody else"
    return "open" if finding.state == FINDING_STATE_OPEN else ""


def ran_out(finding: Finding, now: datetime) -> bool:
    answer = finding.answer
    return (
        finding.state == FINDING_STATE_ACCEPTED
        and answer.HasField("expire_time")
        and answer.expire_time.ToDatetime(now.tzinfo) <= now
    )


def told(state: FindingState) -> str:
    return FindingState.Name(state).removeprefix("FINDING_STATE_").lower()


def _finding(version: Version, project: Project, number: int) -> Finding:
    movable(version, project)
    if not 1 <= number <= len(version.findings):
        raise NotFound("FINDING_NOT_FOUND", f"{version.name} has {len(version.findings)} findings and none {number}")
    return version.findings[number - 1]


def _makers(version: Version, access: Access) -> frozenset[str]:
    return access.people(version.makers)


def _check_others(version: Version, actors: Sequence[str], barred: frozenset[str], access: Access) -> None:
    involved = next((one for one in actors if not access.people([one]).isdisjoint(barred)), "")
    if involved:
        raise Denied(
            "SEPARATION_OF_DUTIES",
            f"{involved}, or who owns it, made {version.name} or gave the answer; somebody else has to",
            metadata={"principal": involved},
        )


def _settled(finding: Finding) -> NotAllowedNow:
    return NotAllowedNow(
        "FINDING_SETTLED", f"finding {finding.number} is {told(finding.state)}; open it again if that does not hold"
    )


def _same_answer(known: FindingAnswer, given: FindingAnswer) -> bool:
    return (
        (known.text, known.answered_by) == (given.text, given.answered_by)
        and list(known.evidence) == list(given.evidence)
        and known.HasField("expire_time") == given.HasField("expire_time")
        and known.expire_time == given.expire_time
    )


def evolve_finding(version: Version, event: Message, envelope: Fact) -> bool:
    """Folds the events of this module; False for any other."""
    match event:
        case facts.FindingRaised():
            finding = version.findings.add(number=event.number, severity=event.severity, kind=event.kind)
            finding.title, finding.text = event.title, event.text
            finding.evidence.extend(event.evidence)
            finding.state, finding.raised_by = FINDING_STATE_OPEN, envelope.actor.id
            finding.raise_time.CopyFrom(envelope.recorded_at)
            finding.content_revision = event.content_revision
        case facts.FindingResolved():
            _fold_answer(version.findings[event.finding - 1], event, event.state, envelope)
        case facts.FindingAccepted():
            finding = version.findings[event.finding - 1]
            _fold_answer(finding, event, FINDING_STATE_ACCEPTED, envelope)
            if event.HasField("expire_time"):
                finding.answer.expire_time.CopyFrom(event.expire_time)
        case facts.FindingConfirmed():
            finding = version.findings[event.finding - 1]
            finding.state, finding.confirmed_by = FINDING_STATE_RESOLVED, envelope.actor.id
            finding.confirm_time.CopyFrom(envelope.recorded_at)
        case facts.FindingReopened():
            finding = version.findings[event.finding - 1]
            finding.state, finding.reopen_reason = FINDING_STATE_OPEN, event.text
            finding.reopened += 1
            finding.ClearField("confirmed_by")
            finding.ClearField("confirm_time")
        case _:
            return False
    return True


def _fold_answer(
    finding: Finding, event: facts.FindingResolved | facts.FindingAccepted, state: FindingState, envelope: Fact
) -> None:
    finding.state = state
    finding.answer.CopyFrom(FindingAnswer(text=event.text, evidence=event.evidence, people=event.people))
    finding.answer.answered_by = envelope.actor.id
    finding.answer.answer_time.CopyFrom(envelope.recorded_at)
    finding.answer.content_revision = event.content_revision
