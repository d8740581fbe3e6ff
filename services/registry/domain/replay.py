"""Judging a past move again: the same state, roles and moment, under the same or another policy, side by side."""

from collections import Counter
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
    known, told = _keyed(before), _keyed(after)
    for key, one in known.items():
        if told.get(key) != one:
            yield GateDifference(name=one.name, kind=one.kind, before=one, after=told.get(key))
    for key, one in told.items():
        if key not in known:
            yield GateDifference(name=one.name, kind=one.kind, after=one)


def _keyed(gates: Sequence[GateOutcome]) -> dict[tuple[int, str, int], GateOutcome]:
    """By kind, name and place among those of the same kind and name: reviews of one kind may be wanted of two roles."""
    seen: Counter[tuple[int, str]] = Counter()
    keyed: dict[tuple[int, str, int], GateOutcome] = {}
    for one in gates:
        seen[one.kind, one.name] += 1
        keyed[one.kind, one.name, seen[one.kind, one.name]] = one
    return keyed
