"""The Open Inference Protocol V2 over HTTP: requests into arrays, arrays into replies.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md. Tensors may also
come and go as bytes behind the JSON, by Triton's extension `binary_tensor_data`:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from services.deployment.inference.answers import Output
from services.deployment.inference.model import BadInput, Model, datatype_of
from services.deployment.inference.tensors import DTYPES, check, from_raw, to_raw

HEADER_LENGTH = "inference-header-content-length"
_NATIVE = orjson.OPT_SERIALIZE_NUMPY
_GZIP = 31  # zlib: a window of 32 kB, with the header of gzip.


class Request:
    """One inference request: its id (empty when the caller gave none), its tensors, which outputs it wants and how.

    seconds: how long the caller waits, from the parameter `timeout` in microseconds; 0 when it does not say.
    """

    def __init__(self, body: bytes, header_length: str = "") -> None:
        length = _length(header_length, len(body)) if header_length else len(body)
        try:
            parsed = orjson.loads(body[:length])
        except orjson.JSONDecodeError as error:
            raise BadInput(f"the body is not JSON: {error}") from error
        if not isinstance(parsed, dict) or not isinstance(parsed.get("inputs"), list):
            raise BadInput("the body is an object with a list of inputs")
        self.id = parsed.get("id", "")
        if not isinstance(self.id, str):
            raise BadInput("id is a string")
        parameters = _parameters(parsed)
        timeout = parameters.get("timeout", 0)
        if type(timeout) is not int or timeout < 0:
            raise BadInput("parameters.timeout is a number of microseconds")
        self.seconds = timeout / 1e6
        self.tensors = _tensors(parsed["inputs"], memoryview(body)[length:])
        wanted = parsed.get("outputs") or []
        if not isinstance(wanted, list) or not all(isinstance(one, dict) and "name" in one for one in wanted):
            raise BadInput("outputs is a list of objects with a name")
        self.outputs = [str(one["name"]) for one in wanted]
        self._all_binary = bool(parameters.get("binary_data_output"))
        self._binary = {str(one["name"]): bool(_parameters(one).get("binary_data", self._all_binary)) for one in wanted}

    def is_binary(self, output: str) -> bool:
        """Whether the caller wants this output as bytes."""
        return self._binary.get(output, self._all_binary)


def _length(text: str, size: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > size:
        raise BadInput(f"{HEADER_LENGTH} is the length of the JSON, at most that of the body")
    return int(text)


def _parameters(one: Any) -> dict[str, Any]:
    parameters = one.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadInput("parameters is an object")
    return parameters


def _tensors(given: Sequence[Any], raw: memoryview) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for one in given:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise BadInput("each input is an object with name, shape, datatype and data")
        name, size = one["name"], _parameters(one).get("binary_data_size")
        if name in tensors:
            raise BadInput(f"input {name} is given twice")
        if size is None:
            tensors[name] = _tensor(name, one)
            continue
        if type(size) is not int or not 0 <= size <= len(raw):
            raise BadInput(f"input {name}: binary_data_size is a number of bytes behind the JSON, which has {len(raw)}")
        datatype, shape = _declared(name, one)
        tensors[name], raw = from_raw(name, datatype, shape, bytes(raw[:size])), raw[size:]
    if raw:
        raise BadInput(f"{len(raw)} bytes behind the JSON belong to no input")
    return tensors


def _declared(name: str, tensor: dict[str, Any]) -> tuple[str, list[int]]:
    shape, datatype = tensor.get("shape"), str(tensor.get("datatype"))
    check(name, datatype, shape if isinstance(shape, list) else [])
    return datatype, shape if isinstance(shape, list) else []


def _tensor(name: str, tensor: dict[str, Any]) -> Any:
    datatype, shape = _declared(name, tensor)
    try:
        # Nested and flat data are both allowed: the shape rules. A missing number (null) becomes NaN.
        return np.asarray(tensor.get("data"), dtype=DTYPES[datatype]).reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(f"input {name}: data does not fit shape {shape} of {datatype}: {error}") from error


def reply(request: Request, request_id: str, name: str, version: str, outputs: Sequence[Output]) -> tuple[bytes, int]:
    """The body, and how much of it is JSON when tensors follow as bytes, else 0. A number that is not one is null."""
    tensors: list[dict[str, Any]] = []
    raws: list[bytes] = []
    for output in outputs:
        array = output.array
        tensor: dict[str, Any] = {"name": output.name, "shape": list(array.shape), "datatype": datatype_of(output.kind)}
        if request.is_binary(output.name):
            raws.append(to_raw(array))
            tensor["parameters"] = {"binary_data_size": len(raws[-1])}
        elif array.dtype.kind == "O":
            tensor["data"] = array.reshape(-1).tolist()
        else:
            tensor["data"] = np.ascontiguousarray(array).reshape(-1)
        tensors.append(tensor)
    described = {"model_name": name, "model_version": version, "id": request_id, "outputs": tensors}
    header = orjson.dumps(described, option=_NATIVE)
    return (b"".join([header, *raws]), len(header)) if raws else (header, 0)


def unpacked(body: bytes, most_bytes: int) -> bytes | None:
    """What a gzip body holds, or None when that is too large; BadInput when it is no gzip."""
    packed = zlib.decompressobj(_GZIP)
    try:
        content = packed.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise BadInput(f"the body is no gzip: {error}") from error
    if len(content) > most_bytes:
        return None
    if not packed.eof or packed.unused_data:
        raise BadInput("the body is no whole gzip")
    return content


def described(model: Model) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs for the metadata of both doors: the columns of the signature, each of shape [n]."""
    inputs = [{"name": column.name, "datatype": column.datatype, "shape": [-1]} for column in model.columns]
    outputs = [
        {"name": output, "datatype": datatype_of(kind), "shape": [one if isinstance(one, int) else -1 for one in shape]}
        for output, kind, shape in model.tensor_outputs
    ]
    return inputs, outputs


def metadata(name: str, version: str, model: Model) -> bytes:
    inputs, outputs = described(model)
    return orjson.dumps(
        {"name": name, "versions": [version], "platform": PLATFORM, "inputs": inputs, "outputs": outputs}
    )


NAME, EXTENSIONS, PLATFORM = "modelog-inference", ("binary_tensor_data",), "onnx_onnxv1"


def error(message: str) -> bytes:
    return orjson.dumps({"error": message})
