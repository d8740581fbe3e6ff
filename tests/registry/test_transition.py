"""Moving through the stages: requests, reviews, verdicts, and what makes an approval void."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import VERSION
from services.registry.domain.gates import judge
from services.registry.domain.transition import (
    change_stage,
    request_transition,
    submit_review,
    withdraw_transition,
)
from testkit.scenario import Life, Outcome, life
from tests.registry.build import (
    ADA,
    BEN,
    CAT,
    DIGEST,
    MODEL_NAME,
    NOW,
    VERSION_NAME,
    at,
    evaluated,
    project,
    registered,
    rule,
)

REVIEWED = project(rule(reviews=2))
GATED = project(rule(gates=("evaluations.holdout.metrics.auc >= 0.8",), reviews=1))
described = facts.VersionDescribed(documentation={"summary": "new"}, update_mask=FieldMask(paths=["summary"]))
retired = facts.VersionRetired(to_stage="retired")


def requested(version: Life, within: types.Project = REVIEWED, to_stage: str = "testing") -> Life:
    """The version after somebody has requested the move."""
    event = version.when(request_transition, within, now=NOW, to_stage=to_stage).event
    assert event is not None
    return version.given(event)


def reviewed(version: Life, who: str, within: types.Project = REVIEWED, **words: Any) -> Outcome:
    given: dict[str, Any] = {
        "transition": version.state.transition.number,
        "reviewers": [who],
        "kind": types.REVIEW_KIND_GENERAL,
        "decision": types.REVIEW_DECISION_APPROVE,
        "comment": "",
        "evidence": [],
        "now": NOW,
        **words,
    }
    return version.when(submit_review, within, **given)


def approved(version: Life, *people: str, within: types.Project = REVIEWED, **words: Any) -> Life:
    for who in people:
        event = reviewed(version, who, within, **words).event
        assert event is not None
        version.given(event, by=who)
    return version


def moved(version: Life, within: types.Project, to_stage: str) -> Life:
    event = version.when(change_stage, within, now=NOW, to_stage=to_stage).event
    assert event is not None
    return version.given(event)


def test_without_a_policy_a_version_walks_its_lifecycle_step_by_step() -> None:
    version = registered()
    for stage, phase in [
        ("testing", types.PHASE_TESTING),
        ("staging", types.PHASE_STAGING),
        ("development", types.PHASE_DEVELOPMENT),
        ("testing", types.PHASE_TESTING),
        ("staging", types.PHASE_STAGING),
        ("production", types.PHASE_PRODUCTION),
    ]:
        moved(version, project(), stage)
        assert (version.state.stage, version.state.phase) == (stage, phase)
    assert [verdict.to_stage for verdict in version.state.verdicts] == [
        "development",
        "testing",
        "staging",
        "production",
    ]


@pytest.mark.parametrize("verb", [change_stage, request_transition])
@pytest.mark.parametrize("stage", ["staging", "production"])
def test_no_stage_is_skipped(verb: Any, stage: str) -> None:
    registered().when(verb, project(), now=NOW, to_stage=stage).then_refused("TRANSITION_NOT_IN_LIFECYCLE")


@pytest.mark.parametrize("verb", [change_stage, request_transition])
def test_the_end_of_life_is_not_reached_by_moving(verb: Any) -> None:
    registered().when(verb, project(), now=NOW, to_stage="retired").then_refused("RETIRE_INSTEAD")
    registered().when(verb, project(), now=NOW, to_stage="archived").then_refused("RETIRE_INSTEAD")
    registered().when(verb, project(), now=NOW, to_stage="nowhere").then_refused("INVALID_REQUEST")
    registered(retired).when(verb, project(), now=NOW, to_stage="production").then_refused("VERSION_RETIRED")
    life(VERSION, VERSION_NAME).when(verb, project(), now=NOW, to_stage="testing").then_refused("VERSION_NOT_FOUND")


def test_a_version_that_is_there_already_does_not_move() -> None:
    registered().when(change_stage, project(), now=NOW, to_stage="development").then_nothing()


def test_a_stage_that_a_new_lifecycle_lacks_leads_nowhere() -> None:
    other = types.Lifecycle(
        stages=[{"id": "a", "phase": 1, "next": ["b"]}, {"id": "b", "phase": 4}, {"id": "c", "phase": 5}]
    )
    changed = project(lifecycle=other)
    registered().when(change_stage, changed, now=NOW, to_stage="b").then_refused("TRANSITION_NOT_IN_LIFECYCLE")


def test_the_move_records_why_it_was_allowed() -> None:
    version = approved(requested(registered(evaluated(0.9)), GATED), BEN, within=GATED)
    event = version.when(change_stage, GATED, now=NOW, to_stage="testing").event
    assert isinstance(event, facts.StageChanged)
    verdict = event.verdict
    assert (event.artifact_sha256, list(event.approvers)) == (DIGEST, [BEN])
    assert (verdict.transition, verdict.content_revision, verdict.policy_revision) == (1, 2, GATED.revision)
    assert [(gate.name, gate.kind, gate.result) for gate in verdict.gates] == [
        ("lifecycle", types.GATE_KIND_LIFECYCLE, types.GATE_RESULT_PASSED),
        ("g0", types.GATE_KIND_EXPRESSION, types.GATE_RESULT_PASSED),
        ("general", types.GATE_KIND_REVIEW, types.GATE_RESULT_PASSED),
    ]
    assert verdict.gates[1].evidence == {"evaluations.holdout.metrics.auc": "0.9"}
    kept = version.given(event, by=CAT).state
    assert kept.transition.state == types.TRANSITION_STATE_COMMITTED
    assert (kept.verdicts[0].decided_by, kept.verdicts[0].decide_time) == (CAT, kept.update_time)


def test_a_failing_gate_hinders_the_move_until_it_is_mended_and_reviewed_anew() -> None:
    version = approved(requested(registered(evaluated(0.7)), GATED), BEN, within=GATED)
    assert version.state.transition.gates[1].result == types.GATE_RESULT_FAILED
    outcome = version.when(change_stage, GATED, now=NOW, to_stage="testing")
    outcome.then_refused("GATES_FAILED")
    assert outcome.refusal is not None
    assert outcome.refusal.metadata == {"g0": "does not hold"}
    version.given(evaluated(0.9))
    version.when(change_stage, GATED, now=NOW, to_stage="testing").then_refused("TRANSITION_VOID")
    approved(requested(version, GATED), BEN, within=GATED)
    assert version.state.transition.number == 2
    moved(version, GATED, "testing")


@pytest.mark.parametrize("change", [described, evaluated(0.9)])
def test_a_change_of_content_voids_an_open_and_an_approved_request(change: Any) -> None:
    open_one = requested(registered()).given(change)
    assert open_one.state.transition.state == types.TRANSITION_STATE_VOID
    reviewed(open_one, BEN).then_refused("TRANSITION_VOID")
    approved_one = approved(requested(registered()), BEN, CAT).given(change)
    assert approved_one.state.transition.state == types.TRANSITION_STATE_VOID
    assert approved_one.state.transition.void_reason
    approved_one.when(change_stage, REVIEWED, now=NOW, to_stage="testing").then_refused("TRANSITION_VOID")
    requested(approved_one)


def test_a_tag_or_a_deprecation_leaves_an_approval_standing() -> None:
    version = approved(requested(registered()), BEN, CAT)
    version.given(facts.TagSet(key="k", value="v"), facts.VersionDeprecated())
    moved(version, REVIEWED, "testing")


def test_retiring_and_moving_elsewhere_void_a_request() -> None:
    assert requested(registered()).given(retired).state.transition.state == types.TRANSITION_STATE_VOID
    version = requested(moved(registered(), project(), "testing"), project(rule("staging", reviews=1)), "staging")
    assert moved(version, project(), "development").state.transition.state == types.TRANSITION_STATE_VOID


def test_a_move_that_needs_reviews_waits_for_enough_of_them() -> None:
    registered().when(change_stage, REVIEWED, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")
    version = approved(requested(registered()), BEN)
    assert version.state.transition.state == types.TRANSITION_STATE_OPEN
    version.when(change_stage, REVIEWED, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")
    approved(version, CAT)
    assert version.state.transition.state == types.TRANSITION_STATE_APPROVED
    assert list(moved(version, REVIEWED, "testing").state.verdicts[0].approvers) == [BEN, CAT]


def test_one_person_counts_once_whatever_they_submit() -> None:
    version = approved(requested(registered()), BEN)
    reviewed(version, BEN).then_nothing()
    approved(version, BEN, comment="once more")
    assert len(version.state.transition.reviews) == 1
    assert version.state.transition.state == types.TRANSITION_STATE_OPEN


@pytest.mark.parametrize("reviewers", [[ADA], [BEN, ADA]])
def test_who_made_a_version_does_not_review_it_not_even_through_somebody(reviewers: list[str]) -> None:
    reviewed(requested(registered()), "", reviewers=reviewers).then_refused("SEPARATION_OF_DUTIES")


BOT, CI = "serviceaccounts/bot", "serviceaccounts/ci"


def owning(within: types.Project, **owners: str) -> types.Project:
    """The project with accounts `bot` and `ci` as given: bot=ADA."""
    copy = types.Project()
    copy.CopyFrom(within)
    for account, owner in owners.items():
        copy.service_accounts[f"serviceaccounts/{account}"].owner = owner
    return copy


@pytest.mark.parametrize(
    ("maker", "reviewers"),
    [(ADA, [BOT]), (ADA, [BEN, BOT]), (BOT, [ADA]), (BOT, [CI]), (CI, [BEN, BOT]), (BOT, [BOT])],
)
def test_nobody_reviews_what_they_made_by_whatever_account(maker: str, reviewers: list[str]) -> None:
    within = owning(REVIEWED, bot=ADA, ci=ADA)
    version = requested(registered(by=maker), within)
    reviewed(version, "", within, reviewers=reviewers).then_refused("SEPARATION_OF_DUTIES")
    assert reviewed(version, "", within, reviewers=[BEN]).event is not None


def test_an_owner_of_former_times_and_one_of_all_projects_are_barred_too() -> None:
    version = requested(registered(by=CI, owners=[BEN]))
    reviewed(version, BEN).then_refused("SEPARATION_OF_DUTIES")
    above = owning(types.Project(name="projects/all"), bot=ADA)
    outcome = requested(registered(by=ADA)).when(
        submit_review, REVIEWED, above, transition=1, reviewers=[BOT], kind=types.REVIEW_KIND_GENERAL,
        decision=types.REVIEW_DECISION_APPROVE, comment="", evidence=[], now=NOW,
    )  # fmt: skip
    outcome.then_refused("SEPARATION_OF_DUTIES")


@pytest.mark.parametrize("second", [[BOT], [CI], ["serviceaccounts/other", BEN]])
def test_one_person_counts_once_by_whatever_account(second: list[str]) -> None:
    within = owning(REVIEWED, bot=BEN, ci=BEN)
    version = approved(requested(registered(), within), BEN, within=within)
    event = reviewed(version, "", within, reviewers=second).event
    assert event is not None
    version.given(event, by=second[0])
    version.state.transition.reviews[-1].on_behalf_of[:] = second[1:]
    version.when(change_stage, within, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")
    approved(version, CAT, within=within)
    event = version.when(change_stage, within, now=NOW, to_stage="testing").event
    assert isinstance(event, facts.StageChanged)
    assert list(event.approvers) == [BEN, CAT]


def test_the_move_says_which_people_stand_behind_its_approvers() -> None:
    within = owning(project(rule(reviews=1)), bot=BEN)
    version = approved(requested(registered(), within), BOT, within=within)
    version.state.transition.reviews[0].on_behalf_of.append(CAT)
    event = version.when(change_stage, within, now=NOW, to_stage="testing").event
    assert isinstance(event, facts.StageChanged)
    assert (list(event.approvers), list(event.approving_people)) == ([BOT], sorted([BOT, BEN, CAT]))


def test_author_and_uploader_are_both_barred() -> None:
    version = requested(registered(by="serviceaccounts/ci", author=ADA))
    reviewed(version, ADA).then_refused("SEPARATION_OF_DUTIES")
    reviewed(version, "serviceaccounts/ci").then_refused("SEPARATION_OF_DUTIES")
    approved(version, BEN)


def test_separation_of_duties_is_waived_only_by_every_matching_rule() -> None:
    waived = project(rule(reviews=1, author_may_review=True))
    moved(approved(requested(registered(), waived), ADA, within=waived), waived, "testing")
    half = project(rule(reviews=1, author_may_review=True), rule(gates=("true",)))
    reviewed(requested(registered(), half), ADA, half).then_refused("SEPARATION_OF_DUTIES")


def test_a_rule_tightened_after_the_approval_counts_at_the_move() -> None:
    one = project(rule(reviews=1))
    version = approved(requested(registered(), one), BEN, within=one)
    version.when(change_stage, REVIEWED, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")


def test_a_review_counts_for_its_kind_only() -> None:
    fairness = types.RequiredReview(kind=types.REVIEW_KIND_FAIRNESS, count=1)
    both = project(rule(reviews=1), types.TransitionRule(to_stage="testing", required_reviews=[fairness]))
    version = approved(requested(registered(), both), BEN, within=both)
    version.when(change_stage, both, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")
    approved(version, BEN, within=both, kind=types.REVIEW_KIND_FAIRNESS)
    assert list(moved(version, both, "testing").state.verdicts[0].approvers) == [BEN]


def test_a_review_that_needs_a_role_counts_while_its_reviewer_holds_it() -> None:
    required = types.RequiredReview(kind=types.REVIEW_KIND_GENERAL, count=1, role="validator")
    within = project(types.TransitionRule(to_stage="testing", required_reviews=[required]))
    version = approved(requested(registered(), within), BEN, within=within)
    version.when(change_stage, within, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")
    for binding in (
        {"principal": CAT, "role": "validator"},
        {"principal": BEN, "role": "viewer"},
        {"principal": BEN, "role": "validator", "model": f"{MODEL_NAME}-2"},
        {"principal": BEN, "role": "validator", "emergency": 1},
        {"principal": BEN, "role": "validator", "expire_time": NOW},
    ):
        wrong = types.Project()
        wrong.CopyFrom(within)
        wrong.roles.append(types.RoleBinding(**binding))
        version.when(change_stage, wrong, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")
    above = types.Project(roles=[types.RoleBinding(principal=BEN, role="validator")])
    assert version.when(change_stage, within, above, now=NOW, to_stage="testing").event is not None
    within.roles.add(principal=BEN, role="validator", model=MODEL_NAME, expire_time=NOW + timedelta(seconds=1))
    assert version.when(change_stage, within, now=NOW, to_stage="testing").event is not None
    version.state.transition.reviews[0].on_behalf_of.append(CAT)
    version.when(change_stage, within, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")


def test_one_rejection_ends_the_request_and_bars_the_move() -> None:
    version = approved(requested(registered()), BEN, CAT)
    approved(version, "users/dan", decision=types.REVIEW_DECISION_REJECT)
    assert version.state.transition.state == types.TRANSITION_STATE_REJECTED
    version.when(change_stage, REVIEWED, now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")
    version.when(change_stage, project(), now=NOW, to_stage="testing").then_refused("APPROVAL_REQUIRED")
    reviewed(version, "users/eve").then_refused("TRANSITION_NOT_OPEN")
    assert requested(version).state.transition.number == 2


def test_there_is_one_open_request_at_a_time_and_it_can_be_withdrawn() -> None:
    version = requested(registered())
    version.when(request_transition, REVIEWED, now=NOW, to_stage="testing").then_refused("TRANSITION_OPEN")
    withdrawn = facts.TransitionDecided(transition=1, state=types.TRANSITION_STATE_WITHDRAWN)
    version.when(withdraw_transition, REVIEWED, transition=1).then(withdrawn)
    version.given(withdrawn)
    version.when(withdraw_transition, REVIEWED, transition=1).then_nothing()
    version.when(withdraw_transition, REVIEWED, transition=2).then_refused("TRANSITION_NOT_OPEN")
    reviewed(version, BEN).then_refused("TRANSITION_NOT_OPEN")
    assert requested(version).state.transition.number == 2


def test_a_review_answers_the_newest_request_only() -> None:
    reviewed(registered(), BEN, transition=1).then_refused("TRANSITION_NOT_OPEN")
    reviewed(requested(registered()), BEN, transition=2).then_refused("TRANSITION_NOT_OPEN")


def test_a_request_takes_a_bounded_number_of_reviews() -> None:
    full = approved(requested(registered()), *(f"users/r{n}" for n in range(64)))
    reviewed(full, BEN).then_refused("TOO_MANY_REVIEWS")


def test_a_request_that_needs_no_review_is_approved_at_once_and_committed_with_the_move() -> None:
    version = requested(registered(), project())
    assert version.state.transition.state == types.TRANSITION_STATE_APPROVED
    moved(version, project(), "testing")
    assert version.state.transition.state == types.TRANSITION_STATE_COMMITTED
    assert version.state.verdicts[0].transition == 1


def test_required_documentation_is_filled_in() -> None:
    within = project(rule(required_documentation=["summary", "limitations"]))
    version = registered(documentation={"limitations": "  "})
    outcome = version.when(change_stage, within, now=NOW, to_stage="testing")
    outcome.then_refused("GATES_FAILED")
    assert outcome.refusal is not None
    assert set(outcome.refusal.metadata) == {"summary", "limitations"}
    version.given(
        facts.VersionDescribed(
            documentation={"summary": "s", "limitations": "l"}, update_mask=FieldMask(paths=["summary", "limitations"])
        )
    )
    moved(version, within, "testing")


def test_rules_apply_to_the_moves_they_name() -> None:
    within = project(rule("development", reviews=1, from_stage="staging"))
    version = moved(moved(moved(registered(), within, "testing"), within, "development"), within, "testing")
    moved(version, within, "staging").when(change_stage, within, now=NOW, to_stage="development").then_refused(
        "APPROVAL_REQUIRED"
    )


def test_the_dry_run_lists_every_gate_with_its_evidence() -> None:
    within = project(
        rule(gates=("evaluations.holdout.metrics.auc >= 0.8",), reviews=1, required_documentation=["summary"])
    )
    version = registered(evaluated(0.7))
    judgement = judge(version.state, "testing", at(within))
    assert [(one.name, one.result, one.reason) for one in judgement.gates] == [
        ("lifecycle", types.GATE_RESULT_PASSED, ""),
        ("summary", types.GATE_RESULT_FAILED, "it is empty"),
        ("g0", types.GATE_RESULT_FAILED, "does not hold"),
        ("general", types.GATE_RESULT_FAILED, "no transition was requested; request it, then have it reviewed"),
    ]
    assert judgement.gates[2].evidence == {"evaluations.holdout.metrics.auc": "0.7"}
    reasons = {
        stage: judge(version.state, stage, at(within)).gates[0].reason for stage in ("nowhere", "retired", "staging")
    }
    assert all(reasons.values())
