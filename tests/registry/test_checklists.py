"""Checklists: who answers, what shows it, and when an answer is stale."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.gates import judge
from services.registry.domain.policy import check_policy, check_roles
from testkit.scenario import Life
from tests.registry.build import ADA, BEN, MODEL_NAME, at, evaluated, policy, project, registered, rule
from tests.registry.governing import after, answered, moving

ITEM = types.ChecklistItem(id="oversight", text="a person can stop it", evidence_required=True, source="Article 14")
PLAIN = types.ChecklistItem(id="inventory", text="it is in the inventory")
WITHIN = project(rule(checklist=[ITEM, PLAIN]))
SHOWN: dict[str, Any] = {"evidence": ["https://wiki/oversight"]}
described = facts.VersionDescribed(documentation={"summary": "new"}, update_mask=FieldMask(paths=["summary"]))


def asking(**fields: Any) -> types.Project:
    return project(rule(checklist=[types.ChecklistItem(id="oversight", text="t", **fields)]))


def complete(version: Life, within: types.Project = WITHIN) -> Life:
    after(version, answered(version, within, "oversight", **SHOWN), by=BEN)
    return after(version, answered(version, within, "inventory"), by=BEN)


def why(version: Life, within: types.Project = WITHIN, item: str = "oversight") -> str:
    gates = judge(version.state, "testing", at(within)).gates
    return next(one.reason for one in gates if one.name == f"checklist.{item}")


def test_a_move_waits_until_every_item_is_answered() -> None:
    version = registered()
    outcome = moving(version, WITHIN)
    outcome.then_refused("GATES_FAILED")
    assert outcome.refusal is not None
    assert set(outcome.refusal.metadata) == {"checklist.oversight", "checklist.inventory"}
    after(version, answered(version, WITHIN, "oversight", **SHOWN), by=BEN)
    moving(version, WITHIN).then_refused("GATES_FAILED")
    after(version, answered(version, WITHIN, "inventory"), by=BEN)
    event = moving(version, WITHIN).event
    assert isinstance(event, facts.StageChanged)
    gate = next(one for one in event.verdict.gates if one.name == "checklist.oversight")
    assert (gate.kind, gate.source, gate.condition) == (types.GATE_KIND_CHECKLIST, "Article 14", ITEM.text)
    assert (gate.evidence["answered_by"], gate.evidence["evidence"]) == (BEN, "https://wiki/oversight")


@pytest.mark.parametrize("change", [described, evaluated(0.9)])
def test_an_answer_is_for_the_content_it_was_given_on(change: Any) -> None:
    version = complete(registered()).given(change)
    moving(version, WITHIN).then_refused("GATES_FAILED")
    assert "content" in why(version)
    assert moving(complete(version), WITHIN).event is not None


def test_the_same_answer_is_recorded_once_for_each_content() -> None:
    version = complete(registered())
    answered(version, WITHIN, "inventory").then_nothing()
    assert answered(version, WITHIN, "inventory", comment="again").event is not None
    assert answered(version.given(described), WITHIN, "inventory").event is not None


def test_an_answer_to_other_words_does_not_count() -> None:
    version = complete(registered())
    asked = project(rule(checklist=[types.ChecklistItem(id="oversight", text="two people can stop it")]))
    assert "something else" in why(version, asked)
    stricter = project(rule(checklist=[types.ChecklistItem(id="inventory", text=PLAIN.text, evidence_required=True)]))
    assert "without evidence" in why(version, stricter, "inventory")


def test_what_an_item_wants_is_asked_when_it_is_answered() -> None:
    version = registered()
    answered(version, WITHIN, "oversight").then_refused("INVALID_REQUEST")
    not_applicable = types.CHECKLIST_RESULT_NOT_APPLICABLE
    answered(version, WITHIN, "oversight", result=not_applicable).then_refused("INVALID_REQUEST")
    answered(version, WITHIN, "oversight", result=not_applicable, comment="  ").then_refused("INVALID_REQUEST")
    answered(version, WITHIN, "oversight", result=types.CHECKLIST_RESULT_UNSPECIFIED).then_refused("INVALID_REQUEST")
    after(version, answered(version, WITHIN, "oversight", result=not_applicable, comment="it decides nothing"))
    assert why(version) == ""


def test_only_what_the_policy_asks_is_answered() -> None:
    answered(registered(), WITHIN, "other").then_refused("ITEM_NOT_FOUND")
    elsewhere = project(rule(checklist=[PLAIN], model_ids=["churn"]))
    answered(registered(), elsewhere, "inventory").then_refused("ITEM_NOT_FOUND")
    gone = registered(facts.VersionRetired(to_stage="retired"))
    answered(gone, WITHIN, "inventory").then_refused("VERSION_RETIRED")


def test_an_item_can_be_kept_from_the_makers_and_from_their_accounts() -> None:
    within = asking(not_by_makers=True)
    within.service_accounts["serviceaccounts/bot"].owner = ADA
    version = registered()
    for one in (ADA, "serviceaccounts/bot"):
        answered(version, within, "oversight", by=one).then_refused("SEPARATION_OF_DUTIES")
    answered(version, within, "oversight", actors=[BEN, ADA]).then_refused("SEPARATION_OF_DUTIES")
    after(version, answered(version, asking(), "oversight", by=ADA), by=ADA)
    assert "made the version" in why(version, within)
    after(version, answered(version, within, "oversight"), by=BEN)
    assert why(version, within) == ""


def test_an_item_for_a_role_is_answered_by_who_holds_it_and_as_long() -> None:
    within = asking(role="validator")
    answered(registered(), within, "oversight").then_refused("ROLE_REQUIRED")
    within.roles.add(principal=BEN, role="validator", model=MODEL_NAME)
    version = registered()
    answered(version, within, "oversight", actors=[BEN, "users/cat"]).then_refused("ROLE_REQUIRED")
    after(version, answered(version, within, "oversight"), by=BEN)
    assert why(version, within) == ""
    del within.roles[:]
    assert "does not hold validator" in why(version, within)


def test_an_item_means_the_same_in_every_rule() -> None:
    stages = project().lifecycle
    check_policy(policy(rule(checklist=[PLAIN]), rule("staging", checklist=[PLAIN])), stages)
    other = types.ChecklistItem(id="inventory", text="something else")
    for wrong in (
        policy(rule(checklist=[PLAIN]), rule("staging", checklist=[other])),
        policy(rule(checklist=[PLAIN, PLAIN])),
        policy(rule(sources={"limitations": "Article 13"})),
    ):
        with pytest.raises(Exception, match=r"checklist|sources"):
            check_policy(wrong, stages)
    with pytest.raises(Exception, match="no role"):
        check_roles(policy(rule(checklist=[types.ChecklistItem(id="a", text="t", role="nobody")])), {})


def test_a_rule_for_some_models_says_nothing_to_others() -> None:
    version = registered()
    for ids, governed in ((["fraud"], True), (["fr*"], True), (["*"], True), (["churn", "credit-*"], False)):
        assert (moving(version, project(rule(gates=("false",), model_ids=ids))).refusal is not None) == governed


def test_sources_stand_in_the_verdict() -> None:
    within = project(
        rule(
            gates=("true",),
            reviews=1,
            required_documentation=["limitations"],
            sources={"g0": "section 3", "review.general": "section 5", "limitations": "Article 13"},
        )
    )
    gates = judge(registered().state, "testing", at(within)).gates
    assert [one.source for one in gates] == ["", "Article 13", "section 3", "section 5"]
