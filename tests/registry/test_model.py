"""Models: describing, tags, retiring."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kernel.errors import Invalid
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import MODEL
from services.registry.domain.model import (
    create_model,
    describe_model,
    remove_model_tag,
    retire_model,
    set_model_tag,
)
from testkit.scenario import Life, life
from tests.registry.build import ADA, BEN, MODEL_NAME, VERSION_NAME, model_created, project


def fraud(*events: Any, by: str = "") -> Life:
    return life(MODEL, MODEL_NAME).given(model_created).given(*events, by=by)


def test_a_model_is_created_in_a_project_and_once() -> None:
    details = types.ModelDetails(title="Fraud")
    nobody = life(MODEL, MODEL_NAME)
    nobody.when(create_model, project(), details=details).then(facts.ModelCreated(details=details))
    nobody.when(create_model, types.Project(), details=details).then_refused("PROJECT_NOT_FOUND")
    fraud().when(create_model, project(), details=details).then_refused("MODEL_EXISTS")


@pytest.mark.parametrize(
    ("verb", "arguments", "keywords"),
    [
        (describe_model, (), {"details": types.ModelDetails(), "mask": FieldMask(paths=["title"])}),
        (set_model_tag, (), {"key": "k", "value": "v"}),
        (remove_model_tag, (), {"key": "k"}),
        (retire_model, (), {"living": []}),
    ],
)
def test_nothing_happens_to_a_model_that_does_not_exist(verb: Any, arguments: Any, keywords: Any) -> None:
    life(MODEL, MODEL_NAME).when(verb, *arguments, **keywords).then_refused("MODEL_NOT_FOUND")


def test_describing_writes_only_the_masked_fields_that_differ() -> None:
    new = types.ModelDetails(title="Fraud", description="d", owners=[BEN])
    mask = FieldMask(paths=["owners", "title", "task"])
    described = facts.ModelDescribed(details=types.ModelDetails(owners=[BEN]), update_mask=FieldMask(paths=["owners"]))
    fraud().when(describe_model, details=new, mask=mask).then(described)
    state = fraud(described).state
    assert list(state.details.owners) == [BEN]
    assert state.details.title == "Fraud"
    fraud(described).when(describe_model, details=new, mask=mask).then_nothing()


def test_a_masked_field_that_is_absent_is_cleared_and_a_star_means_all() -> None:
    nothing = types.ModelDetails()
    cleared = facts.ModelDescribed(details=nothing, update_mask=FieldMask(paths=["title", "owners"]))
    fraud().when(describe_model, details=nothing, mask=FieldMask(paths=["*"])).then(cleared)
    assert fraud(cleared).state.details == nothing


@pytest.mark.parametrize("paths", [[], ["titel"], ["details.title"], ["name"]])
def test_a_mask_names_fields_of_the_details(paths: list[str]) -> None:
    outcome = fraud().when(describe_model, details=types.ModelDetails(), mask=FieldMask(paths=paths))
    assert isinstance(outcome.refusal, Invalid)
    assert outcome.refusal.violations[0].field == "update_mask"


def test_tags_are_set_replaced_and_removed() -> None:
    tagged = facts.TagSet(key="team", value="blue")
    fraud().when(set_model_tag, key="team", value="blue").then(tagged)
    fraud(tagged).when(set_model_tag, key="team", value="blue").then_nothing()
    fraud(tagged).when(set_model_tag, key="team", value="red").then(facts.TagSet(key="team", value="red"))
    fraud(tagged).when(remove_model_tag, key="team").then(facts.TagRemoved(key="team"))
    fraud(tagged, facts.TagRemoved(key="team")).when(remove_model_tag, key="team").then_nothing()
    full = fraud(*(facts.TagSet(key=f"k{n}", value="") for n in range(64)))
    full.when(set_model_tag, key="one-more", value="").then_refused("TOO_MANY_TAGS")
    full.when(set_model_tag, key="k1", value="new").then(facts.TagSet(key="k1", value="new"))


def test_a_model_retires_when_its_versions_have() -> None:
    fraud().when(retire_model, living=[VERSION_NAME]).then_refused("MODEL_HAS_VERSIONS")
    fraud().when(retire_model, living=[]).then(facts.ModelRetired())
    fraud(facts.ModelRetired()).when(retire_model, living=[VERSION_NAME]).then_nothing()
    assert fraud(facts.ModelRetired()).state.retired
    assert list(fraud().state.details.owners) == [ADA]
