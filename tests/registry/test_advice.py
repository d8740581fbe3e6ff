"""Why a version cannot move, what to do next, and who could."""

from typing import Any

from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.advice import next_steps
from services.registry.domain.findings import resolve_finding
from services.registry.domain.gates import judge
from testkit.scenario import Life
from tests.registry.build import ADA, BEN, CAT, MODEL_NAME, NOW, at, evaluated, project, registered, rule
from tests.registry.governing import ANY, after, raised, requested, reviewed

EVA, BOT = "users/eva", "serviceaccounts/bot"
ITEM = types.ChecklistItem(id="oversight", text="a person can stop it", evidence_required=True, role="validator")


def staffed(*rules: types.TransitionRule) -> types.Project:
    """ada is the author, ben an approver, cat a validator of this model, eva of another one, bot is ada's."""
    within = project(*rules)
    for principal, role, model in (
        (ADA, "author", ""),
        (BEN, "approver", ""),
        (CAT, "validator", MODEL_NAME),
        (EVA, "validator", f"{MODEL_NAME}-2"),
        (BOT, "approver", ""),
    ):
        within.roles.add(principal=principal, role=role, model=model)
    within.service_accounts[BOT].owner = ADA
    return within


def steps(version: Life, within: types.Project, to_stage: str = "testing") -> dict[str, tuple[str, list[str]]]:
    """Method and people by gate."""
    access = at(within)
    failed = judge(version.state, to_stage, access).failed()
    told = next_steps(version.state, to_stage, failed, access)
    assert {one.gate for one in told} == {one.name for one in failed}
    assert all(one.text for one in told)
    return {one.gate: (one.method, list(one.principals)) for one in told}


def test_each_failed_gate_has_a_next_step_and_people_who_could_take_it() -> None:
    within = staffed(
        rule(
            gates=("evaluations.holdout.metrics.auc >= 0.8", "framework == 'onnx'"),
            reviews=1,
            required_documentation=["limitations"],
            checklist=[ITEM],
        )
    )
    version = raised(registered(evaluated(0.7)))
    assert steps(version, within) == {
        "limitations": ("UpdateVersion", [ADA]),
        "g0": ("RecordEvaluation", [ADA, CAT]),
        "g1": ("", []),
        "checklist.oversight": ("AnswerChecklist", [CAT]),
        "findings": ("ResolveFinding", [ADA, BEN, CAT, BOT]),
        "general": ("RequestTransition", [ADA]),
    }


def test_makers_those_who_reviewed_and_those_without_the_role_are_not_named() -> None:
    within = staffed(rule(reviews=2))
    version = requested(registered(), within)
    assert steps(version, within) == {"general": ("SubmitReview", [BEN, CAT])}
    after(version, reviewed(version, within, CAT), by=CAT)
    assert steps(version, within) == {"general": ("SubmitReview", [BEN])}
    needed = types.RequiredReview(kind=types.REVIEW_KIND_FAIRNESS, count=1, role="validator")
    by_role = staffed(types.TransitionRule(to_stage="testing", required_reviews=[needed]))
    assert steps(requested(registered(), by_role), by_role) == {"fairness": ("SubmitReview", [CAT])}


def test_an_expression_is_mended_where_what_it_speaks_of_is_written() -> None:
    gates = ("size(fairness) > 0", "documentation.summary != ''", "'run' in tags", "source.commit != ''")
    told = steps(registered(), staffed(rule(gates=gates)))
    assert [told[f"g{number}"][0] for number in range(4)] == ["RecordEvaluation", "UpdateVersion", "SetTag", ""]


def test_reviews_of_one_kind_by_two_roles_have_a_step_each() -> None:
    roles = ("validator", "approver")
    both = [types.RequiredReview(kind=types.REVIEW_KIND_GENERAL, count=1, role=role) for role in roles]
    within = staffed(types.TransitionRule(to_stage="testing", required_reviews=both))
    version = requested(registered(), within)
    failed = judge(version.state, "testing", at(within)).failed()
    told = [(one.condition, list(one.principals)) for one in next_steps(version.state, "testing", failed, at(within))]
    assert told == [("approved by 1 holding validator", [CAT]), ("approved by 1 holding approver", [BEN])]


def test_an_answer_of_the_makers_waits_for_others() -> None:
    version = raised(registered())
    words: dict[str, Any] = {"finding": 1, "text": "t", "evidence": [], "actors": [ADA], "now": NOW}
    after(version, version.when(resolve_finding, ANY, **words), by=ADA)
    assert steps(version, staffed(rule())) == {"findings": ("ConfirmFinding", [BEN, CAT])}


def test_the_way_to_a_stage_that_is_further_on() -> None:
    within = staffed()
    failed = judge(registered().state, "production", at(within)).failed()
    (step,) = next_steps(registered().state, "production", failed, at(within))
    assert "testing first" in step.text
    (nowhere,) = next_steps(
        registered().state, "live", judge(registered().state, "live", at(within)).failed(), at(within)
    )
    assert "development, testing" in nowhere.text
