"""Judging a past move again: the same state, roles and moment, under the same or another policy, side by side."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from modelog.registry.v1.governance_pb2 import GateDifference, ReplayVerdictResponse
from modelog.registry.v1.types_pb2 import GateOutcome, Lifecycle, Policy, Project, Verdict, Version
from services.registry.domain.access import Access
from services.registry.domain.gates import judge


def verdict_of(version: Version, to_stage: str) -> Verdict | None:
    """The newest verdict by which it moved to a stage."""
    return next((one for one in version.verdicts if one.to_stage == to_stage), None)


def moment_of(verdict: Verdict) -> datetime:
    """When it was judged; of verdicts of former times, when it was recorded, which is no later than a clock's error."""
    time = verdict.judge_time if verdict.HasField("judge_time") else verdict.decide_time
    return time.ToDatetime(UTC)


def ruled_by(project: Project, lifecycle: Lifecycle, policy: Policy) -> Project:
    """The project with another lifecycle and policy, and with the same people in the same roles."""
    other = Project()
    other.CopyFrom(project)
    other.lifecycle.CopyFrom(lifecycle)
    other.policy.CopyFrom(policy)
    return other


def replay(verdict: Verdict, version: Version, access: Access) -> ReplayVerdictResponse:
    """`version`: as it was before the move. Everything but the position in the log is filled in."""
    judgement = judge(version, verdict.to_stage, access)
    found = list(_differences(verdict.gates, judgement.gates))
    return ReplayVerdictResponse(
        name=version.name,
        verdict=verdict,
        allowed=not judgement.failed(),
        gates=judgement.gates,
        differences=found,
        reproduced=not found and list(verdict.gates) == judgement.gates,
    )


def _differences(before: Sequence[GateOutcome], after: Sequence[GateOutcome]) -> Iterator[GateDifference]:
    """Gates that are not the same in both, in the order of the verdict, then those that are new."""
    told = {(one.kind, one.name): one for one in after}
    known = {(one.kind, one.name) for one in before}
    for one in before:
        now = told.get((one.kind, one.name))
        if now != one:
            yield GateDifference(name=one.name, kind=one.kind, before=one, after=now)
    for one in after:
        if (one.kind, one.name) not in known:
            yield GateDifference(name=one.name, kind=one.kind, after=one)
