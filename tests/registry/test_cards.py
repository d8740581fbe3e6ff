"""What a model card has to say, and how much of it is said."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kernel.errors import Invalid
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.card import BUILT_IN, FIELDS, completeness, model_card, version_share
from services.registry.domain.gates import judge
from services.registry.domain.lifecycle import BUILT_IN as LIFECYCLE
from services.registry.domain.policy import check_policy
from services.registry.domain.version import describe_version
from tests.registry.build import VERSION_NAME, at, model, project, registered, rule

FULL = types.Documentation(
    summary="s",
    intended_use="i",
    intended_users="u",
    out_of_scope="o",
    factors="f",
    measures="m",
    assumptions="a",
    limitations="l",
    ethical_considerations="e",
    caveats="c",
    data_sources="d",
    data_preprocessing="p",
    data_biases="b",
    evaluation_data="v",
)
MEASURED = types.Evaluation(
    metrics={"auc": types.Metric(value=0.9, interval=types.ConfidenceInterval(low=0.8, high=1, level=0.95))},
    slices=[{"column": "region", "value": "eu", "rows": 9}],
)
SOURCE = types.GitSource(repository="ssh://git/x", commit="a" * 40)


def full(**more: Any) -> types.Version:
    """A version whose card lacks nothing that is built in."""
    fields: dict[str, Any] = {"documentation": FULL, "source": SOURCE, "training_data": [{"name": "2026-q1"}]} | more
    event = facts.EvaluationRecorded(evaluation_id="holdout", evaluation=MEASURED)
    state: types.Version = registered(event, **fields).state
    return state


def owned(**more: Any) -> types.Model:
    details = types.ModelDetails(description="d", owners=["users/ada"], license="Apache-2.0", contact="c", **more)
    mask = FieldMask(paths=["description", "license", "contact"])
    return model(facts.ModelDescribed(details=details, update_mask=mask))


def test_a_card_is_complete_when_every_required_field_says_something() -> None:
    done = completeness(owned(), full(), types.Policy())
    assert (done.share, done.version_share, list(done.missing), done.by_policy) == (1, 1, [], False)
    assert tuple(done.required_fields) == BUILT_IN


@pytest.mark.parametrize("field", sorted(set(BUILT_IN) | set(FIELDS)))
def test_each_field_is_missed_on_an_empty_version_and_counts_once(field: str) -> None:
    policy = types.Policy(card={"required_fields": [field]})
    done = completeness(types.Model(), types.Version(name=VERSION_NAME), policy)
    assert done.by_policy
    assert list(done.missing) == [field]


def test_blanks_are_nothing_said() -> None:
    blank = types.Documentation()
    blank.CopyFrom(FULL)
    blank.limitations = " \n\t"
    done = completeness(owned(), full(documentation=blank), types.Policy())
    assert list(done.missing) == ["documentation.limitations"]


def test_biases_are_said_of_all_data_together_or_of_every_set() -> None:
    policy = types.Policy(card={"required_fields": ["training_data.biases"]})
    each = [{"name": "a", "biases": "few women"}, {"name": "b", "biases": "none known"}]
    told = {"documentation": types.Documentation()}
    assert version_share(full(**told, training_data=each), policy) == 1
    assert version_share(full(**told, training_data=[*each, {"name": "c"}]), policy) == 0
    assert version_share(full(training_data=[{"name": "c"}]), policy) == 1


def test_a_rule_asks_for_a_share_and_the_gate_names_what_is_missing() -> None:
    state = project(rule(card_completeness=0.95, gates=("completeness >= 0.95",)))
    assert not judge(full(), "testing", at(state)).failed()
    thin = full(documentation=types.Documentation(summary="s"))
    gate, expression = judge(thin, "testing", at(state)).failed()
    assert (gate.name, gate.kind) == ("card", types.GATE_KIND_CARD)
    assert "documentation.limitations" in gate.reason
    assert "model.license" not in gate.reason
    assert (expression.name, expression.reason) == ("g0", "does not hold")


def test_a_gate_may_ask_how_certain_a_metric_is() -> None:
    low = "evaluations['holdout'].intervals.auc.low"
    passed, failed = (project(rule(gates=(f"{low} >= {bound}",))) for bound in (0.8, 0.85))
    assert not judge(full(), "testing", at(passed)).failed()
    (gate,) = judge(full(), "testing", at(failed)).failed()
    assert gate.evidence == {"evaluations.holdout.intervals.auc.low": "0.8"}


def test_a_policy_that_requires_what_no_card_has_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        check_policy(types.Policy(card={"required_fields": ["model.license", "documentation.luck"]}), LIFECYCLE)
    assert caught.value.violations[0].field == "policy.card.required_fields[1]"
    check_policy(types.Policy(card={"required_fields": list(FIELDS)}), LIFECYCLE)


def test_a_field_that_only_a_later_release_knows_is_not_filled_in() -> None:
    done = completeness(owned(), full(), types.Policy(card={"required_fields": ["documentation.luck"]}))
    assert (done.share, list(done.missing)) == (0, ["documentation.luck"])


def test_the_resources_of_a_training_are_written_and_cleared_like_any_field() -> None:
    took = types.Documentation(resources={"hardware": "4 x A100", "hours": 12.5, "emissions_kg": 30})
    mask = FieldMask(paths=["resources"])
    life = registered()
    event = facts.VersionDescribed(documentation=took, update_mask=mask)
    life.when(describe_version, documentation=took, mask=mask).then(event)
    assert life.given(event).state.documentation.resources.hours == 12.5
    life.when(describe_version, documentation=took, mask=mask).then_nothing()
    cleared = facts.VersionDescribed(documentation={}, update_mask=mask)
    life.when(describe_version, documentation=types.Documentation(), mask=mask).then(cleared)
    assert not life.given(cleared).state.documentation.HasField("resources")


def test_the_card_has_the_header_of_its_version_and_its_ancestors() -> None:
    version, parent = full(), full()
    card = model_card(owned(), version, types.Policy(), ancestors=[parent], as_of_revision=77)
    assert (card.name, card.generation, card.revision, card.as_of_revision) == (
        VERSION_NAME, version.generation, version.revision, 77,
    )  # fmt: skip
    assert card.version == version
    assert card.ancestors[0].artifact_sha256 == parent.artifact.sha256
    assert not card.HasField("quarantine")
