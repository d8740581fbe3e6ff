"""The Open Inference Protocol V2 in JSON: requests into arrays, arrays into replies.

Source: https://github.com/open-inference/open-inference-protocol, inference_rest.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from services.deployment.inference.model import BadInput, Model, datatype_of

_DTYPES: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
_MOST_ID_CHARACTERS = 128


class Request:
    """One inference request: its id (empty when the caller gave none), its tensors, and which outputs it wants."""

    def __init__(self, body: bytes) -> None:
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"the body is not JSON: {error}") from error
        if not isinstance(parsed, dict) or not isinstance(parsed.get("inputs"), list):
            raise BadInput("the body is an object with a list of inputs")
        self.id = _request_id(parsed.get("id", ""))
        self.tensors: dict[str, Any] = {}
        for tensor in parsed["inputs"]:
            name, values = _tensor(tensor)
            if name in self.tensors:
                raise BadInput(f"input {name} is given twice")
            self.tensors[name] = values
        wanted = parsed.get("outputs") or []
        if not isinstance(wanted, list) or not all(isinstance(one, dict) and "name" in one for one in wanted):
            raise BadInput("outputs is a list of objects with a name")
        self.outputs = [str(one["name"]) for one in wanted]


def _request_id(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MOST_ID_CHARACTERS:
        raise BadInput(f"id is a string of at most {_MOST_ID_CHARACTERS} characters")
    return value


def _tensor(tensor: object) -> tuple[str, Any]:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise BadInput("each input is an object with name, shape, datatype and data")
    name, shape, datatype = tensor["name"], tensor.get("shape"), str(tensor.get("datatype"))
    if datatype not in _DTYPES:
        raise BadInput(f"input {name}: datatype {datatype!r} is none of {', '.join(_DTYPES)}")
    if not isinstance(shape, list) or not shape or not all(type(one) is int and one >= 0 for one in shape):
        raise BadInput(f"input {name}: shape is a list of sizes")
    try:
        # Nested and flat data are both allowed: the shape rules. A missing number (null) becomes NaN.
        values = np.asarray(tensor.get("data"), dtype=_DTYPES[datatype]).reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(f"input {name}: data does not fit shape {shape} of {datatype}: {error}") from error
    return name, values


def reply(request: Request, request_id: str, name: str, version: str, model: Model, arrays: Sequence[Any]) -> bytes:
    """The inference reply; only the outputs the request names, or all of them. A number that is not one is null."""
    unknown = set(request.outputs) - set(model.output_names)
    if unknown:
        raise BadInput(f"outputs unknown: {sorted(unknown)}; the model answers {model.output_names}")
    outputs = [
        {
            "name": output,
            "shape": list(array.shape),
            "datatype": datatype_of(kind),
            "data": array.reshape(-1).tolist(),
        }
        for (output, kind, _), array in zip(model.tensor_outputs, arrays, strict=True)
        if not request.outputs or output in request.outputs
    ]
    return orjson.dumps({"model_name": name, "model_version": version, "id": request_id, "outputs": outputs})


def metadata(name: str, version: str, model: Model) -> bytes:
    """The model's metadata: its inputs are the columns of the signature, each of shape [n]."""
    inputs = [{"name": column.name, "datatype": column.datatype, "shape": [-1]} for column in model.columns]
    outputs = [
        {"name": output, "datatype": datatype_of(kind), "shape": [one if isinstance(one, int) else -1 for one in shape]}
        for output, kind, shape in model.tensor_outputs
    ]
    described = {"name": name, "versions": [version], "platform": "onnx_onnxv1", "inputs": inputs, "outputs": outputs}
    return orjson.dumps(described)


def error(message: str) -> bytes:
    return orjson.dumps({"error": message})
