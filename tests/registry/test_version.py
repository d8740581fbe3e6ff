"""Versions: registering, describing, measuring, deprecating, retiring, archiving."""

from functools import partial
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.cause import Cause, fact_of
from kernel.errors import Invalid, UnknownFact
from kernel.fold import apply
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from modelog.type.v1.principal_pb2 import Principal
from services.registry.domain import VERSION
from services.registry.domain.access import NOWHERE
from services.registry.domain.version import (
    archive_version,
    deprecate_version,
    describe_version,
    record_evaluation,
    register_version,
    remove_version_tag,
    retire_version,
    set_version_tag,
)
from testkit.scenario import START, life
from tests.registry.build import (
    ADA,
    BEN,
    MODEL_NAME,
    VERSION_NAME,
    artifact,
    evaluated,
    evaluation,
    model,
    project,
    registered,
    version_registered,
)

RECORD = "projects/risk/records/fraud-1"
retired = facts.VersionRetired(
    from_stage="development", artifact=artifact(), to_stage="retired", from_phase=types.PHASE_DEVELOPMENT
)
archived = facts.VersionArchived(record=RECORD, to_stage="archived")
SUMMARY = FieldMask(paths=["summary"])
REGISTER = partial(register_version, actors=[ADA])


REGISTER = partial(register_version, actors=[ADA])


def nobody() -> Any:
    return life(VERSION, VERSION_NAME)


def test_a_version_starts_in_the_first_stage_of_the_projects_lifecycle() -> None:
    given = facts.VersionRegistered(artifact=artifact(), framework="f")
    nobody().when(REGISTER, model(), project(), NOWHERE, given=given).then(version_registered(framework="f"))
    own = types.Lifecycle(stages=[{"id": "draft", "phase": types.PHASE_TESTING}])
    began = facts.VersionRegistered(artifact=artifact(), stage="draft", phase=types.PHASE_TESTING)
    started = facts.VersionRegistered(artifact=artifact())
    nobody().when(REGISTER, model(), project(lifecycle=own), NOWHERE, given=started).then(began)


def test_registering_needs_its_model_its_project_and_its_parent() -> None:
    given = facts.VersionRegistered(artifact=artifact(), parent_version=f"{MODEL_NAME}/versions/7")
    nobody().when(REGISTER, types.Model(), project(), NOWHERE, given=given).then_refused("MODEL_NOT_FOUND")
    nobody().when(REGISTER, model(), types.Project(), NOWHERE, given=given).then_refused("PROJECT_NOT_FOUND")
    nobody().when(
        register_version, model(), project(), NOWHERE, types.Version(), given=given, actors=[ADA]
    ).then_refused("VERSION_NOT_FOUND")
    closed = model(facts.ModelRetired())
    nobody().when(REGISTER, closed, project(), NOWHERE, given=given).then_refused("MODEL_RETIRED")
    registered().when(REGISTER, model(), project(), NOWHERE, given=given).then_refused("VERSION_EXISTS")


def test_columns_of_a_signature_have_names_of_their_own() -> None:
    column = types.Column(name="age", type=types.DATA_TYPE_INT64)
    given = facts.VersionRegistered(artifact=artifact(), signature={"inputs": [column], "outputs": [column]})
    assert nobody().when(REGISTER, model(), project(), NOWHERE, given=given).event is not None
    given.signature.outputs.append(column)
    outcome = nobody().when(REGISTER, model(), project(), NOWHERE, given=given)
    assert isinstance(outcome.refusal, Invalid)
    assert outcome.refusal.violations[0].field == "signature.outputs[1].name"


def test_everything_registered_is_kept() -> None:
    event = version_registered(
        source={"repository": "r", "commit": "a" * 40, "dirty": True},
        signature={"inputs": [{"name": "x", "type": types.DATA_TYPE_FLOAT32}]},
        training_data=[{"name": "d", "sha256": "cd" * 32}],
        hyperparameters={"depth": "3"},
        framework="scikit-learn 1.9",
        parent_version=f"{MODEL_NAME}/versions/7",
        answers="projects/risk/monitors/m/retrainings/1",
        documentation={"summary": "s"},
    )
    state = life(VERSION, VERSION_NAME).given(event).state
    for field in facts.VersionRegistered.DESCRIPTOR.fields:
        if field.name not in ("author", "owners"):
            assert getattr(state, field.name) == getattr(event, field.name), field.name
    assert (state.generation, state.content_revision, state.author, list(state.makers)) == (1, 1, ADA, [ADA])


