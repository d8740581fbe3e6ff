"""What becomes of a sealed record: which rule decides, until when it is kept, what holds it. Pure.

Whatever cannot be read keeps: of a quarantined rule, hold or version nobody knows what it says, and what was erased
does not come back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow
from modelog.archive.v1 import events_pb2 as events
from modelog.archive.v1 import retention_events_pb2 as facts
from modelog.archive.v1 import retentions_pb2 as types
from modelog.archive.v1.record_erasures_pb2 import ArtifactOutcome
from modelog.archive.v1.types_pb2 import (
    HOLD_STATE_RELEASED,
    RECORD_STATE_EXPIRED,
    RECORD_STATE_SEALED,
    Hold,
    Record,
)
from services.archive.domain.choosing import Candidate
from services.archive.domain.hold import covers
from services.archive.domain.restore import is_going_on

HELD, RULE_CHANGED = "HELD", "RULE_CHANGED"


@dataclass(frozen=True, slots=True)
class Standing:
    """The rules and holds of one project at one moment, in any order, those that count no more included."""

    rules: Sequence[types.Retention] = ()
    holds: Sequence[Hold] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """rule: the name of the one that decides, empty when none does. expires: when, unset for never. holds: names."""

    rule: str = ""
    expires: datetime | None = None
    holds: tuple[str, ...] = ()

    def is_due(self, now: datetime) -> bool:
        """Whether it goes at this moment."""
        return self.expires is not None and self.expires <= now and not self.holds


def judge(record: Record, version: types.KnownVersion, standing: Standing) -> Verdict:
    """What becomes of a sealed record; of any other, and of one whose version came back to life, nothing."""
    candidate = Candidate(version)
    holds = tuple(sorted(one.name for one in standing.holds if is_held(one, candidate, record.name)))
    if record.state != RECORD_STATE_SEALED or not version.retired or version.HasField("quarantine"):
        return Verdict(holds=holds)
    rule = deciding(candidate, standing.rules)
    if rule is None:
        return Verdict(holds=holds)
    return Verdict(rule.name, _expires(record, version, rule), holds)


def deciding(candidate: Candidate, rules: Sequence[types.Retention]) -> types.Retention | None:
    """The first rule by priority, then by name, that the version meets."""
    active = (one for one in rules if one.state != types.RETENTION_STATE_REMOVED or one.HasField("quarantine"))
    # An unreadable rule might be the first one, and the one that keeps.
    ordered = sorted(active, key=lambda one: (not one.HasField("quarantine"), one.settings.priority, one.name))
    return next((one for one in ordered if one.HasField("quarantine") or candidate.meets(one.settings.filter)), None)


def is_held(hold: Hold, candidate: Candidate, record: str) -> bool:
    """Whether a hold of the same project covers a version or its record, by name or by its query."""
    if hold.HasField("quarantine"):
        return True
    if hold.state == HOLD_STATE_RELEASED:
        return False
    if covers(hold, candidate.version.name) or (record and covers(hold, record)):
        return True
    return bool(hold.query) and candidate.meets(hold.query)


def _expires(record: Record, version: types.KnownVersion, rule: types.Retention) -> datetime | None:
    """From the sealing on, or from the retirement after it where the version was brought back in between."""
    if rule.HasField("quarantine") or rule.settings.WhichOneof("keep") != "days":
        return None
    began = max(record.seal_time.ToDatetime(tzinfo=UTC), version.retire_time.ToDatetime(tzinfo=UTC))
    return began + timedelta(days=rule.settings.days)


def expire(
    record: Record, version: types.KnownVersion, *, standing: Standing, now: datetime, paths: Mapping[str, int]
) -> Message | None:
    """The record goes, if it still has to, and nobody is being handed its artifact.

    paths: what is to be erased inside it, with lengths in bytes.
    """
    verdict = judge(record, version, standing)
    if is_going_on(record) or not verdict.is_due(now):
        return None
    return events.RecordExpired(
        rule=verdict.rule, erased_paths=sorted(paths), erased_bytes=sum(paths.values()), version=record.version
    )


def stands(verdict: Verdict, rule: str, now: datetime) -> bool:
    """Whether an expiry by a rule stands. verdict: by the rules and holds just before the RecordExpired; now: when that
    was recorded."""
    return verdict.rule == rule and verdict.is_due(now)


def withdraw(record: Record, *, attempt: int, expire_revision: int, holds: Sequence[str]) -> Message:
    """Takes back the RecordExpired of generation `attempt`, which its place in the log speaks against."""
    _wants(record, attempt)
    return facts.RecordExpiryWithdrawn(
        expire_revision=expire_revision, withdrawal_reason=HELD if holds else RULE_CHANGED, holds=holds
    )


def erase(
    record: Record, *, attempt: int, expire_revision: int, artifact: ArtifactOutcome, text_count: int = 0
) -> Message:
    """Nothing is left of what the RecordExpired of generation `attempt` named, nor of what people wrote."""
    _wants(record, attempt)
    return facts.RecordErased(
        version=record.version,
        rule=record.expiry_rule,
        expire_revision=expire_revision,
        paths=record.erased_paths,
        size_bytes=record.erased_bytes,
        artifact_sha256=record.artifact_sha256,
        artifact=artifact,
        text_count=text_count,
    )


def _wants(record: Record, attempt: int) -> None:
    if record.state != RECORD_STATE_EXPIRED or record.generation != attempt:
        raise NotAllowedNow(
            "RECORD_NOT_EXPIRING", f"{record.name} does not wait for the erasure of generation {attempt}"
        )
