"""The inference server: the protocol, the artifact, the mapping of columns, and telemetry that delays nobody."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch
from services.deployment.inference.model import BadInput, ModelRefused, load
from services.deployment.inference.order import ArtifactRefused, Column, to_json
from services.deployment.inference.telemetry import Telemetry
from tests.deployment import models
from tests.deployment.calls import call
from tests.deployment.replicas import VERSION, order, replica

ROWS = [[30.0, 2.0, 1.0], [60.0, 1.0, 90.0]]
INFER = "/v2/models/fraud/infer"


def test_the_protocol_over_http(tmp_path: Path) -> None:
    with replica(order(tmp_path, models.classifier())) as address:
        assert call(address, "/v2/health/live") == (200, {"live": True})
        assert call(address, "/v2/health/ready") == (200, {"ready": True})
        assert call(address, "/v2")[1]["name"] == "modelog-inference"
        assert call(address, "/v2/models/fraud/ready") == (200, {"name": "fraud", "ready": True})
        metadata = call(address, "/v2/models/fraud/versions/3")[1]
        assert [one["name"] for one in metadata["inputs"]] == list(models.COLUMNS)
        assert [(one["name"], one["datatype"]) for one in metadata["outputs"]] == [
            ("label", "INT64"),
            ("probabilities", "FP32"),
        ]
        status, answer = call(address, INFER, models.request(ROWS, "q1"))
        assert (status, answer["id"], answer["model_name"], answer["model_version"]) == (200, "q1", "fraud", "3")
        assert answer["outputs"][0] == {"name": "label", "shape": [2], "datatype": "INT64", "data": [0, 1]}
        assert answer["outputs"][1]["shape"] == [2, 2]
        columns = [
            {"name": name, "shape": [2], "datatype": "FP64", "data": [row[index] for row in ROWS]}
            for index, name in enumerate(models.COLUMNS)
        ]
        wanted = {"inputs": columns, "outputs": [{"name": "label"}]}
        status, same = call(address, "/v2/models/fraud/versions/3/infer", wanted)
        assert (status, same["outputs"]) == (200, answer["outputs"][:1])
        assert same["id"]


def test_a_replica_counts_its_requests_when_it_shall(tmp_path: Path) -> None:
    with replica(replace(order(tmp_path, models.failing()), counts=True)) as address:
        for rows in (ROWS, ROWS * 4):  # Two rows fail, and so do eight: seven would not.
            assert call(address, INFER, models.request(rows))[0] == 500
        assert call(address, INFER, b"{}")[0] == 400
        assert call(address, INFER, models.request(ROWS[:1] * 7))[0] == 200
        status, counts = call(address, "/modelog/counts")
        assert (status, counts["requests"], counts["errors"]) == (200, 4, 2)
        assert counts["latency"][-1] == [60000, 4]
        numbers = [count for _, count in counts["latency"]]
        assert numbers == sorted(numbers)
    (tmp_path / "other").mkdir()
    with replica(order(tmp_path / "other", models.failing())) as address:
        assert call(address, "/modelog/counts")[0] == 404


def test_wrong_requests_are_the_callers_fault_and_say_what_is_wrong(tmp_path: Path) -> None:
    def tensor(**values: Any) -> dict[str, Any]:
        return {"inputs": [{"name": "X", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]} | values]}

    wrong = {
        b"\xff{": "not JSON",
        b"[]": "list of inputs",
        json.dumps(tensor(datatype="FP3")).encode(): "datatype 'FP3'",
        json.dumps(tensor(shape=[1, 4])).encode(): "does not fit shape",
        json.dumps(tensor(shape=[1, 2], data=[1, 2])).encode(): "shape [n, 3]",
        json.dumps(tensor(data=["a", "b", "c"])).encode(): "does not fit",
        json.dumps({"inputs": tensor()["inputs"] * 2}).encode(): "given twice",
        json.dumps({"inputs": [], "outputs": []}).encode(): "inputs missing",
        json.dumps(tensor() | {"outputs": [{"name": "no"}]}).encode(): "outputs unknown",
        json.dumps(tensor() | {"id": "x" * 200}).encode(): "at most 128",
    }
    with replica(order(tmp_path, models.classifier())) as address:
        for body, said in wrong.items():
            status, answer = call(address, INFER, body)
            assert (status, said in answer["error"]) == (400, True), (body, answer)
        assert call(address, "/v2/models/other/ready")[0] == 404
        assert call(address, "/v2/models/fraud/versions/4/ready")[0] == 404
        assert call(address, "/other")[0] == 404
        assert call(address, INFER)[0] == 405
        assert call(address, INFER, b" " * (17 * 1024 * 1024))[0] == 413


def test_a_model_that_fails_answers_500_and_lives_on(tmp_path: Path) -> None:
    with replica(order(tmp_path, models.failing())) as address:
        status, answer = call(address, INFER, models.request(ROWS))
        assert status == 500
        assert "the model failed" in answer["error"]
        assert call(address, INFER, models.request([ROWS[0]] * 7))[0] == 200
        assert call(address, "/v2/health/ready")[0] == 200


def test_only_the_approved_bytes_are_loaded(tmp_path: Path) -> None:
    given = order(tmp_path, models.classifier())
    with pytest.raises(ArtifactRefused, match="was approved"):
        load(replace(given, sha256="0" * 64))
    with pytest.raises(ArtifactRefused, match="cannot be read"):
        load(replace(given, artifact=str(tmp_path / "gone")))
    with pytest.raises(ArtifactRefused, match="export the model to ONNX"):
        load(replace(given, format="pickle"))
    with pytest.raises(ModelRefused, match="cannot load"):
        load(order(tmp_path, b"no model at all"))


def test_a_refusal_is_told_and_final(tmp_path: Path) -> None:
    given = replace(order(tmp_path, models.classifier()), sha256="0" * 64)
    (tmp_path / "order.json").write_text(to_json(given))
    command = [sys.executable, "-m", "services.deployment.inference", str(tmp_path / "order.json")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 3
    said = json.loads((tmp_path / "answer.json").read_text())
    assert said["artifact"] is True
    assert "was approved" in said["refused"]


def test_columns_that_do_not_fit_the_model_are_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="rows of 3 numbers"):
        load(order(tmp_path, models.classifier(), inputs=(Column("a"), Column("b"))))
    with pytest.raises(ModelRefused, match="promises \\['score'\\]"):
        load(order(tmp_path, models.classifier(), outputs=(Column("score"),)))


def test_columns_as_inputs_of_their_own(tmp_path: Path) -> None:
    model = load(order(tmp_path, models.per_column()))
    feed, columns = model.feed({name: np.array([1.0, 2.0]) for name in models.COLUMNS})
    assert model.run(feed)[0].tolist() == [[3.0], [6.0]]
    assert [(name, values.tolist()) for name, values in columns] == [(name, [1.0, 2.0]) for name in models.COLUMNS]
    with pytest.raises(BadInput, match="different numbers of rows"):
        model.feed({"age": np.zeros(1), "income": np.zeros(2), "debt": np.zeros(2)})
    with pytest.raises(BadInput, match="single columns"):
        load(order(tmp_path, models.classifier())).feed({name: np.zeros((2, 2)) for name in models.COLUMNS})


def test_without_a_signature_the_model_names_its_own_inputs(tmp_path: Path) -> None:
    model = load(order(tmp_path, models.classifier(), inputs=()))
    _, columns = model.feed({"X": np.array(ROWS)})
    assert [name for name, _ in columns] == ["X_0", "X_1", "X_2"]


def collected(telemetry: Telemetry, rows: int, mark: str = "r") -> None:
    values = np.arange(rows, dtype=np.float64)
    ids = [f"{mark}-{row}" for row in range(rows)]
    words = np.array(["yes"] * rows, dtype=object)
    telemetry.answered(ids, [("age", values)], [("label", words)])


async def test_batches_are_bounded_and_hold_columns() -> None:
    batches: list[PredictionBatch] = []

    async def publish(batch_id: str, payload: bytes) -> None:
        batches.append(PredictionBatch.FromString(payload))
        assert batches[-1].batch_id == batch_id

    telemetry = Telemetry(publish, endpoint="e", version=VERSION, replica="r")
    collected(telemetry, 3)
    collected(telemetry, 600, "s")
    telemetry.failed()
    await telemetry.flush()
    assert [len(batch.prediction_ids) for batch in batches] == [3, 256, 256, 88]
    assert [batch.failed_requests for batch in batches] == [1, 0, 0, 0]
    assert list(batches[0].inputs[0].numbers) == [0.0, 1.0, 2.0]
    assert list(batches[0].outputs[0].strings) == ["yes"] * 3
    assert batches[3].inputs[0].numbers[-1] == 599.0
    assert batches[0].start_time.seconds > 1_700_000_000


async def test_wide_rows_make_small_batches_and_what_is_too_large_is_counted() -> None:
    batches: list[PredictionBatch] = []

    async def publish(_batch_id: str, payload: bytes) -> None:
        assert len(payload) < 1_000_000
        batches.append(PredictionBatch.FromString(payload))

    telemetry = Telemetry(publish, endpoint="e", version=VERSION, replica="r")
    wide = [(f"c{index}", np.zeros(100)) for index in range(2000)]
    telemetry.answered([f"w-{row}" for row in range(100)], wide, [])
    collected(telemetry, 2)
    telemetry.answered(["long"], [("text", np.array(["x" * 1_000_000], dtype=object))], [])
    collected(telemetry, 1)
    await telemetry.flush()
    await telemetry.flush()
    assert [len(batch.prediction_ids) for batch in batches] == [16] * 6 + [4, 2, 1]
    assert sum(batch.dropped_rows for batch in batches) == 1


async def test_a_stuck_stream_costs_rows_not_answers_and_the_loss_is_told() -> None:
    batches: list[PredictionBatch] = []
    stuck = True

    async def publish(_batch_id: str, payload: bytes) -> None:
        if stuck:
            raise TimeoutError
        batches.append(PredictionBatch.FromString(payload))

    telemetry = Telemetry(publish, endpoint="e", version=VERSION, replica="r")
    running = asyncio.create_task(telemetry.run())
    for _ in range(40):
        collected(telemetry, 256)
        await asyncio.sleep(0)
    lost = telemetry.dropped_rows
    assert lost >= 7 * 256
    stuck = False
    for _ in range(200):
        await asyncio.sleep(0.05)
        if sum(len(batch.prediction_ids) for batch in batches) == 40 * 256 - lost:
            break
    running.cancel()
    assert sum(len(batch.prediction_ids) for batch in batches) == 40 * 256 - lost
    assert sum(batch.dropped_rows for batch in batches) == lost
    assert telemetry.dropped_rows == 0


def test_a_replica_without_keeper_ends_itself(tmp_path: Path) -> None:
    lease = tmp_path / "lease"
    lease.touch()
    given = order(tmp_path, models.classifier(), lease_file=str(lease), lease_seconds=0.4)
    (tmp_path / "order.json").write_text(to_json(given))
    command = [sys.executable, "-m", "services.deployment.inference", str(tmp_path / "order.json")]
    with subprocess.Popen(command) as process:
        assert process.wait(20) == 0
