"""The protocol in full: gRPC beside HTTP, tensors as bytes, packed bodies, deadlines, metrics, draining, copies."""

import asyncio
import gzip
import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from modelog.inference.v2 import open_inference_grpc_pb2 as v2
from modelog.inference.v2 import open_inference_grpc_pb2_grpc as v2_grpc
from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch
from services.deployment.inference.answers import Answers, Asked, Busy, TooLate, is_sampled
from services.deployment.inference.model import load
from services.deployment.inference.telemetry import Telemetry
from tests.deployment import models
from tests.deployment.calls import call
from tests.deployment.replicas import VERSION, address, order, replica, said, started

ROWS = [[30.0, 2.0, 1.0], [60.0, 1.0, 90.0]]
INFER = "/v2/models/fraud/infer"
SECONDS = 20.0
GRPC = {"grpc_port": 0}


def post(where: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    host, _, port = where.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
    try:
        connection.request("POST", INFER, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """One replica of the classifier: where it speaks HTTP, and where gRPC."""
    given = order(tmp_path_factory.mktemp("served"), models.classifier(), **GRPC)
    with replica(given) as where:
        yield where, said(given)["grpc_address"]


async def test_the_protocol_over_grpc(served: tuple[str, str]) -> None:
    async with grpc.aio.insecure_channel(served[1]) as channel:
        stub: Any = v2_grpc.GRPCInferenceServiceStub(channel)
        assert (await stub.ServerLive(v2.ServerLiveRequest(), timeout=SECONDS)).live
        assert (await stub.ServerReady(v2.ServerReadyRequest(), timeout=SECONDS)).ready
        assert (await stub.ModelReady(v2.ModelReadyRequest(name="fraud"), timeout=SECONDS)).ready
        assert (await stub.ServerMetadata(v2.ServerMetadataRequest(), timeout=SECONDS)).extensions
        metadata = await stub.ModelMetadata(v2.ModelMetadataRequest(name="fraud", version="3"), timeout=SECONDS)
        assert [one.name for one in metadata.inputs] == list(models.COLUMNS)
        assert [(one.name, one.datatype, list(one.shape)) for one in metadata.outputs] == [
            ("label", "INT64", [-1]),
            ("probabilities", "FP32", [-1, 2]),
        ]
        health: Any = health_pb2_grpc.HealthStub(channel)
        healthy = await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert healthy.status == health_pb2.HealthCheckResponse.SERVING
        answer = await stub.ModelInfer(_listed(), timeout=SECONDS, metadata=(("x-request-id", "from-metadata"),))
        assert (answer.model_name, answer.model_version, answer.id) == ("fraud", "3", "from-metadata")
        assert list(answer.outputs[0].contents.int64_contents) == [0, 1]
        assert not answer.raw_output_contents
        request = _listed()
        request.id = "q1"
        request.inputs[0].ClearField("contents")
        request.raw_input_contents.append(np.array(ROWS, dtype="<f4").tobytes())
        request.outputs.add(name="label")
        raw = await stub.ModelInfer(request, timeout=SECONDS)
        assert (raw.id, [one.name for one in raw.outputs]) == ("q1", ["label"])
        assert np.frombuffer(raw.raw_output_contents[0], "<i8").tolist() == [0, 1]
    _, rest = call(served[0], INFER, models.request(ROWS))
    assert list(answer.outputs[1].contents.fp32_contents) == pytest.approx(rest["outputs"][1]["data"])


def _listed(**tensor: Any) -> v2.ModelInferRequest:
    request = v2.ModelInferRequest(model_name="fraud")
    one = request.inputs.add(**{"name": "X", "datatype": "FP32", "shape": [2, 3]} | tensor)
    one.contents.fp32_contents.extend([value for row in ROWS for value in row])
    return request


async def test_wrong_grpc_requests_say_what_is_wrong(served: tuple[str, str]) -> None:
    twice, both, short, half = _listed(), _listed(), _listed(), _listed(datatype="FP16")
    twice.inputs.append(twice.inputs[0])
    both.raw_input_contents.append(b"")
    short.inputs[0].ClearField("contents")
    short.raw_input_contents.append(b"123")
    wrong = [
        (twice, "given twice"),
        (both, "has contents"),
        (short, "24 bytes, not 3"),
        (half, "only sent in raw_input_contents"),
        (_listed(shape=[5, 3]), "do not fit shape"),
        (_listed(datatype="BF16"), "datatype 'BF16'"),
        (_listed(shape=[-2, -3]), "list of sizes"),
        (v2.ModelInferRequest(model_name="fraud"), "inputs missing"),
        (v2.ModelInferRequest(model_name="fraud", id="x" * 200), "at most 128"),
    ]
    async with grpc.aio.insecure_channel(served[1]) as channel:
        stub: Any = v2_grpc.GRPCInferenceServiceStub(channel)
        for request, says in wrong:
            with pytest.raises(grpc.aio.AioRpcError, match=says) as refused:
                await stub.ModelInfer(request, timeout=SECONDS)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        for other in (v2.ModelInferRequest(model_name="other"), _listed()):
            other.model_version = "4"
            with pytest.raises(grpc.aio.AioRpcError, match="serves version 3 of fraud only"):
                await stub.ModelInfer(other, timeout=SECONDS)


def test_tensors_as_bytes_over_http(served: tuple[str, str]) -> None:
    raw = np.array(ROWS, dtype="<f4").tobytes()
    tensor = {"name": "X", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}
    asked = {"id": "b", "inputs": [tensor], "outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
    head = json.dumps(asked).encode()
    status, headers, body = post(served[0], head + raw, inference_header_content_length=str(len(head)))
    length = int(headers["inference-header-content-length"])
    answer = json.loads(body[:length])
    assert (status, headers["content-type"], answer["id"]) == (200, "application/octet-stream", "b")
    assert answer["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(body[length:], "<i8").tolist() == [0, 1]
    wrong = {
        (len(head) + 99, raw): "at most that of the body",
        (len(head), raw[:-4]): "has 20",
        (len(head), raw + b"more"): "belong to no input",
        (len(head) - 1, raw): "not JSON",
    }
    for (size, behind), says in wrong.items():
        status, _, body = post(served[0], head + behind, inference_header_content_length=str(size))
        assert (status, says in json.loads(body)["error"]) == (400, True), body
    assert post(served[0], head + raw, inference_header_content_length="-1")[0] == 400


def test_packed_bodies_have_a_limit_too(served: tuple[str, str]) -> None:
    plain = json.dumps(models.request(ROWS, "z")).encode()
    status, _, body = post(served[0], gzip.compress(plain), content_encoding="gzip")
    assert (status, json.loads(body)["id"]) == (200, "z")
    assert post(served[0], gzip.compress(b" " * (17 << 20)), content_encoding="gzip")[0] == 413
    assert post(served[0], gzip.compress(plain)[:-4], content_encoding="gzip")[0] == 400
    assert post(served[0], plain, content_encoding="gzip")[0] == 400
    assert post(served[0], plain, content_encoding="br")[0] == 415


def test_methods_and_parameters(served: tuple[str, str]) -> None:
    assert call(served[0], "/v2/health/ready", b"{}")[0] == 405
    assert call(served[0], "/v2/models/fraud", b"{}")[0] == 405
    assert call(served[0], "/v2/models/fraud/versions/3/ready")[0] == 200
    for timeout in (-1, "soon", 1.5):
        asked = models.request(ROWS) | {"parameters": {"timeout": timeout}}
        status, answer = call(served[0], INFER, asked)
        assert (status, "microseconds" in answer["error"]) == (400, True)
    assert call(served[0], INFER, models.request(ROWS) | {"parameters": {"timeout": 20_000_000, "other": 1}})[0] == 200


def test_metrics_are_for_prometheus_and_not_for_callers(served: tuple[str, str]) -> None:
    before = _metrics(served[0])
    call(served[0], INFER, models.request(ROWS))
    call(served[0], INFER, b"{")
    after = _metrics(served[0])
    for status in ("200", "400"):
        one = ("modelog_inference_requests_total", "http", status)
        assert after[one] - before.get(one, 0) == 1
    assert after["modelog_inference_seconds_count", "", ""] - before["modelog_inference_seconds_count", "", ""] == 2
    rows = ("modelog_inference_batch_rows_sum", "", "")
    assert after[rows] - before[rows] == 2
    assert after["modelog_inference_resident_bytes", "", ""] > 20 << 20
    assert after["modelog_inference_ready", "", ""] == 1
    host, _, port = served[0].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
    connection.request("GET", "/metrics", headers={"x-forwarded-for": "10.0.0.9"})
    assert connection.getresponse().status == 404
    connection.close()


def _metrics(where: str) -> dict[tuple[str, str, str], float]:
    host, _, port = where.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
    return {(one.name, one.labels.get("door", ""), one.labels.get("status", "")): one.value for one in samples}


async def test_text_and_half_precision_over_grpc(tmp_path: Path) -> None:
    for name, content in (("words", models.wordy()), ("half", models.half())):
        (tmp_path / name).mkdir()
        given = order(tmp_path / name, content, inputs=(), **GRPC)
        with replica(given) as where:
            async with grpc.aio.insecure_channel(said(given)["grpc_address"]) as channel:
                stub: Any = v2_grpc.GRPCInferenceServiceStub(channel)
                request = v2.ModelInferRequest(model_name="fraud")
                if name == "words":
                    request.inputs.add(name="word", datatype="BYTES", shape=[2]).contents.bytes_contents.extend(
                        ["grün".encode(), b""]
                    )
                    answer = await stub.ModelInfer(request, timeout=SECONDS)
                    assert list(answer.outputs[0].contents.bytes_contents) == ["grün".encode(), b""]
                    _, over_http = call(
                        where,
                        INFER,
                        {"inputs": [{"name": "word", "datatype": "BYTES", "shape": [1], "data": ["ü"]}]},
                    )
                    assert over_http["outputs"][0]["data"] == ["ü"]
                else:
                    request.inputs.add(name="x", datatype="FP16", shape=[2])
                    request.raw_input_contents.append(np.array([0.5, 2], dtype="<f2").tobytes())
                    answer = await stub.ModelInfer(request, timeout=SECONDS)
                    assert np.frombuffer(answer.raw_output_contents[0], "<f2").tolist() == [0.5, 2]


async def test_a_deadline_ends_the_wait_and_too_many_are_sent_away(tmp_path: Path) -> None:
    answers = Answers(order(tmp_path, b""), load(order(tmp_path, models.slow(1_500_000))), None)
    tensors = {"X": np.ones((1, 3), dtype=np.float32)}
    began = time.monotonic()
    with pytest.raises(TooLate, match=r"within 0\.05 s"):
        await answers.infer(Asked(tensors, seconds=0.05))
    assert answers.under_way == 0
    waiting = [asyncio.create_task(answers.infer(Asked(tensors, seconds=0.3))) for _ in range(64)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await answers.infer(Asked(tensors))
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in ended} == {TooLate}
    assert time.monotonic() - began < 10
    assert answers.under_way == 0


def test_a_replica_that_outgrows_its_memory_drains_and_says_so(tmp_path: Path) -> None:
    given = order(tmp_path, models.classifier(), resident_mib=8, **GRPC)
    with started(given) as process:
        where = address(process, given)
        while call(where, "/v2/health/ready")[0] == 200:
            time.sleep(0.02)
        assert call(where, "/v2/health/live")[0] == 200
        assert call(where, INFER, models.request(ROWS))[0] == 200  # The gateway may not have noticed yet.
        assert process.wait(30) == 5
    assert "more than the 8 MiB" in said(given)["ended"]


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for ports in ({"port": port}, {"grpc_port": port}):
            given = order(tmp_path, models.classifier(), **ports)
            with started(given) as process:
                assert process.wait(30) == 6
            assert str(port) in said(given)["ended"]


def test_what_is_under_way_is_answered_before_it_ends(tmp_path: Path) -> None:
    given = order(tmp_path, models.slow(800_000), **GRPC)
    with started(given) as process:
        where = address(process, given)
        channel = grpc.insecure_channel(said(given)["grpc_address"])
        stub: Any = v2_grpc.GRPCInferenceServiceStub(channel)
        answer = stub.ModelInfer.future(_listed(), timeout=SECONDS)
        deadline = time.monotonic() + SECONDS
        while not _is_busy(where) and time.monotonic() < deadline and not answer.done():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert len(answer.result().outputs) == 1
        channel.close()
        assert process.wait(30) == 0


def _is_busy(where: str) -> bool:
    """The request has left the queue, or stands in it: it is with the model."""
    return _metrics(where)["modelog_inference_under_way", "", ""] > 0


async def test_copies_are_published_as_such_and_a_sample_is_the_same_for_both(tmp_path: Path) -> None:
    batches: list[PredictionBatch] = []

    async def publish(_batch_id: str, payload: bytes) -> None:
        batches.append(PredictionBatch.FromString(payload))

    telemetry = Telemetry(publish, endpoint="e", version=VERSION, replica="r")
    given = replace(order(tmp_path, models.failing()), telemetry_percent=50.0)
    answers = Answers(given, load(given), telemetry)
    rows = {"X": np.ones((7, 3), dtype=np.float32)}
    for number in range(40):
        for shadow in (False, True):
            await answers.infer(Asked(rows, id=f"r{number}", shadow=shadow))
    for shadow in (True, True, False):
        with pytest.raises(Exception, match="the model failed"):
            await answers.infer(Asked({"X": rows["X"][:2]}, shadow=shadow))
    await telemetry.flush(patient=True)
    ids = {
        shadow: [one for batch in batches if batch.shadow is shadow for one in batch.prediction_ids]
        for shadow in (False, True)
    }
    kept = [f"r{number}" for number in range(40) if is_sampled(f"r{number}", 50)]
    assert 5 < len(kept) < 35
    assert ids[False] == ids[True] == [f"{one}-{row}" for one in kept for row in range(7)]
    for shadow, failed in ((False, 1), (True, 2)):
        mine = [batch for batch in batches if batch.shadow is shadow]
        assert sum(batch.failed_requests for batch in mine) == failed
        assert sum(batch.left_out_rows for batch in mine) == (40 - len(kept)) * 7