def test_author_uploader_and_whoever_they_acted_for_made_the_version() -> None:
    state = types.Version()
    cause = Cause(
        actor=Principal(id="serviceaccounts/ci"),
        request_id="r",
        now=START,
        on_behalf_of=(Principal(id=BEN), Principal(id=ADA)),
    )
    fact = fact_of(VERSION, VERSION_NAME, state, version_registered(author=ADA), cause, ())
    apply(VERSION, state, fact, 1)
    assert state.author == ADA
    assert list(state.makers) == [ADA, "serviceaccounts/ci", BEN]


def test_describing_writes_the_masked_fields_and_counts_as_content() -> None:
    said = types.Documentation(summary="s", limitations="not for children")
    mask = FieldMask(paths=["limitations"])
    event = facts.VersionDescribed(documentation={"limitations": "not for children"}, update_mask=mask)
    registered().when(describe_version, documentation=said, mask=mask).then(event)
    after = registered(event)
    assert after.state.documentation.limitations == "not for children"
    assert after.state.content_revision == 2
    after.when(describe_version, documentation=said, mask=mask).then_nothing()
    after.when(describe_version, documentation=said, mask=FieldMask(paths=["a"])).then_refused("INVALID_REQUEST")


def test_properties_are_written_as_a_whole() -> None:
    mask = FieldMask(paths=["properties"])
    said = types.Documentation(properties={"rows": types.Property(number=3.0)})
    event = facts.VersionDescribed(documentation=said, update_mask=mask)
    older = facts.VersionDescribed(documentation={"properties": {"old": {"flag": True}}}, update_mask=mask)
    state = registered(older, event).state
    assert dict(state.documentation.properties) == {"rows": types.Property(number=3.0)}


def test_an_evaluation_is_recorded_replaced_and_signed_by_the_server() -> None:
    claimed = evaluation(0.7, recorded_by="users/mallory")
    registered().when(record_evaluation, evaluation_id="holdout", evaluation=claimed).then(evaluated(0.7))
    once = registered().given(evaluated(0.7), by=BEN)
    kept = once.state.evaluations["holdout"]
    assert (kept.recorded_by, kept.record_time, once.state.content_revision) == (BEN, once.state.update_time, 2)
    once.when(record_evaluation, evaluation_id="holdout", evaluation=evaluation(0.7)).then_nothing()
    once.when(record_evaluation, evaluation_id="holdout", evaluation=evaluation(0.8)).then(evaluated(0.8))
    once.when(record_evaluation, evaluation_id="other", evaluation=evaluation(0.7)).then(evaluated(0.7, "other"))


def test_a_version_has_a_bounded_number_of_evaluations() -> None:
    full = registered(*(evaluated(0.5, f"e{n}") for n in range(32)))
    more = {"evaluation_id": "one-more", "evaluation": evaluation(0.5)}
    full.when(record_evaluation, **more).then_refused("TOO_MANY_EVALUATIONS")
    full.when(record_evaluation, evaluation_id="e0", evaluation=evaluation(0.6)).then(evaluated(0.6, "e0"))


def test_tags_are_no_content() -> None:
    tagged = facts.TagSet(key="run", value="7")
    registered().when(set_version_tag, key="run", value="7").then(tagged)
    assert registered(tagged).state.content_revision == 1
    registered(tagged).when(remove_version_tag, key="run").then(facts.TagRemoved(key="run"))
    assert not registered(tagged, facts.TagRemoved(key="run")).state.tags


