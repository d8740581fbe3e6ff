"""Rules of retention, what the archive knows of versions, and what becomes of a record by them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message

from kernel.fold import Kind
from modelog.archive.v1 import events_pb2 as events
from modelog.archive.v1 import retention_events_pb2 as facts
from modelog.archive.v1 import retentions_pb2 as types
from modelog.archive.v1.record_erasures_pb2 import ARTIFACT_OUTCOME_GONE
from modelog.archive.v1.types_pb2 import RECORD_STATE_EXPIRED, RECORD_STATE_SEALED, Hold, Record
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.artifacts_pb2 import ArtifactFile
from modelog.registry.v1.governance_events_pb2 import VersionRestored
from modelog.registry.v1.types_pb2 import PHASE_DEVELOPMENT, PHASE_PRODUCTION, Artifact
from modelog.type.v1.quarantine_pb2 import Quarantine
from services.archive.domain import HOLD, KNOWN_VERSION, RECORD, RETENTION
from services.archive.domain.choosing import Candidate
from services.archive.domain.expiring import Standing, Verdict, erase, expire, is_held, judge, stands, withdraw
from services.archive.domain.hold import place
from services.archive.domain.retention import remove_rule, set_rule
from testkit.scenario import START, Life, life

PROJECT = "projects/risk"
VERSION = f"{PROJECT}/models/fraud/versions/3"
RECORDED = f"{PROJECT}/records/fraud-3"
RULE = f"{PROJECT}/retentions/short"
CASE = f"{PROJECT}/holds/case-17"
SETTINGS = types.RetentionSettings(filter="model = fraud", days=30)
PATHS = {"model-card.md": 10, "artifact": 900}
BROKEN = Quarantine(revision=9, reason="unreadable")
ARTIFACT = Artifact(sha256="ab" * 32, format="onnx", size_bytes=900, files=[ArtifactFile(sha256="cd" * 32)])
ENTERED = registry.VersionRegistered(
    artifact=ARTIFACT, stage="development", phase=PHASE_DEVELOPMENT, author="users/ada", tags={"use": "credit"}
)
MOVED = registry.StageChanged(
    from_stage="development", to_stage="live", from_phase=PHASE_DEVELOPMENT, to_phase=PHASE_PRODUCTION
)
RETIRED = registry.VersionRetired(from_stage="live", to_stage="retired", artifact=ARTIFACT)
STARTED = events.ArchivingStarted(version=VERSION, artifact_sha256=ARTIFACT.sha256)
SEALED = events.RecordSealed(version=VERSION, manifest_sha256="ef" * 32, artifact_sha256=ARTIFACT.sha256)


def ended() -> Life:
    return life(KNOWN_VERSION, VERSION).given(ENTERED, MOVED, RETIRED)


def sealed() -> Life:
    return life(RECORD, RECORDED).given(STARTED, SEALED)


def of(kind: Kind, name: str, *given: Message) -> Any:
    return life(kind, name).given(*given).state


def rule(name: str = "short", **fields: Any) -> types.Retention:
    given = types.RetentionSettings(**{"filter": "model = fraud", "days": 30, **fields})
    if fields.get("for_ever"):
        given.ClearField("days")
        given.for_ever = True
    found: types.Retention = of(RETENTION, f"{PROJECT}/retentions/{name}", facts.RetentionSet(settings=given))
    return found


def hold(**fields: Any) -> Hold:
    found: Hold = of(HOLD, CASE, events.HoldPlaced(**fields))
    return found


def verdict(*rules: types.Retention, holds: tuple[Hold, ...] = (), version: Any = None) -> Verdict:
    return judge(sealed().state, ended().state if version is None else version, Standing(rules, holds))


def in_days(days: float) -> datetime:
    """So long after the record was sealed, or the version retired, whichever was later."""
    return START + timedelta(hours=3, days=days)


def test_a_rule_is_set_and_replaced_and_removed() -> None:
    new = life(RETENTION, RULE)
    new.when(set_rule, settings=SETTINGS).then(facts.RetentionSet(settings=SETTINGS))
    known = new.given(facts.RetentionSet(settings=SETTINGS), by="users/eva")
    known.when(set_rule, settings=SETTINGS).then_nothing()
    longer = types.RetentionSettings(filter="model = fraud", days=60)
    known.when(set_rule, settings=longer).then(facts.RetentionSet(settings=longer))
    assert (known.state.settings, known.state.set_by) == (SETTINGS, "users/eva")
    known.when(remove_rule).then(facts.RetentionRemoved())
    removed = known.given(facts.RetentionRemoved())
    removed.when(remove_rule).then_nothing()
    removed.when(set_rule, settings=SETTINGS).then(facts.RetentionSet(settings=SETTINGS))
    life(RETENTION, RULE).when(remove_rule).then_refused("RETENTION_NOT_FOUND")


@pytest.mark.parametrize(
    "settings",
    [
        types.RetentionSettings(),
        types.RetentionSettings(for_ever=False),
        types.RetentionSettings(days=1, filter="modle = fraud"),
        types.RetentionSettings(days=1, filter="fraud"),
        types.RetentionSettings(days=1, filter="("),
    ],
)
def test_a_rule_says_how_long_and_of_which_versions(settings: types.RetentionSettings) -> None:
    life(RETENTION, RULE).when(set_rule, settings=settings).then_refused("INVALID_REQUEST")


def test_a_version_that_comes_back_is_chosen_by_its_new_life() -> None:
    back = VersionRestored(from_stage="retired", to_stage="development", to_phase=PHASE_DEVELOPMENT)
    known = ended().given(back, registry.TagSet(key="use", value="debit"))
    assert (known.state.retired, known.state.stage, known.state.tags["use"]) == (False, "development", "debit")
    assert verdict(rule(), version=known.state) == Verdict()
    again = known.given(RETIRED).state
    assert verdict(rule(), version=again).expires == START + timedelta(hours=6, days=30), "kept from its second end on"


def test_the_first_rule_by_priority_decides() -> None:
    assert verdict(rule()) == Verdict(RULE, in_days(30))
    longer = rule("long", days=3650, priority=1)
    assert verdict(longer, rule(priority=2)).expires == in_days(3650)
    assert verdict(longer, rule(priority=0)).expires == in_days(30)
    assert verdict(rule("b", days=2), rule("a", days=1)).rule == f"{PROJECT}/retentions/a", "by name where equal"
    assert verdict(rule("other", filter="model = other", days=1), rule()).rule == RULE
    assert verdict(rule("always", for_ever=True), rule(priority=5)) == Verdict(f"{PROJECT}/retentions/always")


def test_without_a_rule_a_record_is_kept_for_ever() -> None:
    assert verdict() == Verdict()
    assert verdict(rule(filter="model = other")) == Verdict()
    assert not verdict().is_due(in_days(40_000))
    assert verdict(of(RETENTION, RULE, facts.RetentionSet(settings=SETTINGS), facts.RetentionRemoved())) == Verdict()


def test_a_record_goes_when_its_time_has_come_and_not_before() -> None:
    assert not verdict(rule()).is_due(in_days(30) - timedelta(microseconds=1))
    assert verdict(rule()).is_due(in_days(30))


@pytest.mark.parametrize(
    ("placed", "held"),
    [
        ({"resources": [PROJECT]}, True),
        ({"resources": [f"{PROJECT}/models/fraud"]}, True),
        ({"resources": [VERSION]}, True),
        ({"resources": [RECORDED]}, True),
        ({"resources": [f"{PROJECT}/models/fraud/versions/31", f"{PROJECT}/models/fra"]}, False),
        ({"query": "tags.use = credit"}, True),
        ({"query": "tags.use = debit"}, False),
        ({"resources": [f"{PROJECT}/models/other"], "query": "phases:PRODUCTION"}, True),
    ],
)
def test_a_hold_wins_over_every_rule(placed: dict[str, Any], held: bool) -> None:
    one = hold(**placed)
    assert is_held(one, Candidate(ended().state), RECORDED) is held
    found = verdict(rule(), holds=(one,))
    assert (found.holds, found.is_due(in_days(31))) == ((CASE,) if held else (), not held)
    released = of(HOLD, CASE, events.HoldPlaced(**placed), events.HoldReleased())
    assert verdict(rule(), holds=(released,)).is_due(in_days(31))


def test_what_cannot_be_read_keeps() -> None:
    late = in_days(40_000)
    unreadable = rule("z", filter="model = other")
    unreadable.quarantine.CopyFrom(BROKEN)
    assert not verdict(rule(), unreadable).is_due(late)
    holding = Hold(name=CASE, quarantine=BROKEN)
    assert verdict(rule(), holds=(holding,)).holds == (CASE,)
    known = ended().state
    known.quarantine.CopyFrom(BROKEN)
    assert not verdict(rule(), version=known).is_due(late)
    assert not verdict(rule(), version=types.KnownVersion()).is_due(late)


def test_a_hold_by_query_is_placed_with_a_filter_that_can_be_read() -> None:
    placing: dict[str, Any] = {"project": PROJECT, "resources": (), "title": "", "authority": "court"}
    query = "tags.use = credit"
    life(HOLD, CASE).when(place, **placing, query=query).then(events.HoldPlaced(authority="court", query=query))
    life(HOLD, CASE).when(place, **placing).then_refused("INVALID_REQUEST")
    life(HOLD, CASE).when(place, **placing, query="stage ~ x").then_refused("INVALID_REQUEST")
    assert hold(query=query).query == query


def expired() -> events.RecordExpired:
    return events.RecordExpired(
        rule=RULE, erased_paths=["artifact", "model-card.md"], erased_bytes=910, version=VERSION
    )


def test_a_record_expires_once_its_rule_says_so() -> None:
    standing = Standing([rule()])
    going: dict[str, Any] = {"standing": standing, "paths": PATHS}
    sealed().when(expire, ended().state, now=in_days(29), **going).then_nothing()
    sealed().when(expire, ended().state, now=in_days(31), **going).then(expired())
    gone = sealed().given(expired())
    gone.when(expire, ended().state, now=in_days(31), **going).then_nothing()
    assert (gone.state.state, gone.state.expiry_rule, gone.state.erased_bytes) == (RECORD_STATE_EXPIRED, RULE, 910)
    started = life(RECORD, RECORDED).given(STARTED)
    started.when(expire, ended().state, now=in_days(31), **going).then_nothing()


def test_a_record_whose_artifact_is_being_put_back_waits() -> None:
    going: dict[str, Any] = {"standing": Standing([rule()]), "paths": PATHS, "now": in_days(31)}
    agreed = sealed().given(events.RecordRestoreRequested(), events.RecordRestoreApproved())
    agreed.when(expire, ended().state, **going).then_nothing()
    failed = agreed.given(events.RecordRestoreFailed(failure_reason="STORE_FULL"))
    failed.when(expire, ended().state, **going).then(expired())
    sealed().given(events.RecordRestoreRequested()).when(expire, ended().state, **going).then(expired())


def test_an_expiry_stands_or_falls_at_its_place_in_the_log() -> None:
    then = in_days(31)
    assert stands(verdict(rule()), RULE, then)
    assert not stands(verdict(rule(), holds=(hold(query="tags.use = credit"),)), RULE, then)
    assert not stands(verdict(rule(days=90)), RULE, then)
    assert not stands(verdict(rule("other", priority=0), rule(priority=1)), RULE, then), "another rule decides now"


def test_a_withdrawn_expiry_leaves_the_record_as_it_was() -> None:
    gone = sealed().given(expired())
    kept = gone.when(withdraw, attempt=3, expire_revision=7, holds=[CASE])
    kept.then(facts.RecordExpiryWithdrawn(expire_revision=7, withdrawal_reason="HELD", holds=[CASE]))
    rules = gone.when(withdraw, attempt=3, expire_revision=7, holds=[])
    rules.then(facts.RecordExpiryWithdrawn(expire_revision=7, withdrawal_reason="RULE_CHANGED"))
    back: Record = gone.given(facts.RecordExpiryWithdrawn(expire_revision=7, withdrawal_reason="HELD")).state
    assert back.state == RECORD_STATE_SEALED
    assert (back.expiry_rule, list(back.erased_paths), back.erased_bytes) == ("", [], 0)
    assert not back.HasField("expire_time")
    gone.when(withdraw, attempt=3, expire_revision=7, holds=[]).then_refused("RECORD_NOT_EXPIRING")


def test_an_erasure_tells_what_went() -> None:
    gone = sealed().given(expired())
    told = facts.RecordErased(
        version=VERSION,
        rule=RULE,
        expire_revision=7,
        paths=["artifact", "model-card.md"],
        size_bytes=910,
        artifact_sha256=ARTIFACT.sha256,
        artifact=ARTIFACT_OUTCOME_GONE,
    )
    gone.when(erase, attempt=3, expire_revision=7, artifact=ARTIFACT_OUTCOME_GONE).then(told)
    gone.when(erase, attempt=2, expire_revision=7, artifact=ARTIFACT_OUTCOME_GONE).then_refused("RECORD_NOT_EXPIRING")
    after = gone.given(told)
    assert after.state.erase_time.ToDatetime(tzinfo=UTC) == START + timedelta(hours=4)
    after.when(erase, attempt=3, expire_revision=7, artifact=ARTIFACT_OUTCOME_GONE).then_refused("RECORD_NOT_EXPIRING")
