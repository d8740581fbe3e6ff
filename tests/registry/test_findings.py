"""Findings: raised, answered, confirmed, accepted, opened again, and what they keep from moving."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import governance_events_pb2 as found
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.findings import (
    MOST_FINDINGS,
    accept_finding,
    confirm_finding,
    raise_finding,
    reopen_finding,
    resolve_finding,
)
from services.registry.domain.gates import judge
from testkit.scenario import Life, Outcome
from tests.registry.build import ADA, BEN, CAT, NOW, at, project, registered, rule
from tests.registry.governing import ANY, after, moving, raised

BOT = "serviceaccounts/bot"
GOVERNED = project(rule())


def said(version: Life, verb: Any, by: str, within: types.Project = ANY, finding: int = 1, **words: Any) -> Outcome:
    if verb in (resolve_finding, accept_finding):
        words = {"text": "mended", "evidence": ["https://fix"], **words}
    if verb is accept_finding:
        words = {"expire_time": None, **words}
    return version.when(verb, within, finding=finding, actors=[by], now=NOW, **words)


def until(moment: Any) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(moment)
    return time


def state_of(version: Life) -> types.FindingState:
    state: types.FindingState = version.state.findings[0].state
    return state


def test_a_finding_is_kept_with_who_raised_it_and_on_what_content() -> None:
    version = raised(registered())
    (one,) = version.state.findings
    assert (one.number, one.severity, one.raised_by, one.state) == (
        1,
        types.SEVERITY_HIGH,
        BEN,
        types.FINDING_STATE_OPEN,
    )
    assert (one.title, list(one.evidence), one.content_revision) == ("leaks", ["https://notebooks/7"], 1)
    assert one.raise_time == version.state.update_time


def test_findings_are_counted_and_their_number_is_limited() -> None:
    version = registered()
    for number in range(1, MOST_FINDINGS + 1):
        assert raised(version).state.findings[-1].number == number
    version.when(raise_finding, ANY, severity=4, kind=1, title="t", text="", evidence=[]).then_refused(
        "TOO_MANY_FINDINGS"
    )


@pytest.mark.parametrize("severity", [types.SEVERITY_HIGH, types.SEVERITY_CRITICAL])
def test_a_severe_finding_blocks_where_any_rule_governs_the_move(severity: types.Severity) -> None:
    outcome = moving(raised(registered(), severity), GOVERNED)
    outcome.then_refused("GATES_FAILED")
    assert outcome.refusal is not None
    assert "finding 1" in outcome.refusal.metadata["findings"]
    assert moving(raised(registered(), severity), ANY).event is not None


@pytest.mark.parametrize(
    ("least", "severity", "blocks"),
    [
        (types.SEVERITY_LOW, types.SEVERITY_LOW, True),
        (types.SEVERITY_MEDIUM, types.SEVERITY_LOW, False),
        (types.SEVERITY_UNSPECIFIED, types.SEVERITY_MEDIUM, False),
        (types.SEVERITY_CRITICAL, types.SEVERITY_HIGH, False),
        (types.SEVERITY_CRITICAL, types.SEVERITY_CRITICAL, True),
    ],
)
def test_a_rule_says_from_which_severity(least: types.Severity, severity: types.Severity, blocks: bool) -> None:
    outcome = moving(raised(registered(), severity), project(rule(findings_block_from=least)))
    assert (outcome.refusal is not None) == blocks


def test_of_several_rules_the_strictest_counts() -> None:
    within = project(rule(findings_block_from=types.SEVERITY_CRITICAL), rule(findings_block_from=types.SEVERITY_LOW))
    moving(raised(registered(), types.SEVERITY_LOW), within).then_refused("GATES_FAILED")
    within = project(rule(findings_block_from=types.SEVERITY_CRITICAL), rule())
    moving(raised(registered()), within).then_refused("GATES_FAILED")


def test_verdicts_speak_of_findings_only_where_there_are_some_or_a_rule_asks() -> None:
    kinds = {one.kind for one in judge(registered().state, "testing", at(GOVERNED)).gates}
    assert types.GATE_KIND_FINDING not in kinds
    asked = project(rule(findings_block_from=types.SEVERITY_LOW))
    (gate,) = (one for one in judge(registered().state, "testing", at(asked)).gates if one.name == "findings")
    assert (gate.result, gate.evidence["raised"]) == (types.GATE_RESULT_PASSED, "0")


def test_what_somebody_else_resolves_is_resolved() -> None:
    version = raised(registered())
    after(version, said(version, resolve_finding, CAT), by=CAT)
    assert state_of(version) == types.FINDING_STATE_RESOLVED
    assert moving(version, GOVERNED).event is not None
    said(version, resolve_finding, CAT).then_nothing()
    said(version, resolve_finding, CAT, text="otherwise").then_refused("FINDING_SETTLED")


@pytest.mark.parametrize("actor", [ADA, BOT])
def test_what_makers_resolve_waits_for_somebody_else(actor: str) -> None:
    within = types.Project()
    within.CopyFrom(ANY)
    within.service_accounts[BOT].owner = ADA
    version = raised(registered())
    event = said(version, resolve_finding, actor, within).event
    assert isinstance(event, found.FindingResolved)
    assert (event.state, ADA in event.people) == (types.FINDING_STATE_ANSWERED, True)
    version.given(event, by=actor)
    moving(version, GOVERNED).then_refused("GATES_FAILED")
    for one in (ADA, BOT):
        said(version, confirm_finding, one, within).then_refused("SEPARATION_OF_DUTIES")
    after(version, said(version, confirm_finding, BEN, within), by=BEN)
    assert (state_of(version), version.state.findings[0].confirmed_by) == (types.FINDING_STATE_RESOLVED, BEN)
    said(version, confirm_finding, BEN, within).then_nothing()
    said(version, confirm_finding, CAT, within).then_refused("FINDING_NOT_ANSWERED")
    assert moving(version, GOVERNED).event is not None


def test_a_better_answer_replaces_one_that_waits() -> None:
    version = raised(registered())
    after(version, said(version, resolve_finding, ADA), by=ADA)
    after(version, said(version, resolve_finding, ADA, text="mended better"), by=ADA)
    assert version.state.findings[0].answer.text == "mended better"
    after(version, said(version, resolve_finding, CAT, text="seen"), by=CAT)
    assert state_of(version) == types.FINDING_STATE_RESOLVED


def test_who_made_a_version_does_not_accept_what_was_found() -> None:
    version = raised(registered(by=BOT, author=ADA))
    within = types.Project()
    within.CopyFrom(ANY)
    within.service_accounts["serviceaccounts/other"].owner = ADA
    for one in (ADA, BOT, "serviceaccounts/other"):
        said(version, accept_finding, one, within).then_refused("SEPARATION_OF_DUTIES")
    after(version, said(version, accept_finding, BEN, within), by=BEN)
    assert moving(version, GOVERNED).event is not None


def test_an_acceptance_that_ran_out_blocks_again_and_can_be_renewed() -> None:
    version = raised(registered())
    said(version, accept_finding, BEN, expire_time=until(NOW)).then_refused("INVALID_REQUEST")
    later = NOW + timedelta(days=1)
    after(version, said(version, accept_finding, BEN, expire_time=until(later)), by=BEN)
    said(version, accept_finding, BEN, expire_time=until(later)).then_nothing()
    assert moving(version, GOVERNED, now=later - timedelta(seconds=1)).event is not None
    outcome = moving(version, GOVERNED, now=later)
    outcome.then_refused("GATES_FAILED")
    assert outcome.refusal is not None
    assert "ran out" in outcome.refusal.metadata["findings"]
    said(version, accept_finding, CAT).then_refused("FINDING_SETTLED")
    renewed = version.when(
        accept_finding, ANY, finding=1, text="mended", evidence=["https://fix"], expire_time=None, actors=[BEN],
        now=later,
    )  # fmt: skip
    assert moving(after(version, renewed, by=BEN), GOVERNED, now=later).event is not None


def test_whatever_was_said_a_finding_can_be_opened_again() -> None:
    version = raised(registered())
    reopen = version.when(reopen_finding, ANY, finding=1, text="no")
    reopen.then_refused("FINDING_OPEN")
    for verb, by in ((resolve_finding, CAT), (accept_finding, CAT), (resolve_finding, ADA)):
        after(version, said(version, verb, by), by=by)
        after(version, version.when(reopen_finding, ANY, finding=1, text="it does not hold"), by=BEN)
        moving(version, GOVERNED).then_refused("GATES_FAILED")
    one = version.state.findings[0]
    assert (one.reopened, one.reopen_reason, one.answer.answered_by) == (3, "it does not hold", ADA)


@pytest.mark.parametrize("verb", [resolve_finding, confirm_finding, accept_finding])
def test_there_is_nothing_to_say_to_what_is_not_there(verb: Any) -> None:
    said(registered(), verb, BEN).then_refused("FINDING_NOT_FOUND")
    said(raised(registered()), verb, BEN, finding=0).then_refused("FINDING_NOT_FOUND")
    gone = raised(registered()).given(facts.VersionRetired(to_stage="retired"))
    said(gone, verb, BEN).then_refused("VERSION_RETIRED")


def test_a_finding_leaves_an_approval_standing_and_the_move_looks_at_it() -> None:
    version = registered()
    content = version.state.content_revision
    assert raised(version).state.content_revision == content
