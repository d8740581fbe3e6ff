"""Facts as CDEvents and as OpenLineage events: every kind of the tables, held against what the specifications ask."""

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator, FormatChecker
from openlineage.client.generated import (
    base,
    dataset_version_dataset,
    error_message_run,
    source_code_location_job,
)

from modelog import cdevents, openlineage
from modelog.cdevents import cd_event, package_url
from modelog.known_events import descriptor_of
from modelog.log.v1.fact_pb2 import Fact
from modelog.openlineage import run_events
from modelog.registry.v1.artifacts_events_pb2 import ProvenanceRecorded
from modelog.registry.v1.events_pb2 import TagSet
from tests.exports import samples
from tests.exports.contracts import CONTENTS, cdevents_schema

FACTS = samples.events(Ed25519PrivateKey.generate())
DELIVERED = [one for one in FACTS if samples.kind_of(one) in cdevents.KINDS]
RUNS = [one for one in FACTS if samples.kind_of(one) in openlineage.KINDS]
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "exports.md"


def delivered(one: Fact) -> dict[str, Any]:
    made = cd_event(one, samples.REVISION, samples.Known())
    assert made is not None
    return made


@pytest.mark.parametrize("table", [cdevents.KINDS, openlineage.KINDS])
def test_the_tables_name_facts_and_every_one_has_a_sample(table: Any) -> None:
    assert all(descriptor_of(f"modelog.{kind}") for kind in table)
    assert set(table) <= {samples.kind_of(one) for one in FACTS}


@pytest.mark.parametrize("table", [cdevents.KINDS, openlineage.KINDS])
def test_the_guide_lists_what_has_a_counterpart(table: Any) -> None:
    text = GUIDE.read_text()
    for kind in table:
        assert f"`{kind.rpartition('.')[2]}`" in text, kind


@pytest.mark.parametrize("one", DELIVERED, ids=samples.kind_of)
def test_a_cdevent_is_what_its_specification_asks(one: Fact) -> None:
    made = json.loads(json.dumps(delivered(one)))
    validator = Draft202012Validator(cdevents_schema(made["context"]["type"]), format_checker=FormatChecker())
    assert not list(validator.iter_errors(made))
    assert made == delivered(one)
    made["subject"]["content"]["more"] = 1
    assert list(validator.iter_errors(made))


def test_every_kind_of_cdevent_is_made() -> None:
    made = {delivered(one)["context"]["type"] for one in DELIVERED}
    assert made == {f"dev.cdevents.{kind}" for kind in CONTENTS}


def test_cdevents_say_which_artifact_serves_where() -> None:
    (rolled_back,) = [one for one in FACTS if samples.kind_of(one).endswith("RolledBack")]
    content = delivered(rolled_back)["subject"]["content"]
    assert content == {"environment": {"id": samples.ENVIRONMENT}, "artifactId": "pkg:generic/risk/fraud@2"}
    (raised,) = [one for one in FACTS if samples.kind_of(one).endswith("AlertRaised")]
    content = delivered(raised)["subject"]["content"]
    assert content["service"] == {"id": samples.ENDPOINT}
    assert content["artifactId"] == package_url(samples.VERSION)
    assert delivered(raised)["context"]["chainId"] == "chain-7"


def test_a_cdevent_that_would_lack_what_is_asked_for_is_left_out() -> None:
    counts = Counter(cd_event(one, samples.REVISION, samples.Nothing()) is None for one in DELIVERED)
    # Rollbacks, addresses, removals and alerts do not say in which environment.
    assert counts[True] == 6
    assert cd_event(samples.shared(), samples.REVISION, samples.Known()) is None
    unsigned = samples.fact(samples.VERSION, ProvenanceRecorded(envelope=b"{}"))
    assert cd_event(unsigned, samples.REVISION, samples.Known()) is None


def test_what_has_no_counterpart_is_left_out() -> None:
    tagged = samples.fact(samples.VERSION, TagSet(key="k", value="v"))
    assert cd_event(tagged, samples.REVISION, samples.Known()) is None
    assert run_events(tagged, samples.REVISION) == []
    assert run_events(Fact(), samples.REVISION) == []