def test_deprecating_names_a_living_successor() -> None:
    other = registered(name=f"{MODEL_NAME}/versions/2").state
    event = facts.VersionDeprecated(successor=other.name, message="use 2", sunset_time=Timestamp(seconds=9))
    words: dict[str, Any] = {"named": other.name, "message": "use 2", "sunset": Timestamp(seconds=9)}
    registered().when(deprecate_version, other, **words).then(event)
    registered(event).when(deprecate_version, other, **words).then_nothing()
    registered(event).when(deprecate_version, other, **{**words, "sunset": None}).then(
        facts.VersionDeprecated(successor=other.name, message="use 2")
    )
    deprecation = registered(event).state.deprecation
    assert (deprecation.successor, deprecation.deprecated_by, deprecation.sunset_time.seconds) == (other.name, ADA, 9)
    registered().when(deprecate_version, types.Version(), **words).then_refused("VERSION_NOT_FOUND")
    gone = registered(retired, name=other.name).state
    registered().when(deprecate_version, gone, **words).then_refused("SUCCESSOR_RETIRED")
    itself = {**words, "named": VERSION_NAME}
    registered().when(deprecate_version, registered().state, **itself).then_refused("INVALID_REQUEST")


def test_retiring_is_refused_while_something_depends_on_it_and_names_all_of_it() -> None:
    pointed = model(
        facts.AliasAssigned(alias="champion", version=VERSION_NAME),
        facts.AliasAssigned(alias="shadow", version=f"{MODEL_NAME}/versions/2"),
        facts.AliasAssigned(alias="best", version=VERSION_NAME),
    )
    serving = ["projects/risk/endpoints/eu", "projects/risk/endpoints/us"]
    outcome = registered().when(retire_version, pointed, project(), serving=serving)
    outcome.then_refused("VERSION_IN_USE")
    assert outcome.refusal is not None
    assert outcome.refusal.metadata == {"endpoints": " ".join(serving), "aliases": "best champion"}
    registered().when(retire_version, model(), project(), serving=serving[:1]).then_refused("VERSION_IN_USE")
    registered().when(retire_version, pointed, project(), serving=[]).then_refused("VERSION_IN_USE")


def test_a_version_nobody_uses_retires_from_any_stage() -> None:
    registered().when(retire_version, model(), project(), serving=[]).then(retired)
    state = registered(retired).state
    assert (state.stage, state.phase) == ("retired", types.PHASE_RETIRED)
    registered(retired).when(retire_version, model(), project(), serving=["e"]).then_nothing()


def test_only_a_retired_version_is_archived() -> None:
    registered().when(archive_version, project(), record=RECORD).then_refused("VERSION_NOT_RETIRED")
    registered(retired).when(archive_version, project(), record=RECORD).then(archived)
    state = registered(retired, archived).state
    assert (state.stage, state.phase, state.record) == ("archived", types.PHASE_ARCHIVED, RECORD)
    registered(retired, archived).when(archive_version, project(), record=RECORD).then_nothing()


@pytest.mark.parametrize("end", [(retired,), (retired, archived)])
@pytest.mark.parametrize(
    ("verb", "keywords"),
    [
        (describe_version, {"documentation": types.Documentation(summary="s"), "mask": SUMMARY}),
        (record_evaluation, {"evaluation_id": "e", "evaluation": types.Evaluation()}),
        (deprecate_version, {"named": "", "message": "", "sunset": None}),
    ],
)
def test_what_has_retired_does_not_change(verb: Any, keywords: Any, end: Any) -> None:
    registered(*end).when(verb, **keywords).then_refused("VERSION_RETIRED")


@pytest.mark.parametrize(
    ("verb", "arguments", "keywords"),
    [
        (describe_version, (), {"documentation": types.Documentation(), "mask": SUMMARY}),
        (record_evaluation, (), {"evaluation_id": "e", "evaluation": types.Evaluation()}),
        (deprecate_version, (), {"named": "", "message": "", "sunset": None}),
        (set_version_tag, (), {"key": "k", "value": ""}),
        (remove_version_tag, (), {"key": "k"}),
        (retire_version, (model(), project()), {"serving": []}),
        (archive_version, (project(),), {"record": RECORD}),
    ],
)
def test_nothing_happens_to_a_version_that_does_not_exist(verb: Any, arguments: Any, keywords: Any) -> None:
    nobody().when(verb, *arguments, **keywords).then_refused("VERSION_NOT_FOUND")


def test_a_fact_of_another_kind_is_not_swallowed() -> None:
    with pytest.raises(UnknownFact):
        registered(facts.ModelRetired())
