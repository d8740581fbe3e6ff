"""The replica's gRPC door: inference.GRPCInferenceService of the Open Inference Protocol V2, and grpc.health.v1.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_grpc.md. Answers come in the
form of the request: raw bytes for raw bytes, lists for lists. FP16 has no list, so an answer with FP16 is always raw.
"""

import time
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from modelog.inference.v2 import open_inference_grpc_pb2 as v2
from modelog.inference.v2 import open_inference_grpc_pb2_grpc as v2_grpc
from services.deployment.gateway.config import SHADOW_HEADER
from services.deployment.inference import protocol
from services.deployment.inference.answers import (
    MOST_BODY_BYTES,
    Answers,
    Asked,
    Busy,
    NotAnswered,
    Output,
    TooLate,
)
from services.deployment.inference.model import BadInput, datatype_of
from services.deployment.inference.tensors import DTYPES, check, from_raw, to_raw

Context = grpc.aio.ServicerContext[Any, Any]
_LISTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_OPTIONS = (
    ("grpc.max_receive_message_length", MOST_BODY_BYTES),
    ("grpc.so_reuseport", 0),  # A port that somebody else has is a fault to be seen, not one to be shared.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


class Door(v2_grpc.GRPCInferenceServiceServicer):
    """The protocol's service."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._order = answers.order
        self._about = (("x-modelog-version", self._order.version),)

    async def ServerLive(self, request: v2.ServerLiveRequest, context: Context) -> v2.ServerLiveResponse:
        return v2.ServerLiveResponse(live=True)

    async def ServerReady(self, request: v2.ServerReadyRequest, context: Context) -> v2.ServerReadyResponse:
        return v2.ServerReadyResponse(ready=self._answers.ready)

    async def ModelReady(self, request: v2.ModelReadyRequest, context: Context) -> v2.ModelReadyResponse:
        await self._check_mine(request.name, request.version, context)
        return v2.ModelReadyResponse(ready=self._answers.ready)

    async def ServerMetadata(self, request: v2.ServerMetadataRequest, context: Context) -> v2.ServerMetadataResponse:
        return v2.ServerMetadataResponse(name=protocol.NAME, version="1", extensions=protocol.EXTENSIONS)

    async def ModelMetadata(self, request: v2.ModelMetadataRequest, context: Context) -> v2.ModelMetadataResponse:
        await self._check_mine(request.name, request.version, context)
        inputs, outputs = protocol.described(self._answers.model)
        tensor = v2.ModelMetadataResponse.TensorMetadata
        return v2.ModelMetadataResponse(
            name=self._order.model_name,
            versions=[self._order.model_version],
            platform=protocol.PLATFORM,
            inputs=[tensor(**one) for one in inputs],
            outputs=[tensor(**one) for one in outputs],
        )

    async def ModelInfer(self, request: v2.ModelInferRequest, context: Context) -> v2.ModelInferResponse:
        began = time.perf_counter()
        await self._check_mine(request.model_name, request.model_version, context)
        context.set_trailing_metadata(self._about)
        try:
            request_id, outputs = await self._answers.infer(_asked(request, context))
        except BadInput as error:
            self._answers.count("grpc", 400, began)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error), self._about)
        except NotAnswered as error:
            self._answers.count("grpc", error.status, began)
            await context.abort(_code(error), str(error), self._about)
        self._answers.count("grpc", 200, began)
        answer = _answer(outputs, raw=bool(request.raw_input_contents))
        answer.model_name, answer.model_version, answer.id = (
            self._order.model_name,
            self._order.model_version,
            request_id,
        )
        return answer

    async def _check_mine(self, name: str, version: str, context: Context) -> None:
        if name != self._order.model_name or version not in ("", self._order.model_version):
            mine = f"version {self._order.model_version} of {self._order.model_name}"
            await context.abort(grpc.StatusCode.NOT_FOUND, f"this replica serves {mine} only")


def _code(error: NotAnswered) -> grpc.StatusCode:
    match error:
        case Busy():
            return grpc.StatusCode.UNAVAILABLE
        case TooLate():
            return grpc.StatusCode.DEADLINE_EXCEEDED
        case _:
            return grpc.StatusCode.INTERNAL


def _asked(request: v2.ModelInferRequest, context: Context) -> Asked:
    said = {str(key): value for key, value in context.invocation_metadata() or ()}
    left = context.time_remaining()
    return Asked(
        _tensors(request),
        request.id or str(said.get("x-request-id", "")),
        [one.name for one in request.outputs],
        max(left or 0.0, 0.0),
        SHADOW_HEADER in said,
    )


def _tensors(request: v2.ModelInferRequest) -> dict[str, Any]:
    raws: Sequence[bytes] = request.raw_input_contents
    if raws and len(raws) != len(request.inputs):
        raise BadInput(f"raw_input_contents has {len(raws)} elements for {len(request.inputs)} inputs")
    tensors: dict[str, Any] = {}
    for index, tensor in enumerate(request.inputs):
        name, shape = tensor.name, list(tensor.shape)
        if name in tensors:
            raise BadInput(f"input {name} is given twice")
        check(name, tensor.datatype, shape)
        if not raws:
            tensors[name] = _listed(tensor, shape)
        elif tensor.HasField("contents"):
            raise BadInput(f"input {name} has contents, though the request uses raw_input_contents")
        else:
            tensors[name] = from_raw(name, tensor.datatype, shape, raws[index])
    return tensors


def _listed(tensor: v2.ModelInferRequest.InferInputTensor, shape: list[int]) -> Any:
    if tensor.datatype not in _LISTS:
        raise BadInput(f"input {tensor.name}: {tensor.datatype} is only sent in raw_input_contents")
    values: Any = getattr(tensor.contents, _LISTS[tensor.datatype])
    try:
        if tensor.datatype == "BYTES":
            values = [one.decode() for one in values]
        return np.array(values, dtype=DTYPES[tensor.datatype]).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"input {tensor.name}: contents do not fit shape {shape} of {tensor.datatype}: {error}"
        ) from error


def _answer(outputs: Sequence[Output], *, raw: bool) -> v2.ModelInferResponse:
    answer = v2.ModelInferResponse()
    types = [datatype_of(output.kind) for output in outputs]
    raw = raw or not _LISTS.keys() >= set(types)
    for output, datatype in zip(outputs, types, strict=True):
        tensor = answer.outputs.add(name=output.name, datatype=datatype, shape=output.array.shape)
        if raw:
            answer.raw_output_contents.append(to_raw(output.array))
            continue
        values = output.array.reshape(-1).tolist()
        if datatype == "BYTES":
            values = [one if isinstance(one, bytes) else str(one).encode() for one in values]
        getattr(tensor.contents, _LISTS[datatype]).extend(values)
    return answer


class RpcServer:
    """The door on a port of its own, with health by grpc.health.v1, which gateways and probes ask."""

    def __init__(self, answers: Answers) -> None:
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = health.HealthServicer()
        v2_grpc.add_GRPCInferenceServiceServicer_to_server(Door(answers), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    async def start(self, address: str) -> int:
        """The port it listens on. OSError when it cannot."""
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(str(error)) from error
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        return port

    async def drain(self) -> None:
        """Says that it is not ready; goes on answering."""
        await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    async def stop(self, seconds: float) -> None:
        """Takes no new requests and waits for those under way."""
        await self._server.stop(seconds)
