"""From the answers of a tracking server to requests: what has a counterpart and what is told to be left out."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from kernel.parsing import parse
from modelog.mlflow.artifacts import Fetched, described
from modelog.mlflow.mapping import Rules, evaluation_request, model_request, version_request
from modelog.mlflow.records import Metric, ModelVersion, RegisteredModel, Run, model_of, moment, run_of, version_of
from modelog.mlflow.signatures import signature_of
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.types_pb2 import Artifact

RULES = Rules("https://old.example.org", "projects/risk", "moving", {"ada": "users/lovelace"})
MODEL = "projects/risk/models/fraud"
CREATED = datetime(2024, 2, 3, tzinfo=UTC)
ARTIFACT = Artifact(uri="mlflow-artifacts://old/1", sha256="ab" * 32, size_bytes=3, format="mlflow")


def version(**fields: Any) -> ModelVersion:
    given = {"name": "Fraud", "version": "3", "creation_timestamp": int(CREATED.timestamp() * 1000), "run_id": "r1"}
    return version_of(given | fields)


def run(**fields: Any) -> Run:
    return run_of({"info": {"run_id": "r1", "user_id": "ada"}, "data": fields.pop("data", {}), **fields})


def tags(**given: str) -> list[dict[str, str]]:
    return [{"key": key.replace("__", "."), "value": value} for key, value in given.items()]


def registered(
    one: ModelVersion, of: Run, description: dict[str, Any] | None = None
) -> tuple[rpc.RegisterVersionRequest, list[str]]:
    """The request, as the door takes it, and the notes."""
    notes: list[str] = []
    request = version_request(RULES, MODEL, one, of, Fetched(ARTIFACT, description or {}), notes)
    return parse(rpc.RegisterVersionRequest, request.SerializeToString()), notes


def test_a_version_comes_with_its_origin_author_and_what_mlflow_knows_it_by() -> None:
    request, notes = registered(version(current_stage="Production", tags=tags(team="a"), description="Best."), run())
    assert notes == []
    assert (request.origin.system, request.origin.uri, request.origin.id) == ("mlflow", RULES.server, "Fraud/3")
    assert request.origin.happen_time.ToDatetime(UTC) == CREATED
    assert request.author == "users/lovelace"
    assert request.documentation.summary == "Best."
    assert dict(request.tags) == {
        "team": "a", "mlflow.version": "3", "mlflow.stage": "Production", "mlflow.run_id": "r1"
    }  # fmt: skip
    assert request.reason == "moving"
    assert registered(version(), run())[0].request_id == registered(version(description="x"), run())[0].request_id
    assert registered(version(version="4"), run())[0].request_id != request.request_id


def test_the_code_is_its_commit_without_anybodys_password() -> None:
    said = {
        "mlflow.source.git.commit": "AB" * 20, "mlflow.source.git.repoURL": "https://a:b@git.example.org/x.git",
        "mlflow.source.git.branch": "main", "mlflow.source.name": "/srv/train.py",
    }  # fmt: skip
    data = {"tags": [{"key": key, "value": value} for key, value in said.items()]}
    source = registered(version(), run(data=data))[0].source
    assert (source.repository, source.commit) == ("https://git.example.org/x.git", "ab" * 20)
    assert (source.branch, source.path, source.dirty) == ("main", "", False)
    assert not registered(version(), run(data={"tags": tags(mlflow__source__git__commit="v1")}))[0].HasField("source")


def test_data_comes_by_its_context_and_its_short_digest_is_no_sha256() -> None:
    dataset = {"name": "iris", "digest": "ef65a6d7", "source_type": "http", "source": '{"url": "https://u:p@x.org/i"}'}
    inputs = [
        {"dataset": dataset, "tags": tags(mlflow__data__context="training")},
        {"dataset": dataset | {"name": "held", "source": "s3://b/k"}, "tags": tags(mlflow__data__context="eval")},
    ]
    of = run(inputs={"dataset_inputs": inputs}, data={"metrics": [{"key": "auc", "value": 0.9, "timestamp": 5000}]})
    (data,) = registered(version(), of)[0].training_data
    assert (data.name, data.uri, data.sha256) == ("iris", "https://x.org/i", "")
    assert "ef65a6d7" in data.description
    measured = evaluation_request(RULES, f"{MODEL}/versions/1", of, [])
    assert measured is not None
    assert (measured.evaluation.data_set.name, measured.evaluation.data_set.uri) == ("held", "s3://b/k")
    assert measured.happen_time.seconds == 5


def test_a_metric_without_a_direction_is_a_property_and_one_without_a_value_nothing() -> None:
    metrics = [
        {"key": "auc", "value": 0.9}, {"key": "loss", "value": 0.1}, {"key": "lift", "value": 2.0},
        {"key": "f1", "value": "NaN"}, {"key": "gain", "value": math.inf},
    ]  # fmt: skip
    of = run(data={"metrics": metrics})
    request, notes = registered(version(), of)
    assert {key: one.number for key, one in request.documentation.properties.items()} == {"mlflow.metrics.lift": 2.0}
    assert [note.split(" ")[0:2] for note in notes] == [["metric", "f1"], ["metric", "gain"], ["1", "metrics"]]
    measured = evaluation_request(RULES, f"{MODEL}/versions/1", of, notes)
    assert measured is not None
    parse(rpc.RecordEvaluationRequest, measured.SerializeToString())
    found = {key: (one.value, one.higher_is_better) for key, one in measured.evaluation.metrics.items()}
    assert found == {"auc": (0.9, True), "loss": (0.1, False)}
    assert evaluation_request(RULES, f"{MODEL}/versions/1", run(), []) is None


def test_what_is_too_long_or_too_many_is_cut_and_told() -> None:
    data = {
        "params": [{"key": f"p{n}", "value": "v" * (2000 if n < 9 else 9)} for n in range(300)],
        "metrics": [{"key": f"m{n}", "value": n} for n in range(100)]
        + [{"key": f"auc-{n}", "value": n} for n in range(200)],
    }
    one = version(description="d\u202e" * 5000, tags=[{"key": f"t{n}", "value": "v"} for n in range(80)])
    request, notes = registered(one, run(data=data))
    assert (len(request.hyperparameters), len(request.tags)) == (256, 64)
    assert request.tags["mlflow.version"] == "3"
    assert len(request.documentation.properties) == 64
    assert len(notes) == 5
    measured = evaluation_request(RULES, f"{MODEL}/versions/1", run(data=data), notes)
    assert measured is not None
    assert len(measured.evaluation.metrics) == 128
    assert notes[-1] == "72 metrics beyond 128 are left out"


def test_a_model_comes_under_its_id_with_its_name_as_title() -> None:
    said = {"name": "Fraud Model", "creation_timestamp": "1700000000000", "tags": tags(team="risk"), "description": "d"}
    request = model_request(RULES, model_of(said), "fraud-model")
    parse(rpc.CreateModelRequest, request.SerializeToString())
    assert (request.model_id, request.details.title, request.details.description) == ("fraud-model", "Fraud Model", "d")
    assert (request.origin.id, request.origin.happen_time.seconds) == ("Fraud Model", 1_700_000_000)
    assert dict(request.tags) == {"team": "risk"}


def test_moments_that_are_none_are_left_out() -> None:
    assert moment(0) is moment(None) is moment("x") is moment(10**30) is None
    assert model_request(RULES, RegisteredModel("a", None, "", {}, {}), "a").origin.HasField("happen_time") is False


COLUMNS = json.dumps([{"type": "double", "name": "x"}, {"type": "string", "name": "y", "required": False}])
TENSOR = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28, -1]}}])


def test_a_signature_of_columns_or_of_tensors() -> None:
    signature, why = signature_of({"signature": {"inputs": COLUMNS, "outputs": TENSOR, "params": None}})
    assert signature is not None
    assert why == ""
    assert [(one.name, one.type, list(one.shape)) for one in signature.inputs] == [("x", 5, []), ("y", 6, [])]
    assert [(one.name, one.type, list(one.shape)) for one in signature.outputs] == [("output", 4, [28, -1])]


@pytest.mark.parametrize(
    "inputs",
    [
        '[{"type": "datetime", "name": "when"}]',
        '[{"type": "array", "items": {"type": "double"}, "name": "a"}]',
        '[{"type": "double", "name": "a"}, {"type": "double", "name": "a"}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": "complex64", "shape": [-1]}}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, -5]}}]',
        '{"a": 1}',
        "[1]",
        "not json",
        "[" * 100_000,
    ],
)
def test_half_a_signature_is_none(inputs: str) -> None:
    signature, why = signature_of({"signature": {"inputs": inputs, "outputs": TENSOR}})
    assert signature is None
    assert why.startswith("its signature has no counterpart")


def test_without_a_signature_there_is_nothing_to_tell() -> None:
    assert signature_of({}) == signature_of({"signature": None}) == (None, "")


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"a: [", b"- 1", b"", b"!!python/object/apply:os.system ['true']"])
def test_a_description_that_is_none_runs_nothing_and_tells_nothing(raw: bytes) -> None:
    assert described(raw) == {}


def test_metrics_keep_their_newest_time() -> None:
    metrics = [Metric("auc", 0.5, CREATED), Metric("f1", 0.5, datetime(2024, 3, 1, tzinfo=UTC))]
    request = evaluation_request(RULES, f"{MODEL}/versions/1", Run("r", "", {}, metrics, {}, ()), [])
    assert request is not None
    assert request.happen_time.ToDatetime(UTC) == datetime(2024, 3, 1, tzinfo=UTC)
