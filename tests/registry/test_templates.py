"""The shipped policies: sound, complete, every requirement traced to its source."""

import re

import pytest

from modelog.registry.v1 import types_pb2 as types
from modelog.sdk.templates import Template, template, template_names
from services.registry.domain import PROJECT
from services.registry.domain.lifecycle import BUILT_IN
from services.registry.domain.policy import check_policy, check_roles, kind_word
from services.registry.domain.project import set_policy
from testkit.scenario import life
from tests.registry.build import PROJECT_NAME, project_created

NAMES = template_names()
ANNEX_IV_POINTS = [
    *(f"Annex IV(1)({letter})" for letter in "abcdefgh"),
    *(f"Annex IV(2)({letter})" for letter in "abcdefgh"),
]
ANNEX_IV_POINTS += [f"Annex IV({number})" for number in range(3, 10)]


def requirements(one: Template) -> dict[str, str]:
    """Everything a template asks for, with its source."""
    found: dict[str, str] = {}
    for rule in one.policy.rules:
        asked = [*rule.required_documentation, *(gate.name for gate in rule.gates)]
        asked += [f"review.{kind_word(review.kind)}" for review in rule.required_reviews]
        found |= {f"{rule.to_stage} {key}": rule.sources.get(key, "") for key in asked}
        found |= {f"{rule.to_stage} {item.id}": item.source for item in rule.checklist}
    return found


def test_all_three_are_shipped() -> None:
    assert NAMES == ["eu-ai-act-annex-iv", "internal", "model-risk-management"]
    with pytest.raises(KeyError, match="internal"):
        template("other")


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_a_sound_policy_of_the_built_in_lifecycle(name: str) -> None:
    policy = template(name).policy
    check_policy(policy, BUILT_IN)
    check_roles(policy, {})
    outcome = life(PROJECT, PROJECT_NAME).given(project_created).when(set_policy, policy=policy)
    assert outcome.event is not None
    assert {rule.to_stage for rule in policy.rules} == {"testing", "staging", "production"}


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_says_where_it_comes_from(name: str) -> None:
    one = template(name)
    assert one.name == name
    assert one.title
    assert one.about
    assert one.source
    missing = [key for key, source in requirements(one).items() if not source]
    assert not missing
    assert len(requirements(one)) >= 10


def test_annex_iv_is_covered_point_by_point() -> None:
    told = "; ".join(requirements(template("eu-ai-act-annex-iv")).values()).replace(" and (c)", ", Annex IV(2)(c)")
    missing = [point for point in ANNEX_IV_POINTS if point not in told]
    assert not missing
    articles = {int(number) for number in re.findall(r"Article (\d+)", told)}
    assert {9, 10, 11, 12, 13, 14, 15, 47, 72} <= articles


def test_model_risk_management_speaks_of_development_validation_and_governance() -> None:
    sources = set(requirements(template("model-risk-management")).values())
    assert all(re.match(r"SR 11-7, section (IV|V|VI)\b", source) for source in sources)
    told = "; ".join(sources)
    for part in ("Model Inventory", "Conceptual Soundness", "Ongoing Monitoring", "Outcomes Analysis", "Model Use"):
        assert part in told
    validation = next(rule for rule in template("model-risk-management").policy.rules if rule.to_stage == "staging")
    assert all(item.not_by_makers for item in validation.checklist)
    assert all(review.role == "validator" for review in validation.required_reviews)
    assert validation.findings_block_from == types.SEVERITY_MEDIUM