_FACETS = {
    "errorMessage": error_message_run.ErrorMessageRunFacet,
    "version": dataset_version_dataset.DatasetVersionDatasetFacet,
    "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet,
    "modelog_fact": None,
}


def facets(told: dict[str, Any], place: Any) -> dict[str, Any]:
    made = {}
    for name, facet in told.items():
        fields = {key: value for key, value in facet.items() if key not in ("_producer", "_schemaURL")}
        kind = _FACETS[name]
        made[name] = kind(**fields, producer=facet["_producer"]) if kind else place(producer=facet["_producer"])
        if kind:
            assert made[name]._schemaURL == facet["_schemaURL"]
    return made


def as_published(event: dict[str, Any]) -> base.RunEvent:
    """The event in OpenLineage's own classes, which take no field that they do not know."""

    def data(kind: Any, told: dict[str, Any]) -> Any:
        return kind(**{**told, "facets": facets(told.get("facets", {}), base.DatasetFacet)})

    told = {key: value for key, value in event.items() if key != "schemaURL"}
    made = base.RunEvent(
        **{
            **told,
            "eventType": base.EventType(event["eventType"]),
            "run": base.Run(runId=event["run"]["runId"], facets=facets(event["run"]["facets"], base.RunFacet)),
            "job": base.Job(**{**event["job"], "facets": facets(event["job"].get("facets", {}), base.JobFacet)}),
            "inputs": [data(base.InputDataset, one) for one in event["inputs"]],
            "outputs": [data(base.OutputDataset, one) for one in event["outputs"]],
        }
    )
    assert made.schemaURL == event["schemaURL"]
    return made


@pytest.mark.parametrize("one", RUNS, ids=samples.kind_of)
def test_an_openlineage_event_fits_into_its_own_classes(one: Fact) -> None:
    made = json.loads(json.dumps(run_events(one, samples.REVISION)))
    assert made == run_events(one, samples.REVISION)
    for event in made:
        as_published(event)
        with pytest.raises(TypeError):
            as_published({**event, "more": 1})


def test_every_run_starts_once_and_ends_once() -> None:
    registered, evaluated = FACTS[0], FACTS[2]
    for one in (registered, evaluated):
        assert [event["eventType"] for event in run_events(one, 1)] == ["START", "COMPLETE"]
    rollout = [one for one in FACTS if one.resource == samples.ROLLOUT]
    runs = {event["run"]["runId"] for one in rollout for event in run_events(one, 1)}
    assert len(runs) == 1
    assert uuid.UUID(runs.pop()).version == 5
    kinds = Counter(event["eventType"] for one in rollout for event in run_events(one, 1))
    assert kinds["START"] == 1


def test_lineage_leads_from_data_to_the_model_to_the_endpoint() -> None:
    trained, *_ = run_events(FACTS[0], 1)
    assert [(one["namespace"], one["name"]) for one in trained["inputs"]] == [
        ("s3://lake", "loans/2026.parquet"),
        ("modelog:projects/risk", "data/by name only"),
        ("file", "/data/local.csv"),
        ("modelog:projects/risk", "models/fraud"),
    ]
    (model,) = trained["outputs"]
    assert model["facets"]["version"]["datasetVersion"] == "3"
    (evaluated, _) = run_events(FACTS[2], 1)
    assert evaluated["inputs"][0] == model
    (started,) = [one for one in FACTS if samples.kind_of(one).endswith("RolloutStarted")]
    (rollout,) = run_events(started, 1)
    assert rollout["inputs"] == [model]
    assert rollout["outputs"] == [{"namespace": "modelog:projects/risk", "name": "endpoints/fraud-eu"}]
    (failed,) = [one for one in FACTS if samples.kind_of(one).endswith("RolloutFailed")]
    (event,) = run_events(failed, 1)
    assert event["run"]["facets"]["errorMessage"]["message"] == "it did not start"
