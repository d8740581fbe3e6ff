"""Signatures of MLflow: columns with a type, or tensors with a shape. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from modelog.mlflow.words import clean

if TYPE_CHECKING:
    from modelog.registry.v1.types_pb2 import Column, Signature

_MOST_COLUMNS = 2000
_MOST_NAME = 256
_MOST_DIMENSIONS = 8
# Of columns and of numpy, by the names that MLflow writes; what is not here has no counterpart.
_TYPES: Mapping[str, str] = {
    "boolean": "BOOL", "bool": "BOOL", "integer": "INT32", "int32": "INT32", "int8": "INT32", "int16": "INT32",
    "uint8": "INT32", "uint16": "INT32", "long": "INT64", "int64": "INT64", "uint32": "INT64", "float": "FLOAT32",
    "float32": "FLOAT32", "float16": "FLOAT32", "double": "FLOAT64", "float64": "FLOAT64", "string": "STRING",
    "str": "STRING", "object": "STRING", "binary": "BYTES", "bytes": "BYTES",
}  # fmt: skip


def signature_of(description: Mapping[str, Any]) -> "tuple[Signature | None, str]":
    """The signature in an MLmodel file, None when there is none or it cannot be said here; and then why.

    All of it or nothing: who checks data against half a signature takes wrong data for right.
    """
    from modelog.registry.v1.types_pb2 import Signature

    said = description.get("signature")
    if not isinstance(said, Mapping):
        return None, ""
    try:
        inputs, outputs = (list(_columns(said.get(side), side)) for side in ("inputs", "outputs"))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return None, f"its signature has no counterpart: {error}"
    return Signature(inputs=inputs, outputs=outputs), ""


def _columns(text: Any, side: str) -> "Iterator[Column]":
    said = json.loads(text) if text else []
    if not isinstance(said, list) or len(said) > _MOST_COLUMNS:
        raise ValueError(f"{side} is no list of at most {_MOST_COLUMNS}")
    names: set[str] = set()
    for place, one in enumerate(said):
        alone = side.removesuffix("s")
        name = clean(str(one.get("name") or (alone if len(said) == 1 else f"{alone}-{place + 1}")), _MOST_NAME)
        if name in names:
            raise ValueError(f"{name!r} is there twice")
        names.add(name)
        yield _column(one, name)


def _column(one: Any, name: str) -> "Column":
    from modelog.registry.v1.types_pb2 import Column

    tensor = one.get("tensor-spec") if one.get("type") == "tensor" else None
    kind = str(tensor["dtype"] if tensor else one.get("type"))
    if kind.startswith(("<U", "|S")):  # Texts of a numpy array.
        kind = "string"
    if kind not in _TYPES:
        raise ValueError(f"{name!r} is of type {kind}")
    # The first dimension is the batch, where it is open.
    shape = [int(length) for length in tensor["shape"]] if tensor else []
    shape = shape[1:] if shape[:1] == [-1] else shape
    if len(shape) > _MOST_DIMENSIONS or any(length < -1 for length in shape):
        raise ValueError(f"{name!r} has the shape {shape}")
    return Column(name=name, type=f"DATA_TYPE_{_TYPES[kind]}", shape=shape)
